"""What the streams told, change by change: the truth that tests hold our topics against."""

from __future__ import annotations

import pytest

from simulator import ledger as ledger_module
from simulator.ledger import Ledger
from simulator.tape import Market, Quote, Settle, Trade
from simulator.world import Change, World

T0 = 1_790_000_000_000_000


def change(at_us: int = 1, bid_ppm: int | None = 400_000, trade: Trade | None = None) -> Change:
    """A quote that was just played."""
    world = World()
    heard: list[Change] = []
    world.listeners.append(heard.append)
    world.apply(Market(venue="kalshi", market="M", title="t"))
    world.apply(Quote(T0 + at_us, "M", bid_ppm, 420_000, trade=trade))
    return heard[-1]


def test_it_keeps_nothing_until_it_is_asked_to_and_nothing_that_nobody_was_to_hear() -> None:
    ledger = Ledger()
    ledger.enter("kalshi", change(), [1], [])
    ledger.on = True
    ledger.enter("kalshi", change(), [], [])
    assert ledger.rows(0, 10) == []

    ledger.enter("kalshi", change(), [], [2])

    assert [(row["number"], row["told"], row["withheld"]) for row in ledger.rows(0, 10)] == [(1, [], [2])]


def test_an_entry_is_the_state_of_its_moment_though_the_market_moves_on() -> None:
    ledger, told = Ledger(), change(bid_ppm=None, trade=Trade(410_000, 100, "buy"))
    ledger.on = True
    ledger.enter("kalshi", told, [1, 3], [])
    told.state.bid_ppm = 999

    (row,) = ledger.rows(0, 10)

    assert row == {
        "number": 1,
        "venue": "kalshi",
        "market": "M",
        "ts_us": T0 + 1,
        "kind": "quote",
        "bid": None,
        "ask": 0.42,
        "last": None,
        "trade": True,
        "told": [1, 3],
        "withheld": [],
    }


def test_rows_are_paged_by_number_and_the_oldest_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "KEPT", 5)
    ledger = Ledger()
    ledger.on = True
    for at_us in range(8):
        ledger.enter("kalshi", change(at_us), [1], [])

    pages = [[row["number"] for row in ledger.rows(after, 2)] for after in (0, 5, 7, 8)]

    assert pages == [[4, 5], [6, 7], [8], []]


def test_an_end_is_named_by_its_line() -> None:
    ledger, told = Ledger(), change()
    ledger.on = True
    told.line = Settle(T0 + 5, "M", 0)
    ledger.enter("kalshi", told, [1], [])

    assert [(row["kind"], row["trade"]) for row in ledger.rows(0, 1)] == [("settle", False)]

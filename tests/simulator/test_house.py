"""The house tape: deterministic by seed, believable, and its truth file is true."""

from __future__ import annotations

from collections import Counter
from itertools import islice, takewhile
from typing import Any

import pytest

from schemas.units import PPM
from simulator.house import HouseTape
from simulator.tape import VENUES, Close, Line, Market, Quote, Settle, format_line
from simulator.world import World

START_US = 1_790_000_000_000_000
HOUR_US = 3_600_000_000


def played(
    venue: str, hours: float, *, seed: int = 1, markets: int = 200, truth: list[dict[str, Any]] | None = None
) -> list[Line]:
    tape = HouseTape(seed, markets, START_US, None if truth is None else truth.append)
    return list(takewhile(lambda line: (line.ts_us or 0) <= START_US + hours * HOUR_US, tape.lines(venue)))


@pytest.mark.parametrize("venue", VENUES)
def test_the_same_seed_and_start_give_the_same_tape_and_another_seed_another(venue: str) -> None:
    first, again = (b"\n".join(map(format_line, played(venue, 1))) for _ in range(2))

    assert first == again
    assert first != b"\n".join(map(format_line, played(venue, 1, seed=2)))


@pytest.mark.parametrize("venue", VENUES)
def test_time_never_goes_back_and_every_market_is_introduced_once(venue: str) -> None:
    lines = played(venue, 3)
    known: set[str] = set()
    latest = 0

    for line in lines:
        assert line.ts_us is not None
        assert line.ts_us >= latest
        latest = line.ts_us
        if isinstance(line, Market):
            assert line.market not in known
            known.add(line.market)
        else:
            assert line.market in known


@pytest.mark.parametrize("venue", VENUES)
def test_quotes_lie_on_the_markets_grid_with_the_bid_under_the_ask(venue: str) -> None:
    ticks: dict[str, int] = {}
    for line in played(venue, 3):
        if isinstance(line, Market):
            ticks[line.market] = round(line.tick * PPM)
        elif isinstance(line, Quote):
            for price in (line.bid_ppm, line.ask_ppm, line.last_ppm):
                assert price is None or (0 < price < PPM and price % ticks[line.market] == 0)
            assert line.bid_ppm is None or line.ask_ppm is None or line.bid_ppm < line.ask_ppm


@pytest.mark.parametrize("venue", VENUES)
def test_truth_names_the_mids_quoted_before_and_at_each_jump(venue: str) -> None:
    truth: list[dict[str, Any]] = []
    lines = played(venue, 6, truth=truth)
    quotes: dict[str, list[Quote]] = {}
    for line in lines:
        if isinstance(line, Quote):
            quotes.setdefault(line.market, []).append(line)

    truth = [row for row in truth if row["ts_us"] <= (lines[-1].ts_us or 0)]
    assert len(truth) > 20
    for row in truth:
        after = next(quote for quote in quotes[row["market"]] if quote.ts_us == row["ts_us"])
        before = quotes[row["market"]][quotes[row["market"]].index(after) - 1]
        assert (row["price_before"], row["price_after"]) == (mid(before), mid(after))


def test_a_jump_moves_its_market_its_way() -> None:
    truth: list[dict[str, Any]] = []
    played("kalshi", 12, truth=truth)

    hits = [r for r in truth if r["jump_logit"] and r["price_before"] and r["price_after"]]
    hits = [r for r in hits if 0.1 < r["price_before"] < 0.9 and abs(r["jump_logit"]) > 0.6]
    right = [r for r in hits if (r["price_after"] - r["price_before"]) * r["jump_logit"] > 0]
    assert len(hits) > 10
    assert len(right) >= 0.9 * len(hits)


def test_an_exclusive_events_chances_sum_to_about_one() -> None:
    lines = played("polymarket", 0.0)
    events: dict[str, list[str]] = {}
    mids: dict[str, float] = {}
    for line in lines:
        if isinstance(line, Market) and line.exclusive:
            events.setdefault(line.event, []).append(line.market)
        elif isinstance(line, Quote) and line.bid_ppm and line.ask_ppm and line.ask_ppm - line.bid_ppm <= 30_000:
            mids[line.market] = (line.bid_ppm + line.ask_ppm) / 2 / PPM

    sums = [sum(mids[m] for m in names) for names in events.values() if all(m in mids for m in names)]
    assert sums
    assert all(0.85 < total < 1.15 for total in sums)


@pytest.mark.parametrize("venue", VENUES)
def test_ended_markets_run_to_their_result_empty_close_and_settle_and_are_replaced(venue: str) -> None:
    world = World()
    lines = played(venue, 6, markets=400)
    last_mid: dict[str, float] = {}
    order: dict[str, list[str]] = {}
    for line in lines:
        world.apply(line)
        if isinstance(line, Quote):
            if line.bid_ppm is None and line.ask_ppm is None:
                order.setdefault(line.market, []).append("empty")
            else:
                ask = PPM if line.ask_ppm is None else line.ask_ppm
                last_mid[line.market] = ((line.bid_ppm or 0) + ask) / 2 / PPM
        elif isinstance(line, Close | Settle):
            order.setdefault(line.market, []).append(type(line).__name__)

    settled = [line for line in lines if isinstance(line, Settle)]
    assert len(settled) > 5
    assert all(order[line.market][-3:] == ["empty", "Close", "Settle"] for line in settled)
    near = [line for line in settled if abs(last_mid[line.market] - (1 - line.winner)) < 0.25]
    assert len(near) >= 0.8 * len(settled)
    assert world.open_count() >= 200


def test_the_tape_has_thin_markets_many_categories_and_both_sorts_of_events() -> None:
    markets = [line for line in islice(HouseTape(1, 500, START_US).lines("kalshi"), 500) if isinstance(line, Market)]
    one_sided = [
        line
        for line in played("kalshi", 1)
        if isinstance(line, Quote) and (line.bid_ppm is None) != (line.ask_ppm is None)
    ]

    assert len({market.category for market in markets}) >= 8
    assert {market.exclusive for market in markets} == {True, False}
    assert max(Counter(market.event for market in markets).values()) >= 4
    assert one_sided


def mid(quote: Quote) -> float | None:
    if quote.bid_ppm is None or quote.ask_ppm is None:
        return None
    return (quote.bid_ppm + quote.ask_ppm) // 2 / PPM

"""One venue's state at an instant: what a line does to its market, and the book and history behind a row."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.units import PPM
from simulator.tape import Close, Line, Market, Quote, Settle, Trade
from simulator.world import BOOK_DEPTH, HISTORY_LENGTH, HISTORY_STEP_US, WIDE_PPM, Change, MarketState, World

T0 = 1_790_000_000_000_000
MARKET = Market(venue="kalshi", market="KXTEST-26DEC31-T5", title="Will it?", ts_us=T0)


def world(*lines: Line) -> tuple[World, MarketState]:
    """A venue after its market and these lines."""
    played = World()
    for line in (MARKET, *lines):
        played.apply(line)
    return played, played.states[MARKET.market]


def quote(at_s: int, bid: int | None, ask: int | None, **more: Any) -> Quote:
    return Quote(T0 + at_s * 1_000_000, MARKET.market, bid, ask, **more)


_PRICES = st.none() | st.integers(1, 99).map(lambda cents: cents * 10_000)


@given(_PRICES, _PRICES, _PRICES)
def test_the_shown_price_is_the_mid_of_a_book_not_too_wide_and_else_the_last_trade(
    bid: int | None, ask: int | None, last: int | None
) -> None:
    _, state = world(quote(1, bid, ask, last_ppm=last))

    narrow = bid is not None and ask is not None and ask - bid <= WIDE_PPM
    assert state.price_ppm() == ((bid + ask) // 2 if narrow and bid and ask else last)
    assert state.spread_ppm == (None if bid is None or ask is None else ask - bid)


@given(_PRICES, _PRICES, st.sampled_from([0.001, 0.01]))
def test_a_book_has_its_best_prices_first_lies_inside_and_stays_put(
    bid: int | None, ask: int | None, tick: float
) -> None:
    _, state = world(quote(1, bid, ask, bid_centi=700, ask_centi=900))
    state.market = replace(state.market, tick=tick)

    bids, asks = state.book()

    assert max(bids, default=None) == bid
    assert min(asks, default=None) == ask
    assert (bids.get(bid or 0), asks.get(ask or 0)) == (700 if bid else None, 900 if ask else None)
    for side in (bids, asks):
        assert len(side) <= BOOK_DEPTH
        assert all(0 < price < PPM and size > 0 for price, size in side.items())
    assert state.book() == (bids, asks)


def test_a_deep_level_keeps_its_size_while_the_best_moves_away_from_it() -> None:
    played, state = world(quote(1, 500_000, 510_000))
    deep = state.book()[0][490_000]

    played.apply(quote(2, 520_000, 530_000))

    assert state.book()[0][490_000] == deep


def test_what_a_quote_does_not_say_keeps_its_value_but_a_side_it_lacks_is_empty() -> None:
    played, state = world(quote(1, 400_000, 420_000, last_ppm=410_000, volume=9.0, volume_24h=3.0))

    played.apply(quote(2, None, 430_000))

    assert (state.bid_ppm, state.ask_ppm, state.last_ppm) == (None, 430_000, 410_000)
    assert (state.volume, state.volume_24h) == (9.0, 3.0)


@pytest.mark.parametrize(("winner", "price"), [(0, PPM), (1, 0)])
def test_a_settled_market_shows_its_result_and_nothing_moves_it_again(winner: int, price: int) -> None:
    played, state = world(
        quote(1, 400_000, 420_000), Close(T0 + 2_000_000, MARKET.market), Settle(T0 + 3_000_000, MARKET.market, winner)
    )

    for line in (quote(4, 400_000, 420_000), Close(T0 + 5_000_000, MARKET.market)):
        played.apply(line)

    assert (state.phase, state.winner, state.price_ppm()) == ("settled", winner, price)
    assert (state.bid_ppm, state.ask_ppm) == (None, None)
    assert (state.ended_us, state.settled_us, state.changed_us) == (T0 + 2_000_000, T0 + 3_000_000, T0 + 3_000_000)
    assert played.open_count() == 0


def test_a_market_without_an_instant_is_listed_with_its_first_quote() -> None:
    played = World()
    heard: list[Change] = []
    played.listeners.append(heard.append)
    played.apply(replace(MARKET, ts_us=None))
    assert (played.knows(MARKET.market), played.states, heard) == (True, {}, [])

    played.apply(quote(5, 400_000, 420_000))

    assert [(change.listed, type(change.line)) for change in heard] == [(True, Quote)]
    assert played.states[MARKET.market].listed_us == T0 + 5_000_000


def test_a_listener_hears_of_each_change_with_the_book_before_it() -> None:
    played, state = world(quote(1, 400_000, 420_000))
    before = state.book()
    heard: list[Change] = []
    played.listeners.append(heard.append)

    played.apply(quote(2, 410_000, 430_000, trade=Trade(420_000, 100, "buy")))

    assert [(change.bids, change.asks, change.listed) for change in heard] == [(*before, False)]
    assert [(trade.number, trade.trade.size_centi) for trade in played.trades] == [(1, 100)]


def test_history_has_a_price_a_minute_and_forgets_its_oldest_quarter() -> None:
    played, state = world()
    count = HISTORY_LENGTH + 1
    for number in range(2 * count):
        at_us = T0 + number * HISTORY_STEP_US // 2
        played.apply(Quote(at_us, MARKET.market, 400_000 + number % 7 * 10_000, 450_000))

    assert len(state.history_us) == len(state.history_ppm) == count - HISTORY_LENGTH // 4
    steps = {after - before for before, after in zip(state.history_us, state.history_us[1:], strict=False)}
    assert steps == {HISTORY_STEP_US}
    assert state.price_at(state.history_us[0] - 1) is None
    assert state.price_at(state.history_us[3] + HISTORY_STEP_US - 1) == state.history_ppm[3]
    assert state.price_at(T0 * 2) == state.history_ppm[-1]


def test_a_past_reaches_from_the_opening_to_the_first_price_and_is_the_same_each_time() -> None:
    hour_us = 60 * HISTORY_STEP_US
    opened = replace(MARKET, opened_us=T0 - 20 * hour_us)
    played, twin = World(T0 - 25 * hour_us), World(T0 - 25 * hour_us)
    for each in (played, twin):
        each.apply(opened)
        each.apply(quote(1, 400_000, 420_000))
    state, tick = played.states[MARKET.market], played.states[MARKET.market].tick_ppm

    told = list(state.history(0, T0 + hour_us, 300 * 1_000_000))

    assert told[0][0] == T0 - 20 * hour_us
    assert told[-1] == (T0 + 1_000_000, 410_000)
    assert len(told) == 20 * 12 + 2
    assert len({ppm for _, ppm in told}) > 3
    assert all(0 < ppm < PPM and ppm % tick == 0 for _, ppm in told)
    assert told == list(twin.states[MARKET.market].history(0, T0 + hour_us, 300 * 1_000_000))
    assert state.price_at(T0 - 20 * hour_us - 1) is None
    assert abs((state.price_at(T0) or 0) - 410_000) <= tick


def test_without_a_past_nothing_is_known_of_before_the_first_price() -> None:
    _, state = world(quote(1, 400_000, 420_000))

    assert state.price_at(T0) is None
    assert list(state.history(0, T0 + 10_000_000, 60_000_000)) == [(T0 + 1_000_000, 410_000)]


def test_a_book_before_a_change_is_made_only_when_somebody_asks() -> None:
    played, state = world(quote(1, 400_000, 420_000))
    heard: list[Change] = []
    played.listeners.append(heard.append)

    played.apply(quote(2, 410_000, 430_000))

    assert "book_before" not in vars(heard[0])
    assert max(heard[0].bids) == 400_000
    assert state.bid_ppm == 410_000


def test_rows_are_rendered_again_after_a_change_and_those_of_the_event_after_an_end() -> None:
    played, state = world(quote(1, 400_000, 420_000))
    played.apply(replace(MARKET, market="KXTEST-26DEC31-T6"))
    sibling = played.states["KXTEST-26DEC31-T6"]
    assert played.event_of(state) == [state, sibling]

    for line, gone in ((quote(2, 400_000, 420_000), True), (Close(T0 + 3_000_000, MARKET.market), False)):
        state.rendered["row"] = sibling.rendered["row"] = b""
        played.apply(line)
        assert state.rendered == {}
        assert bool(sibling.rendered) is gone

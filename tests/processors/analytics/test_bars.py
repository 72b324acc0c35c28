from __future__ import annotations

import itertools
import math
import struct
from dataclasses import replace
from functools import reduce

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.analytics.bars import BarState, OpenBar, close_by_time, closes_us, merge, update
from schemas.events import Bar, Tick
from schemas.units import PPM, US_PER_S
from tests.processors.ticks import START_US, make_tick

MINUTE_US = 60_000_000
EDGE_S = (60 - START_US // 1_000_000 % 60) % 60
"""Seconds from START_US to the next whole minute."""


def play(ticks: list[Tick]) -> tuple[BarState | None, list[Bar]]:
    stored: bytes | None = None
    bars = []
    for tick in ticks:
        state, bar = update(None if stored is None else BarState.unpack(stored), tick)
        stored = None if state is None else state.pack()
        if bar is not None:
            bars.append(bar)
    return None if stored is None else BarState.unpack(stored), bars


def test_a_bar_comes_with_the_first_tick_of_a_later_minute() -> None:
    prices = [(0, 500_000), (20, 520_000), (40, 480_000), (59.999999, 510_000), (60, 700_000)]

    _, bars = play([make_tick(EDGE_S + at, price) for at, price in prices])

    (bar,) = bars
    assert (bar.open_ppm, bar.high_ppm, bar.low_ppm, bar.close_ppm) == (500_000, 520_000, 480_000, 510_000)
    assert (bar.ticks, bar.bar_s) == (4, 60)
    assert bar.bar_start_us == START_US + EDGE_S * 1_000_000
    assert bar.ts_event_us == bar.bar_start_us + 59_999_999


def test_minutes_without_a_tick_have_no_bar() -> None:
    _, bars = play([make_tick(EDGE_S + at, 500_000) for at in (0, 600, 1200)])

    assert [(b.bar_start_us - START_US) // 1_000_000 - EDGE_S for b in bars] == [0, 600]


def test_volume_goes_to_the_bar_of_the_tick_that_tells_it() -> None:
    counters = [(0, 100.0), (30, 150.0), (90, 250.0), (100, 0.0), (110, 260.0), (130, 260.0), (200, 260.0)]

    _, bars = play([make_tick(EDGE_S + at, 500_000, volume_total_usd=usd) for at, usd in counters])

    assert [b.volume_usd for b in bars] == [50.0, 110.0, 0.0]


def test_contracts_are_valued_at_the_price_and_unknown_volume_stays_unknown() -> None:
    ticks = [make_tick(EDGE_S + at, 250_000, volume_total_contracts=n) for at, n in [(0, 10.0), (30, 14.0)]]
    ticks += [make_tick(EDGE_S + 60, 250_000), make_tick(EDGE_S + 120, 250_000, volume_total_contracts=18.0)]
    ticks += [make_tick(EDGE_S + 180, 250_000)]

    _, bars = play(ticks)

    assert [b.volume_usd for b in bars] == [1.0, None, 1.0]


def test_a_venue_that_changes_its_counter_tells_no_volume_for_that_step() -> None:
    counters = [{"volume_total_contracts": 10.0}, {"volume_total_usd": 900.0}, {"volume_total_usd": 950.0}, {}]

    _, bars = play([make_tick(EDGE_S + 60 * i, 500_000, **counter) for i, counter in enumerate(counters)])

    assert [b.volume_usd for b in bars] == [None, None, 50.0]


def test_trades_are_summed_when_a_tick_tells_them() -> None:
    trades = [(0, None), (10, 2), (20, 3), (60, None), (120, 1)]

    _, bars = play([make_tick(EDGE_S + at, 500_000, trades=n) for at, n in trades])

    assert [b.trades for b in bars] == [5, None]


def test_an_unpriced_tick_ends_a_bar_and_starts_none() -> None:
    ticks = [make_tick(EDGE_S, 500_000), make_tick(EDGE_S + 30, None), make_tick(EDGE_S + 90, None)]

    state, bars = play([*ticks, make_tick(EDGE_S + 95, None), make_tick(EDGE_S + 100, 600_000)])

    assert [b.ticks for b in bars] == [1]
    assert state is not None
    assert state.bar is not None
    assert state.bar.open_ppm == 600_000


def test_a_late_tick_corrects_the_bar_told_last_and_tells_it_again() -> None:
    ticks = [make_tick(EDGE_S + 10, 500_000), make_tick(EDGE_S + 50, 510_000), make_tick(EDGE_S + 90, None)]
    state, (told,) = play(ticks)

    state, high = update(state, make_tick(EDGE_S + 40, 900_000))
    state, opening = update(state, make_tick(EDGE_S + 5, 100_000))
    _, nothing = update(state, make_tick(EDGE_S + 40, 900_000))

    assert high == replace(told, high_ppm=900_000, ts_received_us=told.ts_received_us)
    assert opening == replace(told, high_ppm=900_000, open_ppm=100_000, low_ppm=100_000)
    assert nothing is None


def test_a_late_tick_corrects_the_growing_bar() -> None:
    state, _ = play([make_tick(EDGE_S + 10, 500_000), make_tick(EDGE_S + 50, 510_000)])

    state, nothing = update(state, make_tick(EDGE_S + 30, 700_000))
    _, bar = update(state, make_tick(EDGE_S + 60, 500_000))

    assert nothing is None
    assert bar is not None
    assert (bar.open_ppm, bar.high_ppm, bar.close_ppm, bar.ticks) == (500_000, 700_000, 510_000, 2)


def test_a_late_tick_of_an_older_minute_changes_nothing() -> None:
    state, _ = play([make_tick(EDGE_S + at, 500_000) for at in (0, 60, 120)])

    assert update(state, make_tick(EDGE_S + 30, 900_000)) == (state, None)


def test_an_early_tick_changes_nothing() -> None:
    state, _ = play([make_tick(EDGE_S, 500_000)])

    assert update(state, make_tick(EDGE_S + 86_400, 1, ts_received_us=START_US)) == (state, None)


def test_the_last_bar_of_a_quiet_market_comes_when_time_has_passed() -> None:
    state, _ = play([make_tick(EDGE_S, 500_000), make_tick(EDGE_S + 30, 520_000)])
    due_us = closes_us(state)

    assert due_us == START_US + (EDGE_S + 65) * US_PER_S
    assert close_by_time(state, "KALSHI:A", due_us - 1) == (state, None)
    closed, bar = close_by_time(state, "KALSHI:A", due_us)
    assert bar is not None
    assert (bar.open_ppm, bar.close_ppm, bar.ticks, bar.token_id) == (500_000, 520_000, 2, "KALSHI:A:YES")
    assert closes_us(closed) is None
    assert close_by_time(closed, "KALSHI:A", due_us + US_PER_S) == (closed, None)


def test_a_bar_closed_by_time_is_the_bar_that_a_later_tick_would_have_closed() -> None:
    state, _ = play([make_tick(EDGE_S, 500_000), make_tick(EDGE_S + 30, 520_000)])

    _, by_time = close_by_time(state, "KALSHI:A", START_US + (EDGE_S + 65) * US_PER_S)
    _, by_tick = update(state, make_tick(EDGE_S + 60, 1))

    assert by_time == by_tick


def test_a_tick_in_order_for_a_minute_that_time_has_closed_tells_it_again() -> None:
    state, _ = play([make_tick(EDGE_S, 500_000, trades=1)])
    state, first = close_by_time(state, "KALSHI:A", START_US + (EDGE_S + 65) * US_PER_S)

    state, second = update(state, make_tick(EDGE_S + 59, 600_000, trades=2))
    _, third = update(state, make_tick(EDGE_S + 60, 700_000))

    assert first is not None
    assert second is not None
    assert (second.event_id, second.close_ppm, second.trades, second.ticks) == (first.event_id, 600_000, 3, 2)
    assert third is None


def test_trades_and_volume_of_unpriced_ticks_are_not_lost() -> None:
    usd = iter(range(100, 1000, 10))
    prices = [500_000, None, None, None, 510_000, 520_000]
    moments = [0, 30, 65, 90, 130, 200]
    ticks = [
        make_tick(EDGE_S + at, price, trades=1, volume_total_usd=float(next(usd)))
        for at, price in zip(moments, prices, strict=True)
    ]

    _, bars = play(ticks)

    assert [(b.trades, b.volume_usd) for b in bars] == [(2, 10.0), (3, 30.0)]


def test_a_market_without_price_is_not_remembered() -> None:
    assert play([make_tick(0, None), make_tick(100, None)]) == (None, [])


def bar_parts() -> st.SearchStrategy[list[OpenBar]]:
    price = st.integers(0, 1_000_000)
    part = st.builds(
        lambda p, usd, n: (p, usd, n),
        price,
        st.none() | st.integers(0, 1000).map(float),
        st.none() | st.integers(0, 9),
    )
    return st.lists(part, min_size=1, max_size=30).map(
        lambda parts: [
            OpenBar(
                start_us=0,
                open_ppm=p,
                high_ppm=p,
                low_ppm=p,
                close_ppm=p,
                first_event_us=i,
                last_event_us=i,
                last_received_us=i,
                volume_usd=usd,
                trades=n,
                ticks=1,
            )
            for i, (p, usd, n) in enumerate(parts)
        ]
    )


@given(bar_parts(), st.data())
def test_the_bars_of_parts_merge_to_the_bar_of_the_whole(parts: list[OpenBar], data: st.DataObject) -> None:
    cuts = sorted({0, len(parts), *data.draw(st.lists(st.integers(0, len(parts))))})
    pieces = [reduce(merge, parts[a:b]) for a, b in itertools.pairwise(cuts)]

    assert reduce(merge, pieces) == reduce(merge, parts)


_STEPS = st.lists(
    st.tuples(
        st.floats(0.001, 100),
        st.none() | st.integers(0, 1_000_000),
        st.sampled_from([0, 5, 100]),
        st.none() | st.integers(0, 3),
    ),
    max_size=60,
)


@given(_STEPS, st.data())
@settings(max_examples=150)
def test_bars_agree_with_a_brute_force_in_whatever_order_ticks_come_again(
    steps: list[tuple[float, int | None, int, int | None]], data: st.DataObject
) -> None:
    ticks, at_s, usd = [], 0.0, 0.0
    for gap, price, traded, trades in steps:
        at_s, usd = at_s + gap, usd + traded
        ticks.append(make_tick(round(at_s, 6), price, volume_total_usd=usd, trades=trades))
    again = [t for i, tick in enumerate(ticks) for t in (tick, ticks[data.draw(st.integers(0, i))])]

    state, bars = play(ticks)
    state_again, bars_again = play(again)

    assert state_again == state
    assert bars_again == bars
    state, last = close_by_time(state, "KALSHI:A", 1 << 62)
    told = {b.bar_start_us: b for b in [*bars, *([last] if last is not None else [])]}
    assert {start: shape(bar) for start, bar in told.items()} == brute_force(ticks)


def shape(bar: Bar) -> tuple[object, ...]:
    return (bar.open_ppm, bar.high_ppm, bar.low_ppm, bar.close_ppm, bar.ticks, bar.volume_usd, bar.trades)


def brute_force(ticks: list[Tick]) -> dict[int, tuple[object, ...]]:
    """All bars of a market from all its ticks: each sum goes to the first bar that has a price from then on."""
    first = next((i for i, t in enumerate(ticks) if t.price_ppm is not None), len(ticks))
    minutes: dict[int, list[int]] = {}
    for tick in ticks[first:]:
        if tick.price_ppm is not None:
            minutes.setdefault(tick.ts_event_us // MINUTE_US * MINUTE_US, []).append(tick.price_ppm)
    usd: dict[int, float] = {}
    trades: dict[int, int] = {}
    for before, tick in zip([None, *ticks[first:]], ticks[first:], strict=False):
        minute = tick.ts_event_us // MINUTE_US * MINUTE_US
        # An unpriced tick before its minute's first price waits; so does one of a minute without any.
        starts = [
            t.ts_event_us // MINUTE_US * MINUTE_US
            for t in ticks
            if t.price_ppm is not None and t.ts_event_us >= tick.ts_event_us
        ]
        opened = any(
            t.price_ppm is not None
            and t.ts_event_us // MINUTE_US * MINUTE_US == minute
            and t.ts_event_us <= tick.ts_event_us
            for t in ticks
        )
        home = minute if opened else next(iter(starts), None)
        if home is None:
            continue
        if before is not None:
            usd[home] = usd.get(home, 0.0) + (tick.volume_total_usd or 0.0) - (before.volume_total_usd or 0.0)
        if tick.trades is not None:
            trades[home] = trades.get(home, 0) + tick.trades
    return {
        start: (p[0], max(p), min(p), p[-1], len(p), usd.get(start), trades.get(start)) for start, p in minutes.items()
    }


@given(_STEPS, st.data())
@settings(max_examples=100)
def test_ticks_in_any_order_never_double_and_never_invent_a_price(
    steps: list[tuple[float, int | None, int, int | None]], data: st.DataObject
) -> None:
    moments = list(itertools.accumulate((min(gap, 20.0) for gap, *_ in steps), initial=0.0))[1:]
    ticks = [make_tick(round(at, 6), price or 1) for at, (_, price, *_) in zip(moments, steps, strict=True)]
    delays = [data.draw(st.floats(0, 30)) for _ in ticks]
    arrived = [t for _, t in sorted(zip(delays, ticks, strict=True), key=lambda x: x[0] * 1e6 + x[1].ts_event_us)]

    state, bars = play(arrived)
    _, last = close_by_time(state, "KALSHI:A", 1 << 62)

    told = {b.bar_start_us: b for b in [*bars, *([last] if last is not None else [])]}
    prices: dict[int, list[int]] = {}
    for tick in ticks:
        assert tick.price_ppm is not None
        prices.setdefault(tick.ts_event_us // MINUTE_US * MINUTE_US, []).append(tick.price_ppm)
    for start, bar in told.items():
        assert min(prices[start]) <= bar.low_ppm <= bar.high_ppm <= max(prices[start])
        assert bar.ticks <= len(prices[start])


def test_a_state_lies_in_the_bytes_in_which_version_2_always_had_it() -> None:
    def lies(which: int, bar: OpenBar) -> bytes:
        moments = (bar.last_received_us, bar.start_us, bar.first_event_us, bar.last_event_us)
        prices = (bar.open_ppm, bar.high_ppm, bar.low_ppm, bar.close_ppm)
        volume_usd = math.nan if bar.volume_usd is None else bar.volume_usd
        trades = -1 if bar.trades is None else bar.trades
        return struct.pack("<BIqqqqiiiidq", which, bar.ticks, *moments, *prices, volume_usd, trades)

    before = OpenBar(
        start_us=MINUTE_US,
        open_ppm=1,
        high_ppm=PPM,
        low_ppm=0,
        close_ppm=2,
        first_event_us=MINUTE_US + 1,
        last_event_us=2**53,
        last_received_us=2**60,
        volume_usd=None,
        trades=None,
        ticks=2**31 - 1,
    )
    bar = replace(before, start_us=2 * MINUTE_US, volume_usd=0.1, trades=7, ticks=1)
    state = BarState(
        venue="kalshi",
        token_id="7" * 300,
        newest_us=2**53,
        price_ppm=3,
        counter_kind=1,
        counter=1e300,
        bar=bar,
        is_told=True,
        before=before,
        carried_usd=2.5,
        carried_trades=0,
    )
    head = struct.pack("<BBBBHiqddq", 2, 1, 2, 6, 300, 3, 2**53, 1e300, 2.5, 0) + b"kalshi" + b"7" * 300

    assert state.pack() == head + lies(2, bar) + lies(0, before)
    assert BarState.unpack(state.pack()) == state
    grows = replace(state, is_told=False, before=None, carried_usd=None, carried_trades=None)
    head = struct.pack("<BBBBHiqddq", 2, 1, 1, 6, 300, 3, 2**53, 1e300, math.nan, -1) + b"kalshi" + b"7" * 300
    assert grows.pack() == head + lies(1, bar)
    assert BarState.unpack(grows.pack()) == grows
    alone = BarState.unpack(head + lies(0, before))
    assert (alone.bar, alone.is_told, alone.before) == (before, True, None), "told by time, as version 2 first wrote it"


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x09" * 70])
def test_stored_bytes_of_another_version_or_length_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="bar state"):
        BarState.unpack(data)

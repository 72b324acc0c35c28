from __future__ import annotations

import itertools
from functools import reduce

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.analytics.bars import BarState, OpenBar, is_late, merge, update
from schemas.events import Bar, Tick
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
    counters = [(0, 100.0), (30, 150.0), (90, 250.0), (100, 200.0), (110, 210.0), (130, 210.0), (200, 210.0)]

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


def test_a_tick_for_a_minute_that_was_told_is_late() -> None:
    state, bars = play([make_tick(EDGE_S, 500_000), make_tick(EDGE_S + 90, None)])
    late = make_tick(EDGE_S + 40, 900_000)

    assert len(bars) == 1
    assert is_late(state, late)
    assert update(state, late) == (state, None)


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


@given(st.lists(st.tuples(st.floats(0.001, 100), st.none() | st.integers(0, 1_000_000)), max_size=60))
@settings(max_examples=100, deadline=None)
def test_bars_agree_with_a_brute_force_over_all_ticks(steps: list[tuple[float, int | None]]) -> None:
    ticks, at_s = [], 0.0
    for gap, price in steps:
        at_s += gap
        ticks.append(make_tick(round(at_s, 6), price))

    state, bars = play([t for tick in ticks for t in (tick, tick)])

    minutes: dict[int, list[int]] = {}
    for tick in ticks:
        if tick.price_ppm is not None:
            minutes.setdefault(tick.ts_event_us // MINUTE_US * MINUTE_US, []).append(tick.price_ppm)
    if state is not None and state.bar is not None:
        del minutes[state.bar.start_us]
    told = {b.bar_start_us: (b.open_ppm, b.high_ppm, b.low_ppm, b.close_ppm, b.ticks) for b in bars}
    assert len(told) == len(bars)
    assert told == {start: (p[0], max(p), min(p), p[-1], len(p)) for start, p in minutes.items()}


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x09" * 70])
def test_stored_bytes_of_another_version_or_length_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="bar state"):
        BarState.unpack(data)

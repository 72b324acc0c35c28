from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.analytics.moves import update
from processors.analytics.windows import MAX_TAIL_POINTS, MIN_EXACT_POINTS, History, WindowPlan
from schemas.events import Move, Tick
from schemas.units import US_PER_S
from tests.processors.analytics.brute_force import Spell, expected, spells, standing
from tests.processors.ticks import START_US, make_tick

WINDOWS = (300, 900, 3600, 86400)
PLAN = WindowPlan(WINDOWS)


def play(ticks: list[Tick], plan: WindowPlan = PLAN) -> tuple[History | None, list[Move]]:
    """Runs ticks through, storing and reading back the history after each, as the processor does."""
    stored: tuple[bytes | None, bytes | None] = (None, None)
    history: History | None = None
    moves = []
    for tick in ticks:
        history = None if stored[0] is None else History.unpack(stored[0], stored[1])
        history, move = update(history, tick, plan)
        stored = (None, None) if history is None else history.pack()
        if move is not None:
            moves.append(move)
    return history, moves


_KINDS: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {"heartbeat_s": 60},
        {"heartbeat_s": 60},
        {"heartbeat_s": 15, "source": "hot"},
        {"heartbeat_s": 0, "source": "stream"},
        {"heartbeat_s": 60, "price_basis": "last"},
        {"heartbeat_s": 1000},
        {},
    ]
)


@st.composite
def tick_lists(draw: st.DrawFn, max_size: int, gap: st.SearchStrategy[float]) -> list[Tick]:
    gaps = draw(st.lists(gap, min_size=1, max_size=max_size))
    prices = st.one_of(st.integers(0, 1_000_000), st.sampled_from([400_000, 500_000]), st.none())
    ticks, at_s, volume = [], 0.0, 0.0
    for step in gaps:
        at_s += step
        volume += draw(st.sampled_from([0.0, 0.0, 12.5, 100.0]))
        kind: dict[str, Any] = draw(_KINDS)
        ticks.append(make_tick(round(at_s, 6), draw(prices), volume_total_usd=volume, **kind))
    return ticks


GAPS = st.one_of(st.floats(0.001, 30), st.floats(30, 4000), st.floats(4000, 90_000))


@given(tick_lists(120, GAPS))
@settings(max_examples=150)
def test_short_histories_answer_exactly(ticks: list[Tick]) -> None:
    _, moves = play(ticks)

    by_ts = {m.ts_event_us: m for m in moves}
    for index, tick in enumerate(ticks):
        found = spells(ticks[: index + 1])
        move = by_ts.get(tick.ts_event_us)
        if move is None:
            assert tick.price_ppm is None
            continue
        said = [replace(w, score=None, volume_usd=None, trades=None) for w in move.windows]
        assert said == [expected(found, tick, w) for w in WINDOWS]
        assert move.standing_ppm == (
            None if tick.price_ppm is None else standing(found, tick.ts_event_us, tick.price_ppm)
        )


def assert_in_force(found: list[Spell], window_us: int, ts_us: int, price_then_ppm: int | None) -> None:
    """The law of thinned histories: the price held at some moment between 1.02 windows and one window ago."""
    latest_us = ts_us - window_us
    earliest_us = latest_us - window_us // 50
    assert any(s.price_ppm == price_then_ppm and s.from_us <= latest_us and s.until_us > earliest_us for s in found), (
        price_then_ppm,
        window_us,
    )


@given(
    st.integers(0, 2**32),
    st.sampled_from([0.5, 2.9, 3.1, 5.9, 11, 61, 400]),
    st.sampled_from([WINDOWS, (60, 86400), (300, 1000, 7777), (60, 90, 120, 600, 1000, 5000, 20000, 86400)]),
)
@settings(max_examples=30)
def test_long_histories_answer_within_two_percent_of_the_window(
    seed: int, mean_gap_s: float, windows: tuple[int, ...]
) -> None:
    rng, plan = random.Random(seed), WindowPlan(windows)
    ticks, at_s, volume, price = [], 0.0, 0.0, 500_000
    for _ in range(1500):
        at_s += rng.choice([mean_gap_s, rng.expovariate(1 / mean_gap_s) + 0.001])
        price = price if rng.random() < 0.2 else rng.randrange(1_000_000)
        volume += rng.choice([0, 0, 10.0])
        ticks.append(make_tick(round(at_s, 6), price, volume_total_usd=volume))

    history, moves = play(ticks, plan)

    assert history is not None
    assert history.points.count <= plan.exact_points + MAX_TAIL_POINTS
    found = spells(ticks)
    volumes = [(t.ts_event_us, t.volume_total_usd or 0.0) for t in ticks]
    for index in range(300, 1500, 13):
        tick, move = ticks[index], moves[index]
        for window in move.windows:
            window_us = window.window_s * US_PER_S
            if ticks[0].ts_event_us > tick.ts_event_us - window_us:
                assert window.price_then_ppm is None
                continue
            assert_in_force(found, window_us, tick.ts_event_us, window.price_then_ppm)
            assert_volume(volumes[: index + 1], window_us, window.volume_usd)


def assert_volume(volumes: list[tuple[int, float]], window_us: int, volume_usd: float | None) -> None:
    """The volume is that since some moment between 1.02 windows and one window ago."""
    now_us, now_usd = volumes[-1]
    latest = max(v for ts, v in volumes if ts <= now_us - window_us)
    earliest = max((v for ts, v in volumes if ts <= now_us - window_us - window_us // 50), default=0.0)
    assert volume_usd is not None
    assert now_usd - latest - 1e-6 <= volume_usd <= now_usd - earliest + 1e-6


def test_thinning_twice_changes_nothing() -> None:
    history, _ = play([make_tick(i * 5, 100_000 + i) for i in range(2000)])
    assert history is not None

    history._thin(PLAN)
    once = history.points
    history._thin(PLAN)

    assert history.points.body + history.points.tail == once.body + once.tail
    assert once.count < MIN_EXACT_POINTS


def test_a_history_as_long_as_the_limit_is_still_exact() -> None:
    ticks = [make_tick(i, 100_000 + i) for i in range(MIN_EXACT_POINTS)]

    history, _ = play(ticks)

    assert history is not None
    assert [history.points.price_ppm(index) for index in range(history.points.count)] == [t.price_ppm for t in ticks]


def test_a_price_that_never_changes_takes_one_point() -> None:
    history, moves = play([make_tick(i * 60, 400_000) for i in range(2000)])

    assert history is not None
    assert history.points.count == 1
    assert [w.move_pp for w in moves[-1].windows] == [0.0] * 4
    assert moves[-1].windows[3].ts_then_us == START_US


def test_the_price_in_force_a_window_ago_survives_when_it_is_older_than_the_longest_window() -> None:
    ticks = [make_tick(i, 100_000 + i) for i in range(40)]
    late = [make_tick(200_000 + i, 300_000 + i) for i in range(40)]

    history, moves = play(ticks + late)

    assert history is not None
    assert history.points.count < 60
    assert moves[-1].windows[3].price_then_ppm == 100_039
    assert moves[-1].windows[3].ts_then_us == START_US + 39 * US_PER_S


def test_a_price_is_dated_from_its_change_however_long_ago_and_however_much_was_traded_since() -> None:
    ticks = [make_tick(0, 300_000), make_tick(60, 400_000)]
    ticks += [make_tick(60 + 3600 * i, 400_000, volume_total_usd=float(i)) for i in range(1, 100)]

    history, moves = play(ticks)

    assert history is not None
    assert history.points.count < 60
    assert {w.ts_then_us for w in moves[-1].windows} == {START_US + 60 * US_PER_S}


@pytest.mark.parametrize("windows", [WINDOWS, (300, 1000, 7777), (60, 61, 3601)])
def test_cells_are_at_most_two_percent_and_divide_each_other(windows: tuple[int, ...]) -> None:
    plan = WindowPlan(windows)

    assert all(0 < grid <= window // 50 for grid, window in zip(plan.grids_us, plan.windows_us, strict=True))
    assert all(coarse % fine == 0 for fine, coarse in pairwise(plan.grids_us))


def test_coverage_grows_until_the_window_is_full() -> None:
    _, moves = play([make_tick(0, 400_000), make_tick(299.999999, 410_000), make_tick(300, 420_000)])

    assert [m.windows[0].coverage_s for m in moves] == [0, 299, 300]
    assert [m.windows[0].move_pp for m in moves] == [None, None, 2.0]


@pytest.mark.parametrize(
    ("heartbeat_s", "silence_s", "gap"),
    [(60, 150, False), (60, 150.000001, True), (60, 60, False), (0, 100_000, False)],
)
def test_a_gap_is_a_silence_of_more_than_two_and_a_half_heartbeats(
    heartbeat_s: int, silence_s: float, gap: bool
) -> None:
    ticks = [make_tick(0, 400_000, heartbeat_s=heartbeat_s), make_tick(silence_s, 410_000, heartbeat_s=0)]

    _, moves = play(ticks)

    assert [w.computed_across_gap for w in moves[-1].windows] == [gap] * 4


def test_a_gap_is_told_until_it_has_left_the_window() -> None:
    ticks = [make_tick(0, 400_000, heartbeat_s=10), make_tick(100, 400_000), make_tick(399, 400_000)]
    ticks += [make_tick(400, 400_000)]

    _, moves = play(ticks)

    assert [m.windows[0].computed_across_gap for m in moves] == [False, True, True, False]
    assert moves[-1].windows[1].computed_across_gap


@given(tick_lists(80, GAPS))
@settings(max_examples=60)
def test_a_stored_history_reads_back_as_it_was(ticks: list[Tick]) -> None:
    history, _ = play(ticks)
    if history is None:
        return

    head, body = history.pack()

    assert History.unpack(head, body).pack() == (head, body)


@pytest.mark.parametrize("cut", [0, 1, 40, -1])
def test_stored_bytes_that_are_cut_short_are_refused(cut: int) -> None:
    history, _ = play([make_tick(i, 100_000 + i, volume_total_usd=float(i)) for i in range(40)])
    assert history is not None
    head, body = history.pack()
    assert body is not None

    with pytest.raises(ValueError, match=r"history|points"):
        History.unpack(head[:cut], body)
    with pytest.raises(ValueError, match="points"):
        History.unpack(head, body[:cut])


def test_another_version_of_the_stored_bytes_is_refused() -> None:
    head, body = History.start(make_tick(0, 400_000)).pack()

    with pytest.raises(ValueError, match="version"):
        History.unpack(b"\x09" + head[1:], body)


def in_columns(history: History) -> tuple[bytes, bytes | None]:
    """Head and body as version 2 stored them: the points column by column."""
    points = history.points
    rows = [
        (points.ts_us(i), points.area(i), points.price_ppm(i), points.basis(i), points.usd(i), points.trades(i))
        for i in range(points.count)
    ]
    kinds = "qqib" + ("d" if points.has_usd else " ") + ("q" if points.has_trades else " ")

    def columns(some: Sequence[tuple[float, ...]]) -> bytes:
        told = [(place, kind) for place, kind in enumerate(kinds) if kind != " "]
        return b"".join(struct.pack(f"<{len(some)}{kind}", *[row[place] for row in some]) for place, kind in told)

    numbers = history.pack()[0][: -len(points.tail)]
    return b"\x02" + numbers[1:] + columns(rows[points.in_body :]), columns(rows[: points.in_body]) or None


@given(tick_lists(80, GAPS), st.integers(0, 80), st.booleans())
@settings(max_examples=60)
def test_a_history_goes_on_from_the_bytes_of_the_version_before(
    ticks: list[Tick], before: int, with_trades: bool
) -> None:
    if with_trades:
        ticks = [replace(tick, trades=number % 3) for number, tick in enumerate(ticks)]
    history, _ = play(ticks[:before])
    expected, expected_moves = play(ticks)
    if history is None:
        return

    older: History | None = History.unpack(*in_columns(history))
    moves = []
    for tick in ticks[before:]:
        older, move = update(older, tick, PLAN)
        moves += [] if move is None else [move]

    assert older is not None
    assert expected is not None
    assert older.pack() == expected.pack()
    assert moves == expected_moves[len(expected_moves) - len(moves) :]


@given(tick_lists(60, GAPS), st.data())
@settings(max_examples=60)
def test_redelivered_ticks_change_nothing(ticks: list[Tick], data: st.DataObject) -> None:
    again: list[Tick] = []
    for index, tick in enumerate(ticks):
        again.append(tick)
        again.extend(ticks[data.draw(st.integers(0, index)) : index + 1])

    history, moves = play(ticks)
    history_again, moves_again = play(again)

    assert moves_again == moves
    assert (history and history.pack()) == (history_again and history_again.pack())


def test_a_late_tick_is_told_apart_from_an_unpriced_one() -> None:
    history, _ = play([make_tick(10, 400_000)])

    kept, of_the_late = update(history, make_tick(10, 500_000), PLAN)
    _, of_the_unpriced = update(history, make_tick(11, None), PLAN)

    assert kept is history
    assert of_the_late is None
    assert of_the_unpriced is not None
    assert of_the_unpriced.price_ppm is None


@pytest.mark.parametrize("windows", [(), (900, 300), (300, 300), (0, 300)])
def test_windows_must_ascend(windows: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="ascending"):
        WindowPlan(windows)


def test_a_status_nobody_knows_is_refused_before_anything_changes() -> None:
    history, _ = play([make_tick(0, 400_000)])
    assert history is not None
    before = history.pack()

    with pytest.raises(ValueError, match="not in tuple"):
        update(history, make_tick(60, 500_000, market_status="dancing"), PLAN)

    assert history.pack() == before

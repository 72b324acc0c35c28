from __future__ import annotations

from math import log
from typing import Any

import pytest

from schemas.events import Tick
from tests.processors.analytics.test_windows import play
from tests.processors.ticks import START_US, make_tick


def test_a_market_that_never_had_a_price_gives_no_move() -> None:
    history, moves = play([make_tick(0, None), make_tick(60, None, market_status="closed")])

    assert history is None
    assert moves == []


def test_a_lost_price_is_told_once_and_again_when_the_status_changes() -> None:
    ticks = [
        make_tick(0, 400_000),
        make_tick(60, None),
        make_tick(120, None),
        make_tick(180, None, market_status="closed"),
        make_tick(240, None, market_status="closed"),
        make_tick(300, 410_000, market_status="closed"),
    ]

    _, moves = play(ticks)

    assert [((m.ts_event_us - START_US) // 1_000_000, m.price_ppm, m.market_status) for m in moves] == [
        (0, 400_000, "open"),
        (60, None, "open"),
        (180, None, "closed"),
        (300, 410_000, "closed"),
    ]


def test_a_move_without_price_still_tells_the_price_then() -> None:
    _, moves = play([make_tick(0, 400_000), make_tick(300, None)])

    window = moves[-1].windows[0]
    assert (window.price_then_ppm, window.move_pp, window.score) == (400_000, None, None)


def test_a_move_carries_the_ticks_facts() -> None:
    tick = make_tick(0, 400_000, close_ts_us=START_US + 90_500_000, volume_24h_usd=None)

    _, (move,) = play([tick])

    assert (move.spread_ppm, move.seconds_to_close, move.volume_24h_usd) == (10_000, 90, None)
    assert (move.venue, move.market_id, move.token_id) == (tick.venue, tick.market_id, tick.token_id)
    assert (move.ts_event_us, move.ts_received_us) == (tick.ts_event_us, tick.ts_received_us)
    assert (move.price_ppm, move.price_basis, move.step_pp) == (400_000, "mid", None)


def test_the_spread_is_unknown_when_a_side_is_empty() -> None:
    _, (move,) = play([make_tick(0, 400_000, ask_ppm=None)])

    assert move.spread_ppm is None


def test_the_usual_step_is_a_robust_average_of_changes_in_log_odds() -> None:
    _, moves = play([make_tick(0, 500_000), make_tick(1, 505_000), make_tick(2, 505_000), make_tick(3, 500_000)])

    size = log(0.505 / 0.495)
    assert [m.usual_step for m in moves] == [None, *[pytest.approx(size)] * 3]
    assert moves[-1].step_pp == pytest.approx(size * 25)
    assert [m.changes for m in moves] == [0, 1, 1, 2]


def test_one_jump_hardly_changes_what_is_usual() -> None:
    calm = [make_tick(i, 500_000 + 5_000 * (i % 2)) for i in range(20)]

    _, moves = play([*calm, make_tick(20, 900_000)])

    before, after = moves[-2].usual_step, moves[-1].usual_step
    assert before is not None
    assert after == pytest.approx(before * 1.3)


def test_a_change_beyond_the_ends_of_the_scale_is_no_step() -> None:
    _, moves = play([make_tick(i, price) for i, price in enumerate([400, 900, 100, 1_000_000, 999_400])])

    assert moves[-1].usual_step is not None
    assert moves[-1].usual_step > 0


@pytest.mark.parametrize(
    ("price_ppm", "close_s", "status", "settling"),
    [
        (970_000, 3600, "open", True),
        (30_000, 3600, "open", True),
        (969_999, 3600, "open", False),
        (30_001, 3600, "open", False),
        (990_000, 3601, "open", False),
        (990_000, -500, "open", True),
        (990_000, None, "open", False),
        (500_000, 100_000, "closed", True),
        (500_000, None, "paused", True),
        (None, 0, "open", False),
    ],
)
def test_a_price_near_the_end_and_near_certainty_is_settling(
    price_ppm: int | None, close_s: int | None, status: str, settling: bool
) -> None:
    close_us = None if close_s is None else START_US + (100 + close_s) * 1_000_000
    ticks = [make_tick(0, 500_000), make_tick(100, price_ppm, close_ts_us=close_us, market_status=status)]

    _, moves = play(ticks)

    assert moves[-1].is_settling is settling


def volumes(ticks: list[Tick]) -> list[float | None]:
    _, moves = play(ticks)
    return [m.windows[0].volume_usd for m in moves]


def ticks_with(name: str, counters: list[float | None], price_ppm: int = 500_000) -> list[Tick]:
    """One tick every 300 s, so that each window of 5 minutes reaches back to the tick before."""
    extras: list[dict[str, Any]] = [{name: c} for c in counters]
    return [make_tick(300 * i, price_ppm, **extra) for i, extra in enumerate(extras)]


def test_dollars_traded_in_the_window_are_the_counters_difference() -> None:
    assert volumes(ticks_with("volume_total_usd", [1000.0, 1000.0, 1250.5])) == [None, 0.0, 250.5]


def test_contracts_are_valued_at_the_price() -> None:
    assert volumes(ticks_with("volume_total_contracts", [100.0, 150.0], 400_000)) == [None, 20.0]


def test_a_counter_that_falls_counts_as_nothing_until_it_passes_its_height() -> None:
    assert volumes(ticks_with("volume_total_usd", [1000.0, 900.0, 950.0, 1010.0])) == [None, 0.0, 0.0, 10.0]


def test_volume_is_unknown_while_the_venue_tells_none() -> None:
    assert volumes(ticks_with("volume_total_usd", [None, None, 10.0, 30.0])) == [None, None, None, 20.0]


def test_a_tick_without_counter_leaves_the_volume_as_it_was() -> None:
    assert volumes(ticks_with("volume_total_usd", [10.0, None, 30.0])) == [None, 0.0, 20.0]


def test_a_venue_that_changes_its_counter_starts_from_there() -> None:
    contracts = {"volume_total_contracts": 10.0}
    counters: list[dict[str, Any]] = [contracts, {"volume_total_usd": 900.0}, {"volume_total_usd": 950.0}]

    assert volumes([make_tick(300 * i, 500_000, **c) for i, c in enumerate(counters)]) == [None, 0.0, 50.0]


@pytest.mark.parametrize("name", ["volume_total_usd", "trades"])
def test_volume_that_becomes_known_late_is_stored_with_the_points_before_it(name: str) -> None:
    ticks = [make_tick(i, 100_000 + i) for i in range(40)]
    ticks += [make_tick(400 * i, 200_000 + i, **{name: 7}) for i in range(1, 4)]

    _, moves = play(ticks)

    window = moves[-1].windows[0]
    assert (window.volume_usd, window.trades) == ((0.0, None) if name == "volume_total_usd" else (None, 7))


def test_trades_in_the_window_are_summed_when_known() -> None:
    ticks = [make_tick(300 * i, 500_000, trades=n) for i, n in enumerate([None, 2, 3, 0])]

    _, moves = play(ticks)

    assert [m.windows[0].trades for m in moves] == [None, None, 3, 0]


def test_the_same_fact_has_the_same_id_and_another_moment_another() -> None:
    _, first = play([make_tick(0, 400_000), make_tick(60, 400_000)])
    _, again = play([make_tick(0, 400_000), make_tick(60, 410_000)])

    assert [m.event_id for m in first] == [m.event_id for m in again]
    assert len({m.event_id for m in first}) == 2

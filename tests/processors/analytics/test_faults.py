"""Faults that were found in what was told of real markets, each as a fact that must hold."""

from __future__ import annotations

import pytest

from schemas.events import Tick, WindowMove
from schemas.words import TickSource
from tests.processors.analytics.test_windows import play
from tests.processors.ticks import START_US, make_tick

HOUR_S = 3600


def swept(from_s: int, until_s: int, price_ppm: int, step_s: int = 60) -> list[Tick]:
    """A market swept each minute at one price."""
    return [make_tick(at, price_ppm, heartbeat_s=60) for at in range(from_s, until_s, step_s)]


def windows_of(ticks: list[Tick]) -> dict[int, WindowMove]:
    """The windows of the last move."""
    _, moves = play(ticks)
    return {w.window_s: w for w in moves[-1].windows}


def test_after_ten_hours_off_no_window_that_begins_in_the_gap_has_a_move() -> None:
    night = 10 * HOUR_S
    ticks = [*swept(0, 2 * HOUR_S, 400_000), *swept(2 * HOUR_S + night, 2 * HOUR_S + night + 60, 550_000)]

    windows = windows_of(ticks)

    assert [windows[w].move_pp for w in (300, 900, 3600)] == [None] * 3
    assert [windows[w].no_move for w in (300, 900, 3600)] == ["in_gap"] * 3
    assert [windows[w].coverage_s for w in (300, 900, 3600)] == [0] * 3
    assert all(w.computed_across_gap for w in windows.values())


def test_after_a_gap_each_window_begins_anew_and_says_how_much_it_covers() -> None:
    back = 12 * HOUR_S
    windows = windows_of([*swept(0, 2 * HOUR_S, 400_000), *swept(back, back + 601, 550_000)])

    assert (windows[300].move_pp, windows[300].computed_across_gap) == (0.0, False)
    assert (windows[900].no_move, windows[900].coverage_s) == ("in_gap", 600)


def test_a_window_over_a_whole_gap_has_a_move_and_says_so() -> None:
    windows = windows_of([*swept(0, 26 * HOUR_S, 400_000), *swept(30 * HOUR_S, 30 * HOUR_S + 60, 550_000)])

    assert (windows[86_400].move_pp, windows[86_400].computed_across_gap) == (15.0, True)
    assert windows[86_400].reference_ppm is None


def test_the_last_moment_before_a_gap_still_has_its_price() -> None:
    ticks = [make_tick(0, 400_000, heartbeat_s=10), make_tick(300, 500_000, heartbeat_s=10)]

    assert windows_of(ticks)[300].move_pp == 10.0


def test_a_change_of_price_basis_is_no_move() -> None:
    wide = [make_tick(60 * i, 300_000, price_basis="last", bid_ppm=10_000, ask_ppm=990_000) for i in range(61)]
    windows = windows_of([*wide, make_tick(3661, 500_000)])

    assert [windows[w].move_pp for w in (300, 900, 3600)] == [None] * 3
    assert [windows[w].no_move for w in (300, 900, 3600)] == ["basis_changed"] * 3
    assert {windows[w].basis_then for w in (300, 900, 3600)} == {"last"}


def test_mid_is_compared_with_mid_across_a_spell_of_last_trades() -> None:
    ticks = [make_tick(0, 400_000), make_tick(100, 100_000, price_basis="last"), make_tick(300, 420_000)]

    assert windows_of(ticks)[300].move_pp == 2.0


def test_an_hour_without_a_price_is_not_bridged_with_the_old_one() -> None:
    empty = [make_tick(60 * i, None) for i in range(1, 61)]
    windows = windows_of([make_tick(0, 300_000), *empty, make_tick(3660, 500_000)])

    assert [windows[w].no_move for w in (300, 900, 3600)] == ["no_price"] * 3
    assert [windows[w].price_then_ppm for w in (300, 900, 3600)] == [None] * 3


@pytest.mark.parametrize("back", ["hot", "sweep"])
def test_a_market_that_leaves_the_hot_poll_has_no_gap(back: TickSource) -> None:
    ticks = [make_tick(60 * i, 400_000, heartbeat_s=60) for i in range(10)]
    ticks += [make_tick(600 + 15 * i, 400_000, source="hot", heartbeat_s=15) for i in range(10)]
    ticks += [make_tick(735 + 60, 400_000, source=back, heartbeat_s=15 if back == "hot" else 60)]

    assert not any(w.computed_across_gap for w in windows_of(ticks).values())


def test_a_market_first_seen_by_the_hot_poll_has_no_gap_when_it_leaves_it() -> None:
    ticks = [make_tick(15 * i, 400_000, source="hot", heartbeat_s=15) for i in range(10)]

    assert not any(w.computed_across_gap for w in windows_of([*ticks, make_tick(195, 1, heartbeat_s=60)]).values())


def test_a_volume_counter_that_drops_out_and_comes_back_has_traded_nothing() -> None:
    counters = [1e6, 0.0, 1e6, 1e6 + 50]
    ticks = [make_tick(100 * i, 500_000, volume_total_usd=usd) for i, usd in enumerate(counters)]

    assert windows_of(ticks)[300].volume_usd == 50.0


def test_an_added_window_without_a_price_covers_only_what_is_known() -> None:
    from processors.analytics.moves import update
    from processors.analytics.windows import WindowPlan

    ticks = [make_tick(60 * i, 400_000 + 1000 * i) for i in range(200)]
    history, _ = play(ticks, WindowPlan((300,)))

    _, move = update(history, make_tick(12_000, 700_000), WindowPlan((300, 9000)))

    assert move is not None
    added = move.windows[1]
    assert added.move_pp is None
    assert added.coverage_s < 1200


def test_an_event_stamped_a_day_ahead_does_not_freeze_its_market() -> None:
    ahead = make_tick(86_400, 900_000, ts_received_us=START_US + 60_000_000)
    ticks = [make_tick(0, 400_000), ahead, make_tick(120, 410_000)]

    _, moves = play(ticks)

    assert [m.price_ppm for m in moves] == [400_000, 410_000]

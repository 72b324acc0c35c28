"""How a venue's pace is learned from whole-second Date headers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.venue_clock import MAX_PACE, VenueClock
from schemas.units import US_PER_S

START_S = 1_750_000_000.25


class Play:
    """Sweeps a venue whose true time is a function of ours and of the sweeps so far."""

    def __init__(
        self,
        clock: VenueClock,
        venue_s: Callable[[float, int], float],
        *,
        interval_s: float = 60,
        min_pause_s: float = 0.0,
    ) -> None:
        self.clock, self.venue_s = clock, venue_s
        self.interval_s, self.min_pause_s = interval_s, min_pause_s
        self.now_s = 100.0
        self.pauses_s: list[float] = []

    def sweep(self, times: int = 1, took_s: float = 0.05) -> None:
        """Sweeps, and waits as long as the clock says."""
        for _ in range(times):
            asked_s = self.now_s
            date_us = int(self.venue_s(asked_s + took_s / 3, len(self.pauses_s))) * US_PER_S
            self.clock.sweep_began(date_us, asked_s, asked_s + took_s)
            self.pauses_s.append(self.clock.pause_s(self.interval_s, took_s, self.min_pause_s))
            self.now_s += took_s + self.pauses_s[-1]


def running(pace: float) -> Callable[[float, int], float]:
    return lambda now_s, _: START_S + now_s * pace


def stepping(step_s: float) -> Callable[[float, int], float]:
    return lambda _, sweeps: START_S + sweeps * step_s


def test_a_real_venue_is_swept_at_the_interval() -> None:
    play = Play(VenueClock(believe_stepped=False), running(1.0))

    play.sweep(12)

    assert play.pauses_s[:4] == [0.0, 0.0, 0.0, 1.0], "the learning sweeps"
    assert play.pauses_s[4:] == [pytest.approx(59.95)] * 8
    assert (play.clock.pace, play.clock.stepped) == (1.0, False)


@pytest.mark.parametrize("pace", [2.0, 10.0, 60.0, 120.0, 720.0])
def test_a_tape_played_faster_is_swept_faster_in_the_same_measure(pace: float) -> None:
    play = Play(VenueClock(believe_stepped=True), running(pace))

    play.sweep(40)

    assert play.clock.pace == pytest.approx(pace, rel=0.05)
    assert play.pauses_s[-1] == pytest.approx(max(0.0, 60 / pace - 0.05), abs=0.4)
    assert not play.clock.stepped


def test_the_pace_never_passes_its_bounds() -> None:
    fast, slow = (
        Play(VenueClock(believe_stepped=False), running(1e6)),
        Play(VenueClock(believe_stepped=False), running(0.2)),
    )

    fast.sweep(8)
    slow.sweep(8)

    assert fast.clock.pace == MAX_PACE
    assert slow.clock.pace == 1.0


def test_a_tape_that_meets_the_present_is_then_swept_in_real_time() -> None:
    present_s = START_S + 100 + 10 * 120
    play = Play(VenueClock(believe_stepped=True), lambda now_s, _: min(START_S + now_s * 120, present_s + now_s - 100))
    play.venue_s = lambda now_s, _: START_S + (now_s - 100) * 120 if now_s < 110 else START_S + 1200 + now_s - 110

    while play.now_s < 200:
        play.sweep()

    assert play.clock.pace == 1.0
    assert not play.clock.stepped
    assert play.pauses_s[-1] == pytest.approx(59.95)


@pytest.mark.parametrize("learning_s", [0.1, 0.2, 0.5, 1.0])
@pytest.mark.parametrize("min_pause_s", [0.0, 0.2])
def test_a_tape_that_meets_the_present_while_its_pace_is_learned_is_not_hammered(
    learning_s: float, min_pause_s: float
) -> None:
    def tape(now_s: float, _: int) -> float:
        played_s = now_s - 100
        return START_S + min(played_s, learning_s) * 120 + max(0.0, played_s - learning_s)

    play = Play(VenueClock(believe_stepped=True), tape, min_pause_s=min_pause_s)

    while play.now_s < 400:
        play.sweep()

    assert not play.clock.stepped
    assert play.pauses_s[-1] == pytest.approx(59.95)
    assert len([pause for pause in play.pauses_s if pause < 50]) < 80


@pytest.mark.parametrize("step_s", [1.0, 7.0, 60.0, 4140.0])
@pytest.mark.parametrize("min_pause_s", [0.0, 0.2])
def test_a_lockstep_simulator_is_swept_without_pause(step_s: float, min_pause_s: float) -> None:
    play = Play(VenueClock(believe_stepped=True), stepping(step_s), min_pause_s=min_pause_s)

    play.sweep(30)

    assert play.pauses_s[10:] == [min_pause_s] * 20
    assert sum(play.pauses_s[:10]) <= 1.0 + 10 * min_pause_s


def test_a_lockstep_tape_that_is_held_is_not_hammered() -> None:
    play = Play(VenueClock(believe_stepped=True), lambda _, sweeps: START_S + min(sweeps, 10))

    play.sweep(30)

    assert play.clock.stepped
    assert play.pauses_s[-1] == 0.1


def test_a_server_elsewhere_is_never_taken_for_a_lockstep_simulator() -> None:
    play = Play(VenueClock(believe_stepped=False), stepping(1.0))

    play.sweep(12)

    assert not play.clock.stepped
    assert play.pauses_s[-1] >= 50


def test_slow_sweeps_are_not_repeated_to_learn() -> None:
    play = Play(VenueClock(believe_stepped=False), running(1.0))

    play.sweep(3, took_s=30.0)

    assert play.pauses_s == [30.0] * 3


def test_the_venues_time_goes_on_between_answers() -> None:
    clock = VenueClock(believe_stepped=False)
    assert clock.now_us(5.0) is None

    clock.observe(1_000 * US_PER_S, 5.0)
    clock.observe(990 * US_PER_S, 6.0)

    assert clock.now_us(8.0) == 1_003 * US_PER_S, "an older Date (a cached answer) does not turn it back"


@given(
    pace=st.floats(1.0, 500.0),
    phase=st.floats(0.0, 1.0),
    took_s=st.lists(st.floats(0.001, 1.5), min_size=5, max_size=30),
    min_pause_s=st.floats(0.0, 1.0),
)
def test_an_even_clock_is_never_taken_for_lockstep(
    pace: float, phase: float, took_s: list[float], min_pause_s: float
) -> None:
    play = Play(
        VenueClock(believe_stepped=True), lambda now_s, _: START_S + phase + now_s * pace, min_pause_s=min_pause_s
    )

    for seconds in took_s:
        play.sweep(took_s=seconds)

    assert not play.clock.stepped

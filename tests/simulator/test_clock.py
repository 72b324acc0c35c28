"""The tape's clock: fast until the present, then the present; never in the future, never back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from simulator.clock import TapeClock

HOUR = 3_600_000_000


class Wall:
    def __init__(self, now_us: int) -> None:
        self.now_us = now_us

    def __call__(self) -> int:
        return self.now_us


def test_two_hours_at_speed_120_take_a_minute_and_then_it_is_real_time() -> None:
    wall = Wall(10 * HOUR)
    clock = TapeClock(8 * HOUR, 120.0, now_us=wall)

    assert clock.now_us() == 8 * HOUR
    wall.now_us += 30_000_000
    assert clock.now_us() == 9 * HOUR
    assert (clock.caught_up, clock.pace) == (False, 120.0)
    wall.now_us += 31_000_000
    assert clock.now_us() == wall.now_us
    assert (clock.caught_up, clock.pace) == (True, 1.0)


def test_after_the_end_of_a_recording_time_goes_on_at_real_speed() -> None:
    wall = Wall(1_000 * HOUR)
    clock = TapeClock(HOUR, 60.0, 2 * HOUR, now_us=wall)

    wall.now_us += 60_000_000 + 5_000_000

    assert clock.now_us() == 2 * HOUR + 5_000_000
    assert clock.pace == 1.0


@given(
    st.integers(0, 20 * HOUR),
    st.floats(0.1, 10_000),
    st.none() | st.integers(0, 20 * HOUR),
    st.lists(st.integers(-10_000_000, HOUR), max_size=20),
)
def test_stamps_never_lie_in_the_future_and_never_go_back(
    start_us: int, speed: float, end_us: int | None, waits: list[int]
) -> None:
    wall = Wall(10 * HOUR)
    clock = TapeClock(start_us, speed, end_us, now_us=wall)
    previous, latest_wall = clock.now_us(), wall.now_us

    for wait in waits:
        wall.now_us += wait
        latest_wall = max(latest_wall, wall.now_us)
        now = clock.now_us()
        assert previous <= now <= latest_wall
        previous = now

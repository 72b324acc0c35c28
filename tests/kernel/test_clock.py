"""The clock of tests moves only when told, and then exactly; the machine's clock tells microseconds."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from kernel.clock import Clock, ManualClock, SystemClock

START_US = 1_790_000_000_000_000


@given(st.integers(0, START_US), st.lists(st.integers(0, 10**12), max_size=20))
def test_steps_of_whole_microseconds_add_up_exactly(start_us: int, steps_us: list[int]) -> None:
    clock = ManualClock(start_us)

    for step_us in steps_us:
        clock.advance(step_us / 1e6)

    assert clock.now_us() == start_us + sum(steps_us)


def test_a_tenth_of_a_second_ten_times_is_a_second() -> None:
    clock = ManualClock(START_US)
    for _ in range(10):
        clock.advance(0.1)

    assert clock.now_us() == START_US + 1_000_000


def test_both_of_its_faces_move_together() -> None:
    clock = ManualClock(START_US)
    before_s = clock.monotonic_s()

    clock.advance(2.5)

    assert clock.monotonic_s() - before_s == 2.5
    assert clock.now_us() - START_US == 2_500_000


def test_a_sleeper_wakes_at_the_moment_it_asked_for_and_lets_others_run_meanwhile() -> None:
    clock, told = ManualClock(), []

    async def sleeper() -> None:
        await clock.sleep(3)
        told.append(("woke", clock.now_us()))

    async def other() -> None:
        told.append(("other", clock.now_us()))

    async def both() -> None:
        await asyncio.gather(sleeper(), other())

    asyncio.run(both())

    assert told == [("other", 3_000_000), ("woke", 3_000_000)]


def test_the_machines_clock_counts_microseconds_of_this_century_and_its_duration_never_steps_back() -> None:
    clock: Clock = SystemClock()
    first_us, first_s = clock.now_us(), clock.monotonic_s()

    assert 1_600_000_000_000_000 < first_us < 4_102_444_800_000_000
    assert all(clock.monotonic_s() >= first_s for _ in range(1000))

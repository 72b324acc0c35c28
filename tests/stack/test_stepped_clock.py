"""The clock that steps under a process."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time

import pytest

from tests.stack.environment import child_environment
from tests.stack.stepped_clock import SteppedClock

ASKED = "import sys, time\nfor _ in sys.stdin: print(time.time_ns(), time.monotonic_ns(), flush=True)"

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler is installed")


def test_a_process_sees_its_wall_clock_step_and_its_monotonic_clock_go_on() -> None:
    clock = SteppedClock()
    with subprocess.Popen(
        [sys.executable, "-c", ASKED],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=child_environment(clock.settings),
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for step_s in (0, 3600, -3600, 0):
            clock.step(step_s)
            before = time.time_ns(), time.monotonic_ns()
            process.stdin.write("now\n")
            process.stdin.flush()
            wall_ns, monotonic_ns = map(int, process.stdout.readline().split())
            after = time.time_ns(), time.monotonic_ns()

            assert before[0] <= wall_ns - step_s * 10**9 <= after[0]
            assert before[1] <= monotonic_ns <= after[1]
        process.stdin.close()
    clock.close()


WAITING = """
import ctypes, sys, time

def wait(until):
    libc.cnd_timedwait(condition, mutex, (ctypes.c_long * 2)(int(until), int(until % 1 * 1e9)))

libc = ctypes.CDLL(None)
condition, mutex = ctypes.create_string_buffer(64), ctypes.create_string_buffer(64)
libc.cnd_init(condition), libc.mtx_init(mutex, 0), libc.mtx_lock(mutex)
for line in sys.stdin:
    until = time.time() + float(line)
    print("waits", flush=True)
    wait(until)
    print("has waited", flush=True)
"""


def test_what_waits_by_the_wall_clock_waits_by_the_stepped_one() -> None:
    """As librdkafka does, which asks for the time and waits until a later one."""
    clock = SteppedClock()
    with subprocess.Popen(
        [sys.executable, "-c", WAITING],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=child_environment(clock.settings),
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for first_s, seconds, then_s in ((3600, 0.2, 3600), (-3600, 0.2, -3600), (0, 3000.0, 3600)):
            clock.step(first_s)
            print(seconds, file=process.stdin, flush=True)
            assert process.stdout.readline() == "waits\n"
            clock.step(then_s)
            began_s = time.monotonic()

            assert process.stdout.readline() == "has waited\n"
            assert time.monotonic() - began_s < 60
        process.stdin.close()
    clock.close()

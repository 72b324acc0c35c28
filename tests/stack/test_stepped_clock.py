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

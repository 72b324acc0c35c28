"""A wall clock of a process's own, which can be stepped while it runs: forward, back, as an NTP daemon would.

A small library before the process (`stepped_clock.c`, built where a C compiler is) answers for the wall clock only; the
monotonic clock stays the machine's, as it does when a real clock steps.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

SOURCE = Path(__file__).with_suffix(".c")


class SteppedClock:
    """The wall clock of the processes that are started with `settings`."""

    def __init__(self) -> None:
        """Builds the library. Raises FileNotFoundError where no C compiler is."""
        # Not in a folder of the caller's: the loader parts paths at spaces.
        self._folder = TemporaryDirectory(prefix="clock-")
        self._library, self._step = (Path(self._folder.name) / name for name in ("stepped_clock.so", "step"))
        _build(self._library)
        self.step(0)

    @property
    def settings(self) -> dict[str, str]:
        """What a process gets into its environment to see this clock."""
        return {"LD_PRELOAD": str(self._library), "STEPPED_CLOCK": str(self._step)}

    def step(self, seconds: int) -> None:
        """From now on the clock is so far ahead of the machine's (behind, when negative)."""
        # Written in place: the processes have mapped these bytes.
        with self._step.open("r+b" if self._step.exists() else "xb") as file:
            file.write(struct.pack("@l", seconds))

    def close(self) -> None:
        """Removes the library, when no process needs it any more."""
        self._folder.cleanup()


def _build(library: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        raise FileNotFoundError("no C compiler (cc) is installed: a clock that steps cannot be built")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"], check=True)

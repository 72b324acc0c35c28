"""What a client of Kafka leaves behind in this process."""

from __future__ import annotations

import contextlib
from pathlib import Path


def threads_of_clients() -> set[str]:
    """Threads of the C library in this process."""
    found = set()
    for thread in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # one of another test's client, which has just ended
            if (thread / "comm").read_text().startswith("rdk:"):
                found.add(thread.name)
    return found

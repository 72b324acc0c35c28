"""Clocks: the wall for stamps, the monotonic one for durations; a manual one for tests."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """What a process may ask about time. Analytics ask nothing: they take time from events."""

    def now_us(self) -> int:
        """Wall clock, microseconds since the epoch, UTC. May step."""

    def monotonic_s(self) -> float:
        """Seconds from an arbitrary start; never steps back. For durations."""

    async def sleep(self, seconds: float) -> None:
        """Waits so long."""


class SystemClock:
    """The machine's clocks."""

    def now_us(self) -> int:
        return time.time_ns() // 1_000

    def monotonic_s(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class ManualClock:
    """A clock that moves only when told; `sleep` moves it."""

    def __init__(self, now_us: int = 0) -> None:
        self._now_us = now_us

    def now_us(self) -> int:
        return self._now_us

    def monotonic_s(self) -> float:
        return self._now_us / 1e6

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)
        await asyncio.sleep(0)

    def advance(self, seconds: float) -> None:
        """Moves the clock forward."""
        self._now_us += round(seconds * 1e6)

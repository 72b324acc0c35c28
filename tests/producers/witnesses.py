"""A witness that remembers, and HTTP to a venue that is a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from kernel.clock import ManualClock
from kernel.errors import BadMessageError
from producers.base import Errand, Received
from producers.client import VenueHttp
from producers.limits import RateLimit

SWEEP = Errand("sweep", 60)
DATE = "Sun, 21 Jun 2026 18:30:00 GMT"


class Memory:
    """Remembers what it was shown."""

    def __init__(self) -> None:
        self.answers: list[Received] = []
        self.refusals: list[tuple[str, str]] = []

    def received(self, received: Received) -> None:
        """Keeps the answer."""
        self.answers.append(received)

    def refused(self, error: BadMessageError, channel: str) -> None:
        """Keeps reason and channel."""
        self.refusals.append((error.reason, channel))


def venue(
    handler: Callable[[httpx.Request], httpx.Response],
    memory: Memory,
    clock: ManualClock,
    requests_per_s: float = 1000,
    **more: Any,
) -> VenueHttp:
    """HTTP whose answers the handler makes."""
    limit = RateLimit(requests_per_s, clock)
    return VenueHttp("https://venue.example", limit, memory, clock, httpx.MockTransport(handler), **more)

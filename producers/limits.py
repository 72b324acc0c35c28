"""How politely a venue is asked: requests a second, and how long to wait after a failure."""

from __future__ import annotations

import random
from email.utils import parsedate_to_datetime

from kernel.clock import Clock
from schemas.units import US_PER_S, micros_from_datetime

MAX_WAIT_S = 120.0
"""A venue that asks for a longer pause is asked again after this one, at the next round."""

MAX_AGE_S = 86_400
"""No cache of a venue keeps an answer for longer; an Age that says so is not believed."""

_FIRST_BACKOFF_S = 0.5
_MOST_DOUBLINGS = 20
"""Far beyond the longest wait. A venue that is away for two days has failed over a thousand times, and two to the power
of that is no float."""
_LONGEST_HEADER = 64


class RateLimit:
    """Spaces out the requests to one host; up to a quarter of a second's worth may go at once."""

    def __init__(self, requests_per_s: float, clock: Clock) -> None:
        self._gap_s = 1.0 / requests_per_s
        self._burst_s = max(0.25, self._gap_s)
        self._clock = clock
        self._next_s = clock.monotonic_s()

    async def wait(self) -> None:
        """Waits until the next request may go."""
        now = self._clock.monotonic_s()
        self._next_s = max(self._next_s, now - self._burst_s) + self._gap_s
        delay = self._next_s - self._gap_s - now
        if delay > 0:
            await self._clock.sleep(delay)

    def hold(self, seconds: float) -> None:
        """Lets nothing go for so long: the venue asked for it."""
        self._next_s = max(self._next_s, self._clock.monotonic_s() + seconds)


def backoff_s(failures: int, retry_after: str | None, now_us: int) -> float:
    """Wall seconds to wait after so many failures in a row (1 or more), 0 to `MAX_WAIT_S`.

    `Retry-After` in either form, seconds or HTTP date, decides when it can be read. Otherwise the wait doubles from
    half a second, jittered so that several collectors do not come back at once.
    """
    asked = _retry_after_s(retry_after, now_us)
    if asked is not None:
        return min(max(asked, 0.0), MAX_WAIT_S)
    doublings = min(failures - 1, _MOST_DOUBLINGS)
    return min(_FIRST_BACKOFF_S * 2.0**doublings, MAX_WAIT_S) * random.uniform(0.5, 1.0)


def http_date_us(text: str | None) -> int | None:
    """Microseconds UTC from an HTTP date header; None when absent or not one."""
    if not text or len(text) > _LONGEST_HEADER:
        return None
    try:
        return micros_from_datetime(parsedate_to_datetime(text))
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


def age_s(text: str | None) -> int | None:
    """Seconds from an Age header, at most a day; None when absent or not one."""
    seconds = _seconds(text)
    return None if seconds is None or seconds > MAX_AGE_S else seconds


def _retry_after_s(text: str | None, now_us: int) -> float | None:
    seconds = _seconds(text)
    if seconds is not None:
        return float(seconds)
    at_us = http_date_us(text)
    return None if at_us is None else (at_us - now_us) / US_PER_S


def _seconds(text: str | None) -> int | None:
    """A count of seconds in a header: ASCII digits, and not so many that they are an attack or a mistake."""
    digits = (text or "").strip()
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 9 else None

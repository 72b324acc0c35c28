"""What time it is on a tape. Never later than the real time, never going back."""

from __future__ import annotations

import time
from collections.abc import Callable

from schemas.units import US_PER_S


def real_now_us() -> int:
    """The present, microseconds UTC."""
    return time.time_ns() // 1_000


class TapeClock:
    """Runs from `start_us` at `speed` until it meets the present, then is the present.

    A finite tape's clock runs at the speed of real time after the tape's end: nothing is left to hurry to.

    Args:
        start_us: first instant shown; one that lies in the future is cut to the present.
        speed: tape seconds in a real second, over 0.
        end_us: end of a finite tape.
        now_us: the real time; a test gives its own.
    """

    def __init__(
        self,
        start_us: int,
        speed: float,
        end_us: int | None = None,
        now_us: Callable[[], int] = real_now_us,
    ) -> None:
        self._real = now_us
        self._origin_us = now_us()
        self.start_us = min(start_us, self._origin_us)
        self.speed = speed
        self._end_us = end_us
        self._latest_us = self.start_us

    def now_us(self) -> int:
        """The tape's present, microseconds UTC."""
        real = self._real()
        played = int((real - self._origin_us) * self.speed)
        if self._end_us is not None:
            fast = max(0, self._end_us - self.start_us)
            played = played if played <= fast else fast + int((played - fast) / self.speed)
        self._latest_us = max(self._latest_us, min(self.start_us + played, real))
        return self._latest_us

    @property
    def pace(self) -> float:
        """Tape seconds in a real second from here on: the speed, or 1 at the present and past a finite tape's end."""
        over = self._end_us is not None and self.now_us() >= self._end_us
        return 1.0 if over or self.caught_up else self.speed

    @property
    def caught_up(self) -> bool:
        """Whether the tape has met the present."""
        return self._real() - self.now_us() < US_PER_S

"""What a repeated job may promise: within how many venue seconds it will have come round again."""

from __future__ import annotations

import math

from schemas.units import US_PER_S

_WORTH_TELLING = 1.5


class Rhythm:
    """The interval that is wanted, or the longer one that the job really keeps.

    Args:
        interval_s: venue seconds wanted between the beginnings of two rounds.
    """

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._last_us: int | None = None
        self._told_s = interval_s
        self._said_s = 0.0
        self._owed_s = 0
        self.promise_s = 0.0
        """Seconds; 0 before the first round is done, since nobody knows how long one takes."""
        self.before_s = 0.0
        """Seconds within which the process before came round, or wanted to."""
        self.stands_still = False
        """Whether the last round began no later, by the venue's clock, than the one before."""

    def takes_over(self, promise_s: int) -> None:
        """The process before promised so much at last; 0 where that is not known."""
        self._owed_s, self.before_s = promise_s, promise_s or self._interval_s

    @property
    def heartbeat_s(self) -> int:
        """What a tick promises now, in whole seconds: until it is known how long a round takes, what the process before
        promised."""
        return math.ceil(self.promise_s) or self._owed_s

    @property
    def due_s(self) -> float:
        """Seconds from the begin of the last round within which the next one is due: the least that is promised to
        anybody. What the last round showed was promised before it was known how long that one would take. Before the
        first round it is due by what the process before promised."""
        return min(self._said_s or self.promise_s, self.promise_s) or self.before_s

    @property
    def kept(self) -> bool:
        """Whether the promise is the interval that is wanted, or little more."""
        return self.promise_s < _WORTH_TELLING * self._interval_s

    def changed(self) -> bool:
        """Whether the promise has changed since the last time this said so, by enough to be told."""
        before_s, now_s = self._told_s, self._interval_s if self.kept else self.promise_s
        if before_s / _WORTH_TELLING < now_s < before_s * _WORTH_TELLING:
            return False
        self._told_s = now_s
        return True

    def came_round(self, began_us: int, took_s: float, *, disturbed: bool) -> None:
        """A round that began at `began_us` and took so many venue seconds is done. After failures its distance to the
        round before says nothing about the next one."""
        apart_s = 0.0 if self._last_us is None or disturbed else (began_us - self._last_us) / US_PER_S
        self.stands_still = self._last_us is not None and began_us <= self._last_us
        self._last_us, self._said_s = began_us, self.promise_s
        self.promise_s = max(self._interval_s, took_s, apart_s)

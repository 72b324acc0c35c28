"""What time it is at a venue, and how fast its time runs: as fast as ours, faster (a tape), or only when asked."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from schemas.units import US_PER_S

MAX_PACE = 1000.0
_LIKE_OURS = 0.10
_LEARNING = 5
_QUICK_SWEEP_S = 2.0
_STANDSTILL_PAUSE_S = 0.1
_RECONSIDER_S = 5.0


class _Start(NamedTuple):
    """The first answer of a sweep: its Date, and our monotonic clock when it was asked for and when it had come."""

    venue_us: int
    asked_s: float
    received_s: float


@dataclass(slots=True)
class _Doubt:
    """What was seen since the clock was taken for a stepped one, or last reconsidered."""

    since: _Start
    sweeps: int = 0
    stood_still: int = 0


@dataclass(slots=True)
class VenueClock:
    """Learns a venue's clock from the Date headers of its answers, which count whole seconds.

    `pace` is venue seconds in a wall second, 1 to `MAX_PACE`; 1 while nothing else is certain. `stepped` says that
    the venue's time does not run at all but jumps with each sweep: a simulator in lockstep. That is believed of a
    server on this machine only, since it is then polled without pause.
    """

    believe_stepped: bool
    pace: float = 1.0
    stepped: bool = False
    _starts: deque[_Start] = field(default_factory=lambda: deque(maxlen=_LEARNING))
    _seen: tuple[int, float] | None = None
    _sweeps: int = 0
    _stands_still: bool = False
    _doubt: _Doubt | None = None

    def observe(self, venue_us: int, received_s: float) -> None:
        """An answer came with this Date at this monotonic moment."""
        if self._seen is None or venue_us >= self._seen[0]:
            self._seen = (venue_us, received_s)

    def sweep_began(self, venue_us: int, asked_s: float, received_s: float) -> None:
        """The first answer of a sweep has come. The pace is taken from sweep to sweep."""
        self.observe(venue_us, received_s)
        start = _Start(venue_us, asked_s, received_s)
        self._stands_still = bool(self._starts) and venue_us <= self._starts[-1].venue_us
        self._starts.append(start)
        self._sweeps += 1
        if len(self._starts) < 2:
            return
        if self.stepped:
            self._reconsider(start)
        elif self.believe_stepped and self._jumps():
            self.stepped, self._doubt = True, _Doubt(start)
        first = self._starts[0]
        if first is start:
            self.pace = 1.0
            return
        low, high = _bounds(first, start)
        measured = (venue_us - first.venue_us) / US_PER_S / max(received_s - first.received_s, 1e-3)
        like_ours = low <= 1.0 <= high or abs(measured - 1.0) <= _LIKE_OURS
        self.pace = 1.0 if like_ours else min(max(measured, 1.0), MAX_PACE)

    def pause_s(self, interval_s: float, spent_s: float, min_pause_s: float) -> float:
        """Wall seconds to wait after a sweep that took `spent_s`: `interval_s` venue seconds from begin to begin.

        The first few sweeps follow each other at once, the last of them after a second, where the venue answers
        quickly enough for that to be harmless: they tell how its clock runs.
        """
        if self.stepped:
            # A tape that is held or over does not need asking a thousand times a second.
            return max(min_pause_s, _STANDSTILL_PAUSE_S) if self._stands_still else min_pause_s
        if 0 < self._sweeps < _LEARNING and spent_s < _QUICK_SWEEP_S:
            return max(min_pause_s, 1.0 if self._sweeps == _LEARNING - 1 else 0.0)
        return max(min_pause_s, interval_s / self.pace - spent_s)

    @property
    def learned(self) -> bool:
        """Whether the first few sweeps are over."""
        return self._sweeps >= _LEARNING

    def now_us(self, monotonic_s: float) -> int | None:
        """The venue's time at a monotonic moment; None before the first answer."""
        if self._seen is None:
            return None
        venue_us, seen_s = self._seen
        return venue_us if self.stepped else venue_us + int((monotonic_s - seen_s) * self.pace * US_PER_S)

    def _reconsider(self, start: _Start) -> None:
        """A tape that meets the present looks stepped at that moment, but then runs evenly with our clock, and stands
        still from sweep to sweep most of the time."""
        doubt = self._doubt = self._doubt or _Doubt(start)
        doubt.sweeps += 1
        doubt.stood_still += self._stands_still
        if start.asked_s - doubt.since.received_s < _RECONSIDER_S:
            return
        low, high = _bounds(doubt.since, start)
        if low <= 1.0 <= high and doubt.stood_still * 3 > doubt.sweeps:
            self.stepped = False
            self._starts = deque([start], maxlen=_LEARNING)
        self._doubt = _Doubt(start)

    def _jumps(self) -> bool:
        """Whether its time cannot have run evenly.

        Either it ran slower than real time since the sweep before, or the first sweeps, made at once, moved it on by
        more than the pause after them allows.
        """
        _, high = _bounds(self._starts[-2], self._starts[-1])
        if high < 1.0 - _LIKE_OURS:
            return True
        if self._sweeps != _LEARNING:
            return False
        hurried_low, _ = _bounds(self._starts[0], self._starts[-2])
        return hurried_low > high


def _bounds(first: _Start, last: _Start) -> tuple[float, float]:
    """Smallest and largest pace that explain two answers: a Date is cut to its second, and set while we waited."""
    venue_s = (last.venue_us - first.venue_us) / US_PER_S
    longest_s = max(last.received_s - first.asked_s, 1e-3)
    shortest_s = max(last.asked_s - first.received_s, 1e-3)
    return max(0.0, venue_s - 1.0) / longest_s, (venue_s + 1.0) / shortest_s

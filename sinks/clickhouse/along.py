"""Whether other markets went along with a move: those of its event, and the same event on the other venue. Pure.

**The other venue** has gone along when its mid has gone at least half as far the same way, from the mid in force when
the move began until a quarter of an hour after.

**Siblings** are the other open markets of the event, as they stand at `LOOKS_S`. Where only one market can win, the
others together must have gone at least half as far the other way; when all of them are known and never did, that speaks
against the move. In other events one that has gone half as far, either way, speaks for it; standing still says nothing.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from schemas.units import US_PER_S

AROUND_S: Final = 900
"""So long after a move others may go along, and so much earlier they may have gone."""

AROUND_US: Final = AROUND_S * US_PER_S

MAX_AGE_US: Final = 3600 * US_PER_S
"""A mid older than this is in force no more."""

LOOKS_S: Final = (60, 300, AROUND_S)
"""Seconds after an alert opened at which its siblings are looked at."""


@dataclass(frozen=True, slots=True)
class Series:
    """Mids of one market in order of time: microseconds and parts per million, equally many."""

    ts_us: Sequence[int]
    mid_ppm: Sequence[int]

    def as_of(self, ts_us: int) -> int | None:
        """The mid in force at an instant; None before the first."""
        at = bisect_right(self.ts_us, ts_us) - 1
        return None if at < 0 else self.mid_ppm[at]

    def since(self, ts_us: int) -> Series:
        """What came at an instant and after."""
        at = bisect_left(self.ts_us, ts_us)
        return Series(self.ts_us[at:], self.mid_ppm[at:])


@dataclass(frozen=True, slots=True)
class Step:
    """One step: when it was complete, and how far it went (negative: down)."""

    ts_us: int
    change_ppm: int


@dataclass(frozen=True, slots=True)
class Sibling:
    """How far a market of the event has gone at each look that has come, None where not known; was it heard since."""

    gone_ppm: tuple[int | None, ...]
    is_heard: bool


def begin_us(opened_us: int, window_s: int) -> int:
    """From when on a market may have gone along with an alert: its window's begin, a quarter of an hour at least."""
    return opened_us - max(window_s, AROUND_S) * US_PER_S


def half_us(series: Series, step: Step, start_us: int | None = None) -> int | None:
    """When a market had gone half of a step; None when it did not until a quarter of an hour after, or is not known.

    `start_us`: from when on it may have gone, a quarter of an hour before the step unless told. The half counts from
    the mid in force then; from the first after it, where that is before the step.
    """
    if start_us is None:
        start_us = step.ts_us - AROUND_US
    base = series.as_of(start_us)
    if base is None:
        first = bisect_left(series.ts_us, start_us)
        if first == len(series.ts_us) or series.ts_us[first] >= step.ts_us:
            return None
        base = series.mid_ppm[first]
    way = 1 if step.change_ppm > 0 else -1
    for at in range(bisect_right(series.ts_us, start_us), bisect_right(series.ts_us, step.ts_us + AROUND_US)):
        if (series.mid_ppm[at] - base) * way * 2 >= abs(step.change_ppm):
            return series.ts_us[at]
    return None


def other_venue(series: Series, step: Step, start_us: int, *, is_over: bool) -> tuple[bool | None, float | None]:
    """Whether the other venue went along with a step, and how many seconds later; None is not known (yet)."""
    known = series.since(start_us - MAX_AGE_US)
    half = half_us(known, step, start_us)
    if half is not None:
        return True, (half - step.ts_us) / US_PER_S
    return False if is_over and _was_quoted(known, step, start_us) else None, None


def _was_quoted(series: Series, step: Step, start_us: int) -> bool:
    """Whether a market was known before a step and heard of in the quarter of an hour after it: it could have gone."""
    first, last = bisect_left(series.ts_us, step.ts_us), bisect_right(series.ts_us, step.ts_us + AROUND_US)
    return first < last and (series.as_of(start_us) is not None or series.ts_us[0] < step.ts_us)


def siblings_agree(size_ppm: int, siblings: Sequence[Sibling], *, exclusive: bool, is_over: bool) -> bool | None:
    """Whether the markets of an event went along with one that moved by `size_ppm`; None is not known.

    `exclusive`: only one of them can win. `is_over`: the last look has come.
    """
    if not siblings:
        return None
    for gone in zip(*(sibling.gone_ppm for sibling in siblings), strict=True):
        known = [ppm for ppm in gone if ppm is not None]
        along = -sum(known) * (1 if size_ppm > 0 else -1) if exclusive else max(map(abs, known), default=0)
        if known and along * 2 >= abs(size_ppm):
            return True
    all_known = all(sibling.is_heard and None not in sibling.gone_ppm for sibling in siblings)
    return False if exclusive and is_over and all_known else None

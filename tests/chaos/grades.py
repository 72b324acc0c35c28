"""The grades of a day, worked out again from its alerts and its stored mids, line by line in Python.

Nothing here is shared with what grades (`sinks/clickhouse/grading.py`, `processors/analytics/grades.py`), its numbers
neither: written down from docs/how_moves_work.md, so that a mistake in one of the two shows.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import NamedTuple

from schemas.events import Alert
from schemas.units import US_PER_S

MIDS = """
SELECT token_id, toUnixTimestamp64Micro(ts), toInt64(round(toFloat64(price) * 1000000))
FROM snapshots WHERE price_basis = 'mid' AND source != 'backfill'
"""
GRADES = """
SELECT toString(alert_id), horizon_s, toUnixTimestamp64Micro(due),
       toInt64(round(toFloat64(price) * 1000000)), kept, severity, rule_version
FROM alert_grades FINAL
"""

_AFTER_S = (60, 5 * 60, 15 * 60, 3600, 24 * 3600)
_OLDEST_US = 15 * 60 * US_PER_S
_SURELY_GIVEN_US = 120 * US_PER_S
"""A grade waits a minute for its ticks, and is given at the first look after that, of which there is one a minute."""


class Grade(NamedTuple):
    """What is told of an alert at one horizon."""

    due_us: int
    price_ppm: int | None
    kept: float | None
    severity: str
    rule_version: str

    def same(self, other: Grade) -> bool:
        """Whether both say one thing; shares are quotients, which two programs may round differently."""
        if self.kept is None or other.kept is None:
            return self == other
        return self._replace(kept=None) == other._replace(kept=None) and math.isclose(self.kept, other.kept)


Place = tuple[str, int]
"""alert_id and seconds after it was first told."""


@dataclass
class Found:
    """How many grades are as they should be, and the others."""

    equal: int = 0
    wrong: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unasked: list[str] = field(default_factory=list)

    def line(self) -> str:
        """In one line."""
        wrong, missing, unasked = len(self.wrong), len(self.missing), len(self.unasked)
        return f"grades: {self.equal} equal, {wrong} wrong, {missing} missing, {unasked} of what nobody was told"

    def findings(self) -> list[str]:
        """The others, each with what is the matter."""
        kinds = {"wrong": self.wrong, "missing": self.missing, "nobody was told": self.unasked}
        return [f"{what}: {one}" for what, found in kinds.items() for one in found]


def recomputed(alerts: Iterable[Alert], mids: Iterable[tuple[str, int, int]]) -> dict[Place, tuple[str, Grade]]:
    """Every grade that an alert could ever get from these ticks, with its venue.

    Args:
        alerts: in the order of their partitions, perhaps told again.
        mids: token, moment, price in ppm; in any order.
    """
    of_token: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for token, ts_us, price_ppm in mids:
        of_token[token].append((ts_us, price_ppm))
    for seen in of_token.values():
        seen.sort()
    return {
        (first.alert_id, after_s): (first.venue, _grade(first, after_s, of_token[first.token_id]))
        for first in _first_told(alerts)
        for after_s in _AFTER_S
    }


def compared(
    expected: Mapping[Place, tuple[str, Grade]], given: Mapping[Place, Grade], newest_us: Mapping[str, int]
) -> Found:
    """What was given against what should be. `newest_us` is how far the moves of each venue have come: what came due
    well before that must be there."""
    found = Found()
    for place, grade in given.items():
        if place not in expected:
            found.unasked.append(f"{place}: {grade}")
        elif grade.same(expected[place][1]):
            found.equal += 1
        else:
            found.wrong.append(f"{place}: {grade}, should be {expected[place][1]}")
    for place, (venue, grade) in expected.items():
        if place not in given and grade.due_us + _SURELY_GIVEN_US <= newest_us.get(venue, 0):
            found.missing.append(f"{place} of {venue}: {grade}")
    return found


def _first_told(alerts: Iterable[Alert]) -> Iterator[Alert]:
    """Of each episode that was ever told as one, its oldest word."""
    episodes: dict[str, list[Alert]] = defaultdict(list)
    for alert in alerts:
        episodes[alert.alert_id].append(alert)
    for told in episodes.values():
        if any(alert.state in ("detected", "confirmed") for alert in told):
            yield min(told, key=lambda alert: alert.ts_event_us)


def _grade(first: Alert, after_s: int, mids: Sequence[tuple[int, int]]) -> Grade:
    due_us = first.ts_event_us + after_s * US_PER_S
    price_ppm = None
    newer = bisect_right(mids, due_us, key=itemgetter(0))
    if newer and mids[newer - 1][0] >= max(first.ts_event_us, due_us - _OLDEST_US):
        price_ppm = mids[newer - 1][1]
    kept = None
    if price_ppm is not None and first.price_ppm is not None and first.price_then_ppm is not None:
        kept = (price_ppm - first.price_then_ppm) / (first.price_ppm - first.price_then_ppm)
    return Grade(due_us, price_ppm, kept, first.severity, first.rule_version)

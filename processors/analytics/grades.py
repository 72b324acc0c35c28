"""What became of an alert: the share of its move that stood some time after it was first told. Pure.

`sinks.clickhouse.grading` is the same rule in the store; a test holds both equal.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from math import sqrt
from typing import Protocol

from schemas.units import US_PER_S

HORIZONS_S = (60, 300, 900, 3600, 86_400)
"""Seconds after an alert at which it is graded."""

MAX_AGE_US = 900 * US_PER_S
"""A price older than this says nothing any more."""

ENOUGH_CASES = 30
"""Under so many cases no percentage is shown: it would say nothing."""


class Mids(Protocol):
    """The mids of one market in order of time; equal lengths."""

    @property
    def ts_us(self) -> Sequence[int]:
        """Venue times, microseconds."""

    @property
    def price_ppm(self) -> Sequence[int]:
        """Prices."""


def kept_share(told_us: int, from_ppm: int, price_ppm: int, horizon_s: int, mids: Mids) -> float | None:
    """Share of a move that stood `horizon_s` after it was told: 1 all of it, 0 none, below 0 it had turned round.

    None when there was no mid then: none since the alert, or none within 15 minutes before that moment.

    Args:
        told_us: when the alert was first told.
        from_ppm: the price its move counts from.
        price_ppm: the price it told; not equal to `from_ppm`.
        horizon_s: seconds after `told_us`.
        mids: of the market, at least up to that moment.
    """
    due_us = told_us + horizon_s * US_PER_S
    at = bisect_right(mids.ts_us, due_us) - 1
    if at < 0 or mids.ts_us[at] < told_us or mids.ts_us[at] < due_us - MAX_AGE_US:
        return None
    return (mids.price_ppm[at] - from_ppm) / (price_ppm - from_ppm)


def wilson(hits: int, cases: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's interval of a share, 95 % unless said otherwise: lower and upper end, 0..1.

    E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209. Of no cases nothing is known: (0, 1).
    """
    if cases == 0:
        return 0.0, 1.0
    share = hits / cases
    middle = share + z * z / (2 * cases)
    half = z * sqrt(share * (1 - share) / cases + z * z / (4 * cases * cases))
    return max(0.0, (middle - half) / (1 + z * z / cases)), min(1.0, (middle + half) / (1 + z * z / cases))

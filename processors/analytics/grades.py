"""What became of an alert: the share of its move that stood some time after it was first told. Pure.

`sinks.clickhouse.grading` is the same rule in the store; a test holds both equal.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Protocol

from schemas.grades import MAX_AGE_S
from schemas.units import US_PER_S


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
    if at < 0 or mids.ts_us[at] < told_us or mids.ts_us[at] < due_us - MAX_AGE_S * US_PER_S:
        return None
    return (mids.price_ppm[at] - from_ppm) / (price_ppm - from_ppm)

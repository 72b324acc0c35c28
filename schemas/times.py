"""Which moment an event may claim: one rule for producers, processors, the sink and the ranking."""

from __future__ import annotations

from typing import Final

from schemas.units import US_PER_S

MAX_AHEAD_S: Final = 60
"""Seconds that an event may be stamped ahead of its receipt. Clocks that are kept differ by less; more is a mistake."""

MAX_AHEAD_US: Final = MAX_AHEAD_S * US_PER_S


def is_ahead(ts_event_us: int, ts_received_us: int) -> bool:
    """Whether an event claims a moment that had not come yet when it was received.

    Such a stamp must not become anybody's newest moment: all true events after it would count as late, and its market
    would stand still until the clock has caught up. Compared with the receipt, not with now, so that the answer is the
    same whenever the event is read.
    """
    return ts_event_us > ts_received_us + MAX_AHEAD_US

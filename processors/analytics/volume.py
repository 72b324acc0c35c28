"""What was traded between two readings of a venue's running counter.

A counter only grows. One that falls was revised, or the answer lacked it (0 is how venues write "unknown"), so the
highest reading stands until it is passed: 1,000,000, then 0, then 1,000,000 again is nothing traded. A venue that
corrects its counter downwards for good is told too little until the old level is reached, never too much.
"""

from __future__ import annotations

from typing import Final

from schemas.events import Tick
from schemas.units import PPM

NO_COUNTER: Final = 0
USD_COUNTER: Final = 1
CONTRACT_COUNTER: Final = 2


def reading(tick: Tick) -> tuple[int, float]:
    """Which counter the venue keeps, and where it stands: US dollars when it counts them, contracts otherwise."""
    if tick.volume_total_usd is not None:
        return USD_COUNTER, tick.volume_total_usd
    if tick.volume_total_contracts is not None:
        return CONTRACT_COUNTER, tick.volume_total_contracts
    return NO_COUNTER, 0.0


def traded_usd(kind: int, before: float, now: float, price_ppm: int) -> float:
    """US dollars traded while one counter went from its highest reading `before` to `now`: nothing unless it grew.

    Contracts are valued at the present price.
    """
    gained = now - before
    if gained <= 0:
        return 0.0
    return gained if kind == USD_COUNTER else gained * price_ppm / PPM


def highest(kind_before: int, before: float, kind: int, now: float) -> float:
    """Where a counter is taken to stand after a reading; another kind of counter starts from its own."""
    return max(before, now) if kind == kind_before else now

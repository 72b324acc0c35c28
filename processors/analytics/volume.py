"""What was traded between two readings of a venue's running counter."""

from __future__ import annotations

from schemas.events import Tick
from schemas.units import PPM

NO_COUNTER = 0
USD_COUNTER = 1
CONTRACT_COUNTER = 2


def reading(tick: Tick) -> tuple[int, float]:
    """Which counter the venue keeps, and where it stands: US dollars when it counts them, contracts otherwise."""
    if tick.volume_total_usd is not None:
        return USD_COUNTER, tick.volume_total_usd
    if tick.volume_total_contracts is not None:
        return CONTRACT_COUNTER, tick.volume_total_contracts
    return NO_COUNTER, 0.0


def traded_usd(kind: int, before: float, now: float, price_ppm: int) -> float:
    """US dollars traded while one counter went from `before` to `now`.

    Contracts are valued at the present price. A counter that falls was revised by the venue: nothing was traded.
    """
    gained = now - before
    if gained <= 0:
        return 0.0
    return gained if kind == USD_COUNTER else gained * price_ppm / PPM

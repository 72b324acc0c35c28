"""When an alert is graded, and how a share of grades is told: numbers and words that stand here once. Pure."""

from __future__ import annotations

from math import sqrt
from typing import Final

from schemas.units import window_label

HORIZONS_S: Final = (60, 300, 900, 3600, 86_400)
"""Seconds after an alert at which it is graded."""

MAX_AGE_S: Final = 900
"""A price older than this says nothing any more."""

ENOUGH_CASES: Final = 30
"""Under so many cases no percentage is shown: it would say nothing."""


def horizon_label(horizon_s: int) -> str:
    """Name of a horizon as shown: `1m`, `5m`, `15m`, `1h`, `24h`."""
    return "1m" if horizon_s == 60 else window_label(horizon_s)


def share_text(hits: int, cases: int) -> str:
    """`80% (71% to 87%)`, or that there are too few cases."""
    if cases < ENOUGH_CASES:
        return f"too few (under {ENOUGH_CASES})"
    low, high = wilson(hits, cases)
    return f"{hits / cases:.0%} ({low:.0%} to {high:.0%})"


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

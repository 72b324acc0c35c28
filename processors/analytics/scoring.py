"""Scores that rank moves: named pure functions, chosen by the setting SCORE. Bigger is more worth a look.

`plain` asks how far and how much money a day; `signal` asks whether anything happened: was it paid for inside the
window, is it unusual for this market, is the quote tight, does the price still stand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import log1p, sqrt
from typing import Final

from processors.analytics.windows import log_odds
from schemas.events import Move
from schemas.frozen import dataclass
from schemas.units import PPM_PER_PP
from schemas.words import ScoreName

FULL_DOLLARS: Final = 5_000.0
"""US dollars inside the window from which on a move counts fully."""

UNKNOWN_DOLLARS_SHARE: Final = 0.25
"""What a move counts for while the venue does not tell what was traded inside the window."""

FEW_TRADES: Final = 3
FEW_CHANGES: Final = 5
"""Under so many trades in the window, or changes of price ever, a move counts half, and no step is held to be usual."""

MANY_STEPS: Final = 6.0
"""A move of so many of the market's usual steps is unusual."""

FULL_STEPS: Final = 10.0
"""Usual steps from which on a move counts fully."""

MIN_USUAL_STEP: Final = 0.02
"""Log-odds: no market is taken to be calmer than this, or its first change would be a sensation."""

NOT_STANDING_SHARE: Final = 0.25
SETTLING_SHARE: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known of one move. Prices in ppm, the move in percentage points, the usual step in log-odds."""

    move_pp: float
    price_ppm: int
    price_then_ppm: int
    volume_24h_usd: float | None
    window_usd: float | None
    window_trades: int | None
    spread_ppm: int | None
    usual_step: float | None
    changes: int
    standing_ppm: int | None
    is_settling: bool


def plain(move: Evidence) -> float | None:
    """`|move_pp| * ln(1 + volume_24h_usd)`: ten times the money adds about 2.3 per point moved.

    None when the volume is unknown.
    """
    if move.volume_24h_usd is None:
        return None
    return abs(move.move_pp) * log1p(max(move.volume_24h_usd, 0.0))


def signal(move: Evidence) -> float | None:
    """`10 * |move_pp|`, times a share between 0 and 1 for each thing that makes a move real.

    - dollars traded inside the window: `sqrt(usd / 5000)` up to 1, a quarter when unknown; under 3 trades half of it
    - how many of the market's usual steps, in log-odds, the move is: a tenth of them, 0.1 to 1; under 5 changes half
    - the spread: `|move_pp| / (|move_pp| + spread_pp)`; half when a side is empty
    - a quarter when the standing price does not hold half the move, a tenth when the market is settling
    """
    size_pp = abs(move.move_pp)
    if size_pp == 0.0:
        return 0.0
    share = _paid(move) * _unusual(move) * _tight(move, size_pp)
    if not _stands(move):
        share *= NOT_STANDING_SHARE
    if move.is_settling:
        share *= SETTLING_SHARE
    return 10.0 * size_pp * share


Score = Callable[[Evidence], float | None]

SCORES: Final[Mapping[ScoreName, Score]] = {"plain": plain, "signal": signal}


def _paid(move: Evidence) -> float:
    if move.window_usd is None:
        return UNKNOWN_DOLLARS_SHARE
    share = min(1.0, sqrt(max(move.window_usd, 0.0) / FULL_DOLLARS))
    return share / 2 if move.window_trades is not None and move.window_trades < FEW_TRADES else share


def _unusual(move: Evidence) -> float:
    steps = usual_steps(move.price_then_ppm, move.price_ppm, move.usual_step)
    share = min(1.0, max(0.1, steps / FULL_STEPS))
    return share / 2 if move.changes < FEW_CHANGES else share


def usual_steps(price_then_ppm: int, price_ppm: int, usual_step: float | None) -> float:
    """How many of the market's usual steps a move is, in log-odds."""
    size = abs(log_odds(price_ppm) - log_odds(price_then_ppm))
    return size / max(usual_step or 0.0, MIN_USUAL_STEP)


def known_steps(from_ppm: int, move: Move) -> float | None:
    """How many of its market's usual steps a move is. None where the price seldom changed: what is usual is unknown."""
    if move.price_ppm is None or move.usual_step is None or move.changes < FEW_CHANGES:
        return None
    return usual_steps(from_ppm, move.price_ppm, move.usual_step)


def _tight(move: Evidence, size_pp: float) -> float:
    if move.spread_ppm is None:
        return 0.5
    return size_pp / (size_pp + max(move.spread_ppm, 0) / PPM_PER_PP)


def _stands(move: Evidence) -> bool:
    if move.standing_ppm is None:
        return False
    held_pp = (move.standing_ppm - move.price_then_ppm) / PPM_PER_PP
    return held_pp * (1 if move.move_pp > 0 else -1) * 2 >= abs(move.move_pp)

"""Scores that rank moves. Each is a pure function of what a Move carries; bigger is more worth a look."""

from __future__ import annotations

from math import log1p


def move_times_log_volume(move_pp: float | None, volume_24h_usd: float | None) -> float | None:
    """The default: `|move_pp| * ln(1 + volume_24h_usd)`.

    A big move counts fully, volume by its order of magnitude: ten times the money adds about 2.3 per point moved.
    None when the move or the volume is unknown.
    """
    if move_pp is None or volume_24h_usd is None:
        return None
    return abs(move_pp) * log1p(max(volume_24h_usd, 0.0))


def move_in_steps(move_pp: float | None, step_pp: float | None) -> float | None:
    """How unusual: `|move_pp| / step_pp`, the move in units of the market's usual price change.

    None when the move is unknown or the market never changed its price.
    """
    if move_pp is None or not step_pp:
        return None
    return abs(move_pp) / step_pp


def move_times_window_volume(move_pp: float | None, window_volume_usd: float | None) -> float | None:
    """How well paid: `|move_pp| * ln(1 + US dollars traded inside the window)`.

    A price that moves although nobody trades scores 0. None when the move or the volume is unknown.
    """
    return move_times_log_volume(move_pp, window_volume_usd)

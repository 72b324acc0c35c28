"""What a price was before the tape began: made up when somebody asks, so that it costs neither start nor memory.

A walk in log-odds that ends at the market's first price: noise of a few widths, each between points that the market's
name and the instant decide, so that the same question has the same answer.
"""

from __future__ import annotations

import math
from typing import Final
from zlib import crc32

from schemas.units import PPM, US_PER_S

WALKS: Final = ((21_600 * US_PER_S, 0.45), (3_600 * US_PER_S, 0.2), (600 * US_PER_S, 0.06))
"""Microseconds from one point to the next, and how far apart they may be in log-odds."""


def past_ppm(market: str, first_ppm: int, first_us: int, at_us: int, tick_ppm: int) -> int:
    """The price at an instant before the first one, on the market's grid, inside 0 and 1."""
    chance = min(PPM - tick_ppm, max(tick_ppm, first_ppm)) / PPM
    logit = math.log(chance / (1 - chance))
    for step_us, width in WALKS:
        logit += width * (_noise(market, at_us, step_us) - _noise(market, first_us, step_us))
    ppm = round(PPM / (1 + math.exp(-logit)) / tick_ppm) * tick_ppm
    return min(PPM - tick_ppm, max(tick_ppm, ppm))


def _noise(market: str, at_us: int, step_us: int) -> float:
    """Between -1 and 1, on a line from point to point."""
    point, into_us = divmod(at_us, step_us)
    before, after = (crc32(f"{market}/{step_us}/{each}".encode()) / 2**31 - 1 for each in (point, point + 1))
    return before + (after - before) * into_us / step_us

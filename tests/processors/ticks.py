"""Ticks and moves for the tests of this folder, with everything unsaid filled in."""

from __future__ import annotations

from typing import Any

from schemas.events import Move, Tick, WindowMove
from schemas.units import US_PER_S

START_US = 1_790_000_000 * US_PER_S


def make_tick(at_s: float, price_ppm: int | None, **extra: Any) -> Tick:
    """A tick `at_s` seconds after `START_US`."""
    ts_us = START_US + round(at_s * US_PER_S)
    fields: dict[str, Any] = {
        "event_id": "t",
        "venue": "kalshi",
        "market_id": "KALSHI:A",
        "token_id": "KALSHI:A:YES",
        "ts_event_us": ts_us,
        "ts_received_us": ts_us + 1000,
        "ts_event_basis": "venue",
        "source": "sweep",
        "price_ppm": price_ppm,
        "price_basis": "none" if price_ppm is None else "mid",
        "bid_ppm": None if price_ppm is None else max(price_ppm - 5_000, 0),
        "ask_ppm": None if price_ppm is None else price_ppm + 5_000,
        "volume_24h_usd": 5000.0,
        "market_status": "open",
        "heartbeat_s": 0,
        "flags": (),
    }
    return Tick(**{**fields, **extra})


def make_move(at_s: float, moves_pp: dict[int, float | None], **extra: Any) -> Move:
    """A move with one entry for each window, fully covered, of an open and well quoted market at 0.50."""
    ts_us = START_US + round(at_s * US_PER_S)
    windows = tuple(
        WindowMove(window_s=w, price_then_ppm=400_000, move_pp=pp, coverage_s=w, computed_across_gap=False)
        for w, pp in moves_pp.items()
    )
    fields: dict[str, Any] = {
        "event_id": "m",
        "venue": "kalshi",
        "market_id": "KALSHI:A",
        "token_id": "KALSHI:A:YES",
        "ts_event_us": ts_us,
        "ts_received_us": ts_us + 1000,
        "price_ppm": 500_000,
        "price_basis": "mid",
        "spread_ppm": 10_000,
        "volume_24h_usd": 5000.0,
        "market_status": "open",
        "seconds_to_close": 100_000,
        "is_settling": False,
        "windows": windows,
    }
    return Move(**{**fields, **extra})

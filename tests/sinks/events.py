"""Events for the sink's tests, with one field changed at a time."""

from __future__ import annotations

from typing import Any

from schemas.events import Alert, Bar, FeedStatus, Market, Move, Tick, WindowMove
from schemas.units import event_id

NOON_US = 1_795_262_400_000_000
"""2026-11-21 12:00 UTC."""


def a_tick(token_id: str = "T1", ts_us: int = NOON_US, **changes: Any) -> Tick:  # noqa: S107
    """A tick of `token_id` at `ts_us`; its id is that of the pair."""
    values: dict[str, Any] = {
        "event_id": event_id("tick", token_id, ts_us),
        "venue": "polymarket",
        "market_id": f"M-{token_id}",
        "token_id": token_id,
        "ts_event_us": ts_us,
        "ts_received_us": ts_us + 250_000,
        "ts_event_basis": "venue",
        "source": "poll",
        "bid_ppm": 420_000,
        "ask_ppm": 431_500,
        "last_ppm": 430_000,
        "price_ppm": 425_750,
        "price_basis": "mid",
        "market_status": "open",
        "heartbeat_s": 60,
        "flags": (),
    }
    return Tick(**{**values, **changes})


def some_ticks(count: int, first: int = 0, days: int = 1) -> list[Tick]:
    """Ticks of 40 tokens, a second apart, spread over days of venue time."""
    return [
        a_tick(f"T{i % 40}", NOON_US + i * 1_000_000 + (i % days) * 86_400_000_000, bid_ppm=i % 1_000_000)
        for i in range(first, first + count)
    ]


def a_window(window_s: int, **changes: Any) -> WindowMove:
    """A covered window with a move."""
    values: dict[str, Any] = {
        "window_s": window_s,
        "price_then_ppm": 400_000,
        "ts_then_us": NOON_US - window_s * 1_000_000,
        "move_pp": 2.5,
        "score": 17.25,
        "coverage_s": window_s,
        "volume_usd": 120.5,
        "trades": 3,
        "computed_across_gap": False,
    }
    return WindowMove(**{**values, **changes})


def a_move(token_id: str = "T1", ts_us: int = NOON_US, **changes: Any) -> Move:  # noqa: S107
    """A move of `token_id` over 5m and 1h."""
    values: dict[str, Any] = {
        "event_id": event_id("move", token_id, ts_us),
        "venue": "kalshi",
        "market_id": f"M-{token_id}",
        "token_id": token_id,
        "ts_event_us": ts_us,
        "ts_received_us": ts_us + 100_000,
        "price_ppm": 425_000,
        "price_basis": "mid",
        "spread_ppm": 10_000,
        "volume_24h_usd": 5_000.0,
        "market_status": "open",
        "seconds_to_close": 3_600,
        "step_pp": 0.5,
        "is_settling": False,
        "windows": (a_window(300), a_window(3600)),
    }
    return Move(**{**values, **changes})


def a_market(**changes: Any) -> Market:
    """A binary market."""
    values: dict[str, Any] = {
        "event_id": event_id("market", "M1"),
        "venue": "kalshi",
        "market_id": "KALSHI:M1",
        "venue_market_id": "M1",
        "token_ids": ("KALSHI:M1:YES", "KALSHI:M1:NO"),
        "outcomes": ("Yes", "No"),
        "title": "Will it rain?",
        "event_key": "E1",
        "event_title": "Rain",
        "mutually_exclusive": False,
        "category": "climate",
        "venue_category": "Climate and Weather",
        "tags": ("rain", "nyc"),
        "status": "open",
        "close_ts_us": NOON_US + 1,
        "url": "https://example.org/m1",
        "ts_event_us": NOON_US,
        "ts_received_us": NOON_US + 5,
    }
    return Market(**{**values, **changes})


def a_bar(**changes: Any) -> Bar:
    """A one-minute bar."""
    values: dict[str, Any] = {
        "event_id": event_id("bar", "T1", NOON_US),
        "venue": "kalshi",
        "market_id": "M-T1",
        "token_id": "T1",
        "ts_event_us": NOON_US + 59_000_000,
        "ts_received_us": NOON_US + 60_000_000,
        "bar_start_us": NOON_US,
        "bar_s": 60,
        "open_ppm": 400_000,
        "high_ppm": 450_000,
        "low_ppm": 399_999,
        "close_ppm": 1_000_000,
        "volume_usd": 12.5,
        "trades": 4,
        "ticks": 7,
    }
    return Bar(**{**values, **changes})


def an_alert(**changes: Any) -> Alert:
    """An opened alert."""
    values: dict[str, Any] = {
        "event_id": event_id("alert", "A1", "detected"),
        "alert_id": event_id("alert", "A1"),
        "state": "detected",
        "kind": "move",
        "venue": "kalshi",
        "market_id": "M-T1",
        "token_id": "T1",
        "ts_event_us": NOON_US,
        "ts_received_us": NOON_US + 1,
        "title": "Will it rain?",
        "category": "climate",
        "url": "",
        "window_s": 900,
        "direction": "up",
        "opened_at_us": NOON_US,
        "price_ppm": 600_000,
        "price_then_ppm": 450_000,
        "move_pp": 15.0,
        "peak_move_pp": 15.0,
        "threshold_pp": 10.0,
        "computed_across_gap": False,
        "rule_version": "1",
    }
    return Alert(**{**values, **changes})


def a_status(**changes: Any) -> FeedStatus:
    """A connected feed."""
    values: dict[str, Any] = {
        "event_id": event_id("status", "kalshi"),
        "venue": "kalshi",
        "shard": "all",
        "state": "connected",
        "ts_event_us": NOON_US,
        "ts_received_us": NOON_US + 1,
        "detail": "first sweep done",
        "markets_tracked": 500,
        "markets_stale": 0,
        "ticks_published": 500,
        "bad_messages": 0,
        "clock_skew_us": -1_500,
    }
    return FeedStatus(**{**values, **changes})

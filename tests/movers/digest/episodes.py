"""Episodes for the digest's tests, with one field changed at a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from movers.digest.summary import Episode

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def an_episode(alert_id: str = "a", hours_ago: float = 1.0, **changes: Any) -> Episode:
    """A confirmed move of a market that stands alone."""
    values: dict[str, Any] = {
        "alert_id": alert_id,
        "judged": "confirmed",
        "opened_at": NOON - hours_ago * HOUR,
        "market_id": f"M-{alert_id}",
        "event_key": f"M-{alert_id}",
        "event_title": "",
        "title": f"Will {alert_id}?",
        "category": "politics",
        "venue": "kalshi",
        "price_then": 0.4,
        "price_now": 0.5,
        "peak_move_pp": 10.0,
        "kept": None,
        "graded_after_s": 0,
        "result": None,
    }
    return Episode(**{**values, **changes})


def hours_of(days: int, *venues: str) -> list[tuple[str, datetime]]:
    """Each hour of so many days up to noon."""
    return [(venue, NOON - HOUR * back) for venue in venues for back in range(24 * days + 1)]

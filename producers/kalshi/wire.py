"""Kalshi's payloads as they are, each with a trimmed real one, and readers for their oddities.

Market row (`GET /markets`, nested in events alike; real, 2026-08-09). Prices are dollar strings, counts are strings
with two decimals and real fractions. Nothing is ever null: an empty side reads bid "0.0000", ask "1.0000" (or
"0.0000" on combos) with a size of "0.00"; a market that never traded has a last price of "0.0000":

    {"ticker": "KXNFLGAME-26AUG13DETCIN-CIN", "event_ticker": "KXNFLGAME-26AUG13DETCIN", "market_type": "binary",
     "title": "Will Cincinnati win the Detroit vs Cincinnati Pro Football game?", "yes_sub_title": "Cincinnati",
     "open_time": "2026-06-29T18:01:00Z", "close_time": "2026-08-15T23:00:00Z",
     "expected_expiration_time": "2026-08-14T05:00:00Z", "occurrence_datetime": "2026-08-14T02:00:00Z",
     "status": "active", "result": "", "yes_bid_dollars": "0.7300", "yes_bid_size_fp": "10161.06",
     "yes_ask_dollars": "0.7400", "yes_ask_size_fp": "3420.81", "no_bid_dollars": "0.2600", "no_ask_dollars": "0.2700",
     "last_price_dollars": "0.7400", "volume_fp": "20840.35", "volume_24h_fp": "6458.64"}

Before 2026-03-12 there were integer cents (`yes_bid`, `last_price`) and integer counts too; they are never read.

Event (`GET /events?with_nested_markets=true`; real, 2026-08-09). `category` is deprecated but still sent:

    {"event_ticker": "KXNFLGAME-26AUG13DETCIN", "series_ticker": "KXNFLGAME", "title": "Detroit vs Cincinnati",
     "sub_title": "DET vs CIN (Aug 13)", "category": "Sports", "mutually_exclusive": true, "markets": [{…}, …]}

Series (`GET /series`, all in one answer; real, 2026-08-20):

    {"ticker": "KXMLBGAME", "title": "Professional Baseball Game", "category": "Sports", "tags": ["Baseball"]}

Pages: `{"cursor": "…", "markets" | "events": […]}`; the cursor is "" at the end. `{"series": […]}` has none.
"""

from __future__ import annotations

from typing import Any

from producers.fields import Row, bad_row, instant_us, required_text
from producers.kalshi.settings import COMBO_PREFIX

SERIES, EVENTS, MARKETS, TRADES = "/series", "/events", "/markets", "/markets/trades"
KINDS = {SERIES: "series", EVENTS: "events", MARKETS: "markets"}
"""Paths whose rows show markets, and what the rows are. Trades only say whose rows are worth reading again."""


def rows_of(page: Any, key: str) -> list[Any] | None:
    """The rows of a page; None when it has none."""
    rows = page.get(key) if isinstance(page, dict) else None
    return rows if isinstance(rows, list) else None


def cursor_of(page: Any) -> str | None:
    """The cursor to go on from; empty at the end. None where the page has none: it always has."""
    cursor = page.get("cursor") if isinstance(page, dict) else None
    return cursor if isinstance(cursor, str) else None


def is_combo(row: Row) -> bool:
    """Whether a row is a user-made combination of other markets."""
    return bool(row.get("mve_collection_ticker")) or str(row.get("ticker") or "").startswith(COMBO_PREFIX)


def trade(row: Row) -> tuple[str, int]:
    """Ticker and instant of a trade (`GET /markets/trades`; real, 2026-07-25):

        {"ticker": "KXETH15M-26JUL250200-00", "created_time": "2026-07-25T05:51:39.54467Z", "count_fp": "12.61",
         "yes_price_dollars": "0.3800", "no_price_dollars": "0.6200", "taker_outcome_side": "yes", "trade_id": "…"}

    Raises:
        BadMessageError: missing_field, bad_field, bad_time.
    """
    at_us = instant_us(row, "created_time")
    if at_us is None:
        raise bad_row("missing_field", "a trade without created_time", row)
    return required_text(row, "ticker"), at_us

"""Polymarket's payloads as they are, each with a trimmed real one, and readers for their oddities.

Gamma market row (`GET /markets/keyset`, nested in events alike; real, 2026-06-21). Arrays are JSON inside strings;
quotes are JSON numbers for outcome 0, each may be absent; `volume` is text, `volumeNum` a number:

    {"id": "540817", "conditionId": "0x1fad72fa…", "question": "New Rihanna Album before GTA VI?", "slug": "…",
     "outcomes": "[\\"Yes\\", \\"No\\"]", "outcomePrices": "[\\"0.51\\", \\"0.49\\"]",
     "clobTokenIds": "[\\"98022490…\\", \\"53831553…\\"]", "bestBid": 0.5, "bestAsk": 0.52, "lastTradePrice": 0.5,
     "volume": "832995.125818007", "volumeNum": 832995.125818007, "volume24hr": 2502.2865490000004,
     "active": true, "closed": false, "acceptingOrders": true, "startDate": "2025-05-02T15:48:10.582Z",
     "endDate": "2026-07-31T12:00:00Z", "events": [{"id": "23784", "slug": "what-will-happen-…", "title": …}]}

Gamma event (`GET /events/keyset`; real, 2026-05-17):

    {"id": "101772", "slug": "fed-decision-in-june-825", "title": "Fed Decision in June?", "negRisk": true,
     "tags": [{"id": "100328", "label": "Economy", "slug": "economy"}, …], "markets": [{…}, …]}

Keyset page: `{"markets" | "events": […], "next_cursor": "…"}`, no `next_cursor` on the last page.

CLOB book (`POST /books` answers an array of these; real, 2026-08-03). Best level LAST on both sides; `timestamp` is
the time of the last change, not of the answer; `last_trade_price` "" when never traded, the key absent in older rows:

    {"market": "0x…", "asset_id": "7532…", "timestamp": "1754…", "hash": "…", "bids": [{"price": "0.01", "size": "5"}],
     "asks": [], "min_order_size": "5", "tick_size": "0.001", "neg_risk": true, "last_trade_price": ""}
"""

from __future__ import annotations

from typing import Any

import orjson

from producers.fields import MAX_AMOUNT, Row, bad_row
from schemas.units import ppm_from_venue

EVENTS, MARKETS, BOOKS = "/events/keyset", "/markets/keyset", "/books"
KINDS = {EVENTS: "events", MARKETS: "markets", BOOKS: "books"}
"""Paths that are read, and what their rows are."""


def texts(row: Row, key: str) -> tuple[str, ...]:
    """A list of texts that Gamma writes as JSON inside a string; a real array is taken too. Empty when absent.

    Raises:
        BadMessageError: bad_field when it is neither.
    """
    value = row.get(key)
    if value is None or value == "":
        return ()
    try:
        items = orjson.loads(value) if isinstance(value, str) else value
    except orjson.JSONDecodeError as error:
        raise bad_row("bad_field", f"{key} holds no JSON: {value!r}"[:200], row) from error
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        # A token id has up to 78 digits; as a JSON number it would already be wrong.
        raise bad_row("bad_field", f"{key} is no list of texts: {value!r}"[:200], row)
    return tuple(items)


def rows_of(page: Any, key: str) -> list[Any] | None:
    """The rows of a keyset page, or of a bare list; None when it is neither."""
    rows = page.get(key) if isinstance(page, dict) else page
    return rows if isinstance(rows, list) else None


def cursor_of(page: Any) -> str | None:
    """The cursor to go on from; empty on the last page, which has none. None where there is one that is no text."""
    cursor = page.get("next_cursor", "") if isinstance(page, dict) else ""
    return cursor if isinstance(cursor, str) else None


def is_placeholder(row: Row) -> bool:
    """Whether a row keeps a place free in its event ("Person C"): it has no condition, or no tokens and no trading."""
    condition_id = row.get("conditionId")
    if condition_id == "":
        return True
    nameable = isinstance(condition_id, str) and "question" in row
    return nameable and row.get("clobTokenIds") in (None, "", "[]") and row.get("acceptingOrders") is not True


def best_level(row: Row, side: str) -> tuple[int | None, float | None]:
    """Price in parts per million and size in contracts of the best level of a book side; None, None when empty.

    The order of levels is documented one way and sent the other, so it is not relied on.

    Raises:
        BadMessageError: bad_book.
    """
    best: tuple[int, float] | None = None
    try:
        for level in row.get(side) or ():
            ppm = ppm_from_venue(level["price"])
            if best is None or (ppm > best[0] if side == "bids" else ppm < best[0]):
                size = float(level["size"])
                if not 0 <= size <= MAX_AMOUNT:
                    raise ValueError(f"a size of {size}")
                if size > 0:
                    best = (ppm, size)
        return (None, None) if best is None else best
    except (TypeError, KeyError, ValueError, OverflowError) as error:
        raise bad_row("bad_book", f"{side}: {error!r}"[:200], row) from error

"""Polymarket's REST payloads as pages: the made ones, and the recorded ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from producers.polymarket.reader import PolymarketReader
from tests.producers.fixture_lines import lines

EVENTS = (
    "events.json",
    "gamma_event_dem_nominee_2028.json",
    "gamma_event_negrisk_multi_2026-05.json",
    "gamma_events_page_2026-01.json",
    "gamma_public_search_2026-05.json",
    "gamma_public_search_small.json",
)
MARKETS = (
    "markets.json",
    "gamma_market_closed_accepting_false.json",
    "gamma_market_closed_accepting_true.json",
    "gamma_market_closed_nonbinary_legacy.json",
    "gamma_market_closed_zero_zero_legacy.json",
    "gamma_market_past_end_date_open.json",
    "gamma_market_sports_moneyline_2026-04.json",
    "gamma_market_updown5m_2026-03.json",
    "gamma_markets_closed_batch_2026-06.json",
    "gamma_markets_legacy_2020_trim_2026-03.json",
    "gamma_markets_page_2026-06.json",
    "gamma_markets_resolved_updown5m_2026-07-24_trim.jsonl",
)
BOOKS = (
    "books.json",
    "clob_book_2026-01.json",
    "clob_book_2026-08-14_wide.json",
    "clob_book_empty_ask_2026-08.json",
    "clob_book_small.json",
    "clob_books_batch_2026-05.json",
)
OTHER = (
    "clob_markets.json",
    "clob_clob-markets_shortkeys_2026-05.json",
    "clob_market_closed_accepting_false.json",
    "clob_market_closed_accepting_true.json",
    "clob_markets_page_old.json",
    "gamma_tags_page_2026-01.json",
    "gamma_tags_small_2026-03.json",
    "polymarket_us_book_2026-09.json",
)
"""Answers of endpoints that the collector does not read."""

NAMES = EVENTS + MARKETS


def load(path: Path) -> list[Any]:
    """The rows of a fixture."""
    text = path.read_text("utf-8")
    if path.suffix == ".jsonl":
        return [json.loads(line)["raw"] for line in text.splitlines()]
    body = json.loads(text)
    if isinstance(body, dict):
        is_page = "pagination" in body or "next_cursor" in body
        rows: list[Any] = next(v for v in body.values() if isinstance(v, list)) if is_page else [body]
        return rows
    return list(body)


def lines_of(path: Path) -> list[str]:
    """What the mappers make of a fixture."""
    kind = "events" if path.name in EVENTS else "markets"

    def pages() -> Iterator[tuple[str, list[Any]]]:
        yield kind, load(path)

    return lines("polymarket", PolymarketReader(), pages(), frozenset(("markets", "events")))

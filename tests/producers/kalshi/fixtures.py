"""Kalshi's REST payloads as pages: the made ones, and the recorded ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from producers.kalshi.reader import KalshiReader
from tests.producers.fixture_lines import lines

COMBOS = ("combos.json", "mid2026_markets_mve_only_2026-06.json", "current_mve_combo_markets_priced.json")
MARKETS = (
    "combos.json",
    "markets.json",
    "current_market_single_plus_orderbook.json",
    "current_markets_page_2026-07.json",
    "current_markets_settled.json",
    "current_mve_combo_markets_priced.json",
    "mar2026_markets.json",
    "mid2026_markets_mve_only_2026-06.json",
    "old_2026-01_event_single.json",
    "old_2026-01_market_single.json",
    "old_2026-01_markets_list.json",
    "transitional_markets_cents_and_dollars_2026-03.json",
)
EVENTS = (
    "events.json",
    "current_events_nested_nfl.json",
    "current_events_nested_sports_trim.json",
    "old_2026-01_events_list.json",
    "old_2026-01_events_multivariate.json",
)
SERIES = ("series.json", "current_series_four.json", "old_2026-01_series_list.json", "old_2026-01_series_single.json")
OTHER = (
    "orderbook.json",
    "tags_by_categories.json",
    "trades.json",
    "current_mve_collections.json",
    "current_mve_combo_orderbooks.json",
    "current_occurrence_datetime_probe.json",
    "current_price_grids.json",
    "current_tags_by_categories_2026-09.json",
    "current_trades_page_2026-07.json",
    "mar2026_orderbook.json",
    "mar2026_trades.json",
    "old_2026-01_event_metadata.json",
    "old_2026-01_exchange_schedule.json",
    "old_2026-01_exchange_status.json",
    "old_2026-01_filters_by_sport.json",
    "old_2026-01_mve_collections_list.json",
    "old_2026-01_orderbook_empty.json",
    "old_2026-01_tags_by_categories.json",
    "old_2026-01_trades_list.json",
)
"""Answers of endpoints that the collector does not read."""

NAMES = MARKETS + EVENTS


def load(path: Path) -> Any:
    """A fixture, its recorder's wrapper taken off."""
    body = json.loads(path.read_text("utf-8"))
    return body["response"] if isinstance(body, dict) and "response" in body else body


def rows_with(body: Any, key: str) -> Iterator[dict[str, Any]]:
    """All objects anywhere in a fixture that have this key, outermost first."""
    if isinstance(body, dict):
        if key in body:
            yield body
            return
        body = list(body.values())
    if isinstance(body, list):
        for item in body:
            yield from rows_with(item, key)


def market_rows(path: Path) -> list[dict[str, Any]]:
    """All market rows of a fixture."""
    return list(rows_with(load(path), "yes_bid_dollars"))


def pages_of(path: Path) -> Iterator[tuple[str, list[Any]]]:
    """The pages that a fixture stands for."""
    body = load(path)
    if path.name in EVENTS:
        yield "events", body["events"] if isinstance(body, dict) else body
    elif path.name == "markets.json":
        yield "markets", body["markets"]  # what is no row at all stands there as well
    else:
        yield "markets", market_rows(path)


def lines_of(path: Path) -> list[str]:
    """What the mappers make of a fixture."""
    return lines("kalshi", KalshiReader(), pages_of(path), frozenset(("markets", "events")))

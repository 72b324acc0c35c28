"""What the store keeps beside its rows, so that a page need not read them all, says what the rows say."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from sinks.clickhouse import rows as to
from sinks.clickhouse.store import Store
from tests.sinks.events import NOON_US, a_market, a_move, a_tick

pytestmark = pytest.mark.stack

_NEWEST_MOVE = "SELECT window, toUnixTimestamp64Micro(max(ts)) FROM movers_latest GROUP BY window ORDER BY window"
_NEWEST_TICK = """
SELECT venue, toUnixTimestamp64Micro(max(ts)) FROM snapshots
WHERE toStartOfHour(ts) >= toDateTime64('2026-11-21 11:00:00', 6, 'UTC') GROUP BY venue ORDER BY venue
"""
HOUR_US = 3_600_000_000


def _both_ways(store: Store, sql: str) -> list[tuple[Any, ...]]:
    """The answer from the projection alone, which is that of the rows."""
    kept = store.rows(f"{sql} SETTINGS force_optimize_projection = 1")
    assert list(kept) == list(store.rows(f"{sql} SETTINGS optimize_use_projections = 0"))
    return [tuple(row) for row in kept]


def test_the_newest_minute_of_a_window_stays_right_when_moves_are_replaced_and_leave(store: Store) -> None:
    store.insert(to.MOVERS_LATEST, to.move_rows([a_move("T1"), a_move("T2", NOON_US + 7)]), "first")
    store.insert(to.MOVERS_LATEST, to.move_rows([a_move("T1", NOON_US + 9)]), "second")
    assert _both_ways(store, _NEWEST_MOVE) == [("1h", NOON_US + 9), ("5m", NOON_US + 9)]

    store.command("OPTIMIZE TABLE movers_latest FINAL", {})
    assert _both_ways(store, _NEWEST_MOVE) == [("1h", NOON_US + 9), ("5m", NOON_US + 9)]

    store.command(
        "INSERT INTO movers_latest (window, token_id, market_id, venue, ts, ts_received, ts_stored) "
        "SELECT '5m', 'old', 'M-old', 'kalshi', now64(6), now64(6), now64(6) - INTERVAL 4 DAY",
        {},
    )
    store.command("OPTIMIZE TABLE movers_latest FINAL", {})
    assert _both_ways(store, _NEWEST_MOVE) == [("1h", NOON_US + 9), ("5m", NOON_US + 9)]


def test_the_newest_tick_of_a_venue_is_known_by_the_hour(store: Store) -> None:
    ticks = [
        a_tick("T1", NOON_US - 9 * HOUR_US),
        a_tick("T1", NOON_US + 3),
        a_tick("T2", NOON_US + 5, venue="kalshi"),
        a_tick("T2", NOON_US - HOUR_US // 2, venue="kalshi"),
    ]
    for number, tick in enumerate(ticks):
        store.insert(to.SNAPSHOTS, [to.tick_row(tick, 0, number)], f"tick {number}")
    expected = [("kalshi", NOON_US + 5), ("polymarket", NOON_US + 3)]
    assert _both_ways(store, _NEWEST_TICK) == expected

    store.command("OPTIMIZE TABLE snapshots FINAL", {})
    assert _both_ways(store, _NEWEST_TICK) == expected


def test_the_markets_of_an_event_are_found_without_reading_those_of_all(store: Store) -> None:
    markets = [
        replace(a_market(), market_id=f"M{number:06}", event_key=f"E{number // 8}", token_ids=(), outcomes=())
        for number in range(50_000)
    ]
    store.insert(to.MARKETS, [to.market_row(market) for market in markets], "all")
    moved = replace(markets[8], event_key="E2", ts_received_us=markets[8].ts_received_us + 1)
    store.insert(to.MARKETS, [to.market_row(moved)], "one is of another event now")
    asked = "SELECT market_id FROM markets FINAL WHERE event_key = %(key)s ORDER BY market_id"

    assert [m for (m,) in store.rows(asked, {"key": "E1"})] == [f"M{n:06}" for n in range(9, 16)]
    assert [m for (m,) in store.rows(asked, {"key": "E2"})] == ["M000008", *(f"M{n:06}" for n in range(16, 24))]
    plan = "\n".join(line for (line,) in store.rows(f"EXPLAIN indexes = 1 {asked}", {"key": "E5000"}))
    found = re.search(r"of_event.*?Granules: (\d+)/(\d+)", plan, re.DOTALL)
    assert found is not None, plan
    assert int(found[1]) < int(found[2]) / 2

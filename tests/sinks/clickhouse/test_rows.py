from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from schemas.events import Move
from sinks.clickhouse import rows as to
from sinks.clickhouse.store import Store
from tests.sinks.events import NOON_US, a_bar, a_market, a_move, a_status, a_tick, a_window, an_alert

# The client answers UTC columns with naive datetimes.
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC).replace(tzinfo=None)


@pytest.mark.stack
def test_tick_is_stored_with_exact_prices_and_microseconds(store: Store) -> None:
    tick = a_tick(ts_us=NOON_US + 1, trades=2, flags=("wide", "clock_skew"), bid_size_contracts=1.5)

    row = _stored(store, to.SNAPSHOTS, to.tick_row(tick, 3, 2**40))

    assert row["price"] == Decimal("0.425750")
    assert (row["bid"], row["ask"], row["last"]) == (Decimal("0.42"), Decimal("0.4315"), Decimal("0.43"))
    assert row["spread"] == Decimal("0.0115")
    assert row["ts"] == NOON.replace(microsecond=1)
    assert row["ts_received"] == NOON.replace(microsecond=250_001)
    assert (row["flags"], row["trades"], row["bid_size_contracts"]) == (["wide", "clock_skew"], 2, 1.5)
    assert (row["kafka_partition"], row["kafka_offset"]) == (3, 2**40)


@pytest.mark.stack
def test_missing_price_stays_missing_and_certainty_stays_exact(store: Store) -> None:
    tick = a_tick(price_ppm=None, bid_ppm=0, ask_ppm=None, last_ppm=1_000_000, price_basis="none")

    row = _stored(store, to.SNAPSHOTS, to.tick_row(tick, 0, 0))

    assert row["price"] is None
    assert row["spread"] is None
    assert (row["bid"], row["last"]) == (Decimal(0), Decimal(1))


@pytest.mark.stack
def test_crossed_book_has_a_negative_spread(store: Store) -> None:
    row = _stored(store, to.SNAPSHOTS, to.tick_row(a_tick(bid_ppm=500_000, ask_ppm=490_000), 0, 0))

    assert row["spread"] == Decimal("-0.01")


@pytest.mark.stack
def test_market_is_stored_with_one_token_row_per_outcome(store: Store) -> None:
    market = a_market()

    row = _stored(store, to.MARKETS, to.market_row(market))
    store.insert(to.MARKET_TOKENS, to.market_token_rows(market), "tokens")
    tokens = store.rows("SELECT token_id, outcome, outcome_index, status FROM market_tokens ORDER BY outcome_index")

    assert (row["title"], row["tags"], row["result"]) == ("Will it rain?", ["rain", "nyc"], None)
    assert (row["open_ts"], row["close_ts"]) == (None, NOON.replace(microsecond=1))
    assert list(tokens) == [("KALSHI:M1:YES", "Yes", 0, "open"), ("KALSHI:M1:NO", "No", 1, "open")]


@pytest.mark.stack
def test_bar_is_stored_under_its_first_moment(store: Store) -> None:
    row = _stored(store, to.OHLCV_1M, to.bar_row(a_bar()))

    assert row["ts"] == NOON
    assert [row[name] for name in ("open", "high", "low", "close")] == [
        Decimal("0.4"), Decimal("0.45"), Decimal("0.399999"), Decimal(1),
    ]  # fmt: skip
    assert (row["volume_usd"], row["trades"], row["ticks"]) == (12.5, 4, 7)


@pytest.mark.stack
def test_alert_and_status_are_stored_with_their_units(store: Store) -> None:
    alert = _stored(store, to.ALERTS, to.alert_row(an_alert(spread_ppm=20_000, close_reason="faded")))
    status = _stored(store, to.FEED_STATUS, to.feed_status_row(a_status(gap_started_us=NOON_US)))

    assert (alert["window"], alert["move_pp"], alert["spread"]) == ("15m", 15.0, Decimal("0.02"))
    assert alert["close_reason"] == "faded"
    assert (status["clock_skew_ms"], status["gap_started"]) == (-1.5, NOON)


@pytest.mark.stack
def test_move_becomes_one_row_per_window(store: Store) -> None:
    windows = (a_window(300, move_pp=-2.5), a_window(86_400, move_pp=None, score=None, price_then_ppm=None))

    store.insert(to.MOVERS_LATEST, to.move_rows([a_move(windows=windows)]), "moves")
    rows = store.rows(
        "SELECT window, price_now, price_then, move_pp, abs_move_pp, spread"
        " FROM movers_latest FINAL ORDER BY window DESC"
    )

    assert list(rows) == [
        ("5m", Decimal("0.425"), Decimal("0.4"), -2.5, 2.5, Decimal("0.01")),
        ("24h", Decimal("0.425"), None, None, None, Decimal("0.01")),
    ]


def test_of_several_moves_of_a_token_the_newest_by_venue_time_is_kept() -> None:
    moves = [a_move("A", NOON_US + 2), a_move("B", NOON_US), a_move("A", NOON_US + 1), a_move("A", NOON_US)]

    newest: dict[str, Move] = {}
    for move in moves:
        to.keep_newest(newest, move)

    assert {token: move.ts_event_us for token, move in newest.items()} == {"A": NOON_US + 2, "B": NOON_US}


def _stored(store: Store, table: to.Table, row: to.Row) -> dict[str, Any]:
    store.insert(table, [row], "one")
    found = store.rows(f"SELECT {', '.join(table.columns)} FROM {table.name}")
    assert len(found) == 1
    return dict(zip(table.columns, found[0], strict=True))

"""A batch to its tables: the same rows under the same tokens, whoever inserts it and however often."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from kernel.metrics import ROWS
from schemas.topics import ALERTS, BARS, FEED_STATUS, MARKETS, MOVES, TICKS
from sinks.clickhouse import rows as to
from sinks.clickhouse.batch import Batch, insert_token
from sinks.clickhouse.pending import Pending
from sinks.clickhouse.store import Store

CarryOut = Callable[[Callable[[], Any]], Any]
"""Runs a step, again and again while the store is away."""


def insert_batch(store: Store, batch: Batch, pending: Pending, carry_out: CarryOut, *, again: bool = False) -> None:
    """Inserts what a batch holds, but for the ticks that `pending` leaves out.

    An insert that had to be repeated, or that repeats a predecessor's (`again`), may be taken for known by its token
    though the first try failed after the token was noted. So its ticks are looked for, and what is missing is inserted
    under a token of its own.
    """
    for table, topic, rows in _tables(batch, pending):
        if not rows:
            continue
        token = insert_token(table.name, topic, pending.spans)
        tries = _insert(store, table, rows, token, carry_out)
        if table is to.SNAPSHOTS and (again or tries > 1):
            carry_out(lambda rows=rows, token=token: _insert_missing(store, rows, token))  # type: ignore[misc]
        ROWS.labels(table.name).inc(len(rows))


def _tables(batch: Batch, pending: Pending) -> Iterator[tuple[to.Table, str, list[to.Row]]]:
    yield to.MARKETS, MARKETS.name, [to.market_row(market) for market in batch.markets]
    yield to.MARKET_TOKENS, MARKETS.name, [row for market in batch.markets for row in to.market_token_rows(market)]
    ticks = zip(batch.ticks, batch.tick_places, strict=True)
    yield (
        to.SNAPSHOTS,
        TICKS.name,
        [to.tick_row(tick, *place) for tick, place in ticks if place not in pending.skipped],
    )
    yield to.OHLCV_1M, BARS.name, [to.bar_row(bar) for bar in batch.bars]
    yield to.MOVERS_LATEST, MOVES.name, to.move_rows(batch.moves.values())
    yield to.ALERTS, ALERTS.name, [to.alert_row(alert) for alert in batch.alerts]
    yield to.FEED_STATUS, FEED_STATUS.name, [to.feed_status_row(status) for status in batch.statuses]


def _insert(store: Store, table: to.Table, rows: list[to.Row], token: str, carry_out: CarryOut) -> int:
    tries = 0

    def insert() -> None:
        nonlocal tries
        tries += 1
        store.insert(table, rows, token)

    carry_out(insert)
    return tries


def _insert_missing(store: Store, rows: list[to.Row], token: str) -> None:
    ts, token_id = to.SNAPSHOTS.columns.index("ts"), to.SNAPSHOTS.columns.index("token_id")
    identities = [(row[token_id], row[ts]) for row in rows]
    stored = store.stored_ticks(identities)
    missing = [row for row, identity in zip(rows, identities, strict=True) if identity not in stored]
    if missing:
        store.insert(to.SNAPSHOTS, missing, f"{token}/missing")

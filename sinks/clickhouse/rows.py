"""Events to rows of the store's tables.

Prices stay parts per million, which is what Decimal(9, 6) holds (`columns.py`); instants stay integer microseconds,
which is what DateTime64(6) holds. `tests/sinks/clickhouse/test_schema_drift.py` holds every column list equal to the
migrated tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from schemas.events import Alert, Bar, FeedStatus, Market, Move, Tick, WindowMove
from schemas.units import window_label

Row = tuple[Any, ...]


class Table(NamedTuple):
    """A table as the sink fills it: its name, and the columns of a row in order."""

    name: str
    columns: tuple[str, ...]


MARKETS = Table(
    "markets",
    (
        "market_id", "venue", "venue_market_id", "title", "event_key", "event_title", "mutually_exclusive", "category",
        "venue_category", "tags", "status", "result", "open_ts", "close_ts", "url", "ts", "ts_received",
    ),
)  # fmt: skip
MARKET_TOKENS = Table("market_tokens", ("token_id", "market_id", "outcome", "outcome_index", "status", "ts_received"))
SNAPSHOTS = Table(
    "snapshots",
    (
        "ts", "token_id", "market_id", "venue", "price", "price_basis", "bid", "ask", "last", "spread",
        "bid_size_contracts", "ask_size_contracts", "volume_24h_usd", "volume_total_usd", "volume_total_contracts",
        "trades", "market_status", "source", "ts_event_basis", "flags", "ts_received", "kafka_partition",
        "kafka_offset",
    ),
)  # fmt: skip
OHLCV_1M = Table(
    "ohlcv_1m",
    (
        "ts", "token_id", "market_id", "venue", "open", "high", "low", "close", "volume_usd", "trades", "ticks",
        "ts_received",
    ),
)  # fmt: skip
MOVERS_LATEST = Table(
    "movers_latest",
    (
        "window", "token_id", "market_id", "venue", "ts", "ts_received", "price_now", "price_then", "ts_then",
        "move_pp", "abs_move_pp", "score", "coverage_s", "price_basis", "spread", "volume_24h_usd",
        "window_volume_usd", "window_trades", "market_status", "seconds_to_close", "step_pp", "is_settling",
        "computed_across_gap", "no_move", "reference", "onset_ts",
    ),
)  # fmt: skip
ALERTS = Table(
    "alerts",
    (
        "alert_id", "event_id", "state", "kind", "venue", "market_id", "token_id", "title", "category", "url",
        "window", "direction", "opened_at", "ts", "ts_received", "price_now", "price_then", "move_pp", "peak_move_pp",
        "threshold_pp", "score", "volume_24h_usd", "spread", "seconds_to_close", "computed_across_gap",
        "close_reason", "rule_version", "rule", "windows", "severity", "reason", "factors_for", "factors_against",
        "onset_ts", "window_volume_usd", "window_trades",
    ),
)  # fmt: skip
FEED_STATUS = Table(
    "feed_status",
    (
        "venue", "shard", "state", "ts", "ts_received", "detail", "markets_tracked", "markets_stale",
        "ticks_published", "bad_messages", "gap_started", "clock_skew_ms", "event_id",
    ),
)  # fmt: skip
ALERT_CORROBORATION = Table(
    "alert_corroboration",
    ("alert_id", "looked_at", "is_final", "siblings", "other_market_id", "other_venue", "other_after_s"),
)
INGEST_OFFSETS = Table("ingest_offsets", ("topic", "partition", "epoch", "last_offset", "leader_epoch"))
INGEST_PENDING = Table("ingest_pending", ("owner", "generation", "number", "ranges", "skipped"))

TABLES = (
    MARKETS, MARKET_TOKENS, SNAPSHOTS, OHLCV_1M, MOVERS_LATEST, ALERTS, FEED_STATUS, ALERT_CORROBORATION,
    INGEST_OFFSETS, INGEST_PENDING,
)  # fmt: skip


def market_row(market: Market) -> Row:
    """Row of `markets`."""
    return (
        market.market_id, market.venue, market.venue_market_id, market.title, market.event_key, market.event_title,
        market.mutually_exclusive, market.category, market.venue_category, market.tags, market.status, market.result,
        market.open_ts_us, market.close_ts_us, market.url, market.ts_event_us, market.ts_received_us,
    )  # fmt: skip


def market_token_rows(market: Market) -> list[Row]:
    """Rows of `market_tokens`: one an outcome, in the venue's order."""
    pairs = zip(market.token_ids, market.outcomes, strict=True)
    return [
        (token, market.market_id, name, i, market.status, market.ts_received_us)
        for i, (token, name) in enumerate(pairs)
    ]


def tick_row(tick: Tick, partition: int, offset: int) -> Row:
    """Row of `snapshots`. Spread is ask minus bid (0..1, negative when crossed), null when a side is empty."""
    bid, ask = tick.bid_ppm, tick.ask_ppm
    spread = None if bid is None or ask is None else ask - bid
    return (
        tick.ts_event_us, tick.token_id, tick.market_id, tick.venue, tick.price_ppm, tick.price_basis,
        bid, ask, tick.last_ppm, spread, tick.bid_size_contracts,
        tick.ask_size_contracts, tick.volume_24h_usd, tick.volume_total_usd, tick.volume_total_contracts,
        tick.trades, tick.market_status, tick.source, tick.ts_event_basis, tick.flags,
        tick.ts_received_us, partition, offset,
    )  # fmt: skip


def bar_row(bar: Bar) -> Row:
    """Row of `ohlcv_1m`; `ts` is the bar's first microsecond."""
    return (
        bar.bar_start_us, bar.token_id, bar.market_id, bar.venue, bar.open_ppm, bar.high_ppm,
        bar.low_ppm, bar.close_ppm, bar.volume_usd, bar.trades, bar.ticks, bar.ts_received_us,
    )  # fmt: skip


def keep_newest(newest: dict[str, Move], move: Move) -> None:
    """Of several moves of a token only the newest by venue time is stored, the last one on a tie."""
    known = newest.get(move.token_id)
    if known is None or move.ts_event_us >= known.ts_event_us:
        newest[move.token_id] = move


def move_rows(moves: Iterable[Move]) -> list[Row]:
    """Rows of `movers_latest`: one a window of each move. Of a token's moves the newest is enough (`keep_newest`)."""
    return [_move_row(move, window) for move in moves for window in move.windows]


def _move_row(move: Move, window: WindowMove) -> Row:
    return (
        window_label(window.window_s), move.token_id, move.market_id, move.venue, move.ts_event_us,
        move.ts_received_us, move.price_ppm, window.price_then_ppm, window.ts_then_us, window.move_pp,
        None if window.move_pp is None else abs(window.move_pp), window.score, window.coverage_s, move.price_basis,
        move.spread_ppm, move.volume_24h_usd, window.volume_usd, window.trades, move.market_status,
        move.seconds_to_close, move.step_pp, move.is_settling, window.computed_across_gap,
        window.no_move or "", window.reference_ppm, window.onset_us,
    )  # fmt: skip


def alert_row(alert: Alert) -> Row:
    """Row of `alerts`."""
    return (
        alert.alert_id, alert.event_id, alert.state, alert.kind, alert.venue, alert.market_id, alert.token_id,
        alert.title, alert.category, alert.url, window_label(alert.window_s), alert.direction, alert.opened_at_us,
        alert.ts_event_us, alert.ts_received_us, alert.price_ppm, alert.price_then_ppm, alert.move_pp,
        alert.peak_move_pp, alert.threshold_pp, alert.score, alert.volume_24h_usd, alert.spread_ppm,
        alert.seconds_to_close, alert.computed_across_gap, alert.close_reason, alert.rule_version, alert.rule,
        [window_label(window_s) for window_s in alert.windows_s], alert.severity, alert.reason, alert.factors_for,
        alert.factors_against, alert.onset_ts_us, alert.window_volume_usd, alert.window_trades,
    )  # fmt: skip


def feed_status_row(status: FeedStatus) -> Row:
    """Row of `feed_status`; the clock skew becomes milliseconds."""
    skew_us = status.clock_skew_us
    return (
        status.venue, status.shard, status.state, status.ts_event_us, status.ts_received_us, status.detail,
        status.markets_tracked, status.markets_stale, status.ticks_published, status.bad_messages,
        status.gap_started_us, None if skew_us is None else skew_us / 1000, status.event_id,
    )  # fmt: skip


def as_columns(rows: Sequence[Row]) -> list[tuple[Any, ...]]:
    """Rows turned on their side: the form in which the client encodes them fastest."""
    return list(zip(*rows, strict=True))

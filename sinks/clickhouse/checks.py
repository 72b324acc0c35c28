"""What must not reach the store, refused early: what no column can hold, and what claims a moment yet to come.

One value that does not fit fails the insert of all other rows in its batch; one stamp of tomorrow is its market's
newest moment until tomorrow, and the board's.
"""

from __future__ import annotations

from typing import Final

from kernel.errors import BadMessageError
from schemas.events import Alert, Bar, FeedStatus, Market, Move, Tick
from schemas.times import MAX_AHEAD_S, is_ahead
from schemas.units import US_PER_S

Storable = Market | Tick | Move | Bar | Alert | FeedStatus

LIMIT_PPM: Final = 1_000_000_000
"""Decimal(9, 6) holds values below 1000; anything larger is no probability and no spread."""

LIMIT_US: Final = 4_102_444_800_000_000
"""Start of the year 2100. A later stamp is impossible, and past 2106 the store's day column wraps."""

LIMIT_32: Final = 1 << 32
LIMIT_63: Final = 1 << 63


def check_storable(event: Storable) -> None:
    """Refuses an event with a value that its columns cannot hold, or stamped ahead of its receipt.

    Raises:
        BadMessageError: reason `impossible_value` or `stamped_ahead`; the detail names the value.
    """
    _instant(event.ts_event_us)
    _instant(event.ts_received_us)
    if is_ahead(event.ts_event_us, event.ts_received_us):
        ahead_s = (event.ts_event_us - event.ts_received_us) // US_PER_S
        raise BadMessageError("stamped_ahead", f"stamped {ahead_s} s ahead of its receipt, over {MAX_AHEAD_S} s")
    if isinstance(event, Tick):
        _check_tick(event)
    elif isinstance(event, Move):
        _check_move(event)
    elif isinstance(event, Bar):
        _check_bar(event)
    elif isinstance(event, Market):
        _check_market(event)
    elif isinstance(event, Alert):
        _check_alert(event)
    else:
        _check_feed_status(event)


def _refuse(detail: str) -> None:
    raise BadMessageError("impossible_value", detail)


def _ids(*ids: str) -> None:
    for text in ids:
        if len(text) != 24 or not text.isascii():
            _refuse(f"id {text!r} is not 24 characters")


def _price(ppm: int | None) -> None:
    if ppm is not None and not -LIMIT_PPM < ppm < LIMIT_PPM:
        _refuse(f"price of {ppm} ppm")


def _prices(*prices: int | None) -> None:
    for ppm in prices:
        _price(ppm)


def _instant(micros: int | None) -> None:
    if micros is not None and not 0 <= micros < LIMIT_US:
        _refuse(f"instant of {micros} microseconds")


def _instants(*instants: int | None) -> None:
    for micros in instants:
        _instant(micros)


def _count(limit: int, count: int | None) -> None:
    # The lower limit first: the higher one is no machine word, and slow to compare with.
    if count is not None and not 0 <= count < LIMIT_32 and not 0 <= count < limit:
        _refuse(f"count of {count}")


def _counts(limit: int, *counts: int | None) -> None:
    for count in counts:
        _count(limit, count)


def _check_market(market: Market) -> None:
    _instants(market.open_ts_us, market.close_ts_us)
    if len(market.token_ids) != len(market.outcomes) or len(market.outcomes) > 255:
        _refuse(f"{len(market.token_ids)} tokens for {len(market.outcomes)} outcomes")


def _check_tick(tick: Tick) -> None:
    _ids(tick.event_id)
    bid, ask = tick.bid_ppm, tick.ask_ppm
    _prices(tick.price_ppm, bid, ask, tick.last_ppm, None if bid is None or ask is None else ask - bid)
    _counts(LIMIT_32, tick.trades)


def _check_move(move: Move) -> None:
    _price(move.price_ppm)
    _price(move.spread_ppm)
    for window in move.windows:
        _price(window.price_then_ppm)
        _instant(window.ts_then_us)
        _count(LIMIT_32, window.coverage_s)
        _count(LIMIT_63, window.trades)


def _check_bar(bar: Bar) -> None:
    if bar.bar_s != 60:
        _refuse(f"bar of {bar.bar_s} seconds")
    _instants(bar.bar_start_us)
    _prices(bar.open_ppm, bar.high_ppm, bar.low_ppm, bar.close_ppm)
    _counts(LIMIT_63, bar.trades)
    _counts(LIMIT_32, bar.ticks)


def _check_alert(alert: Alert) -> None:
    _ids(alert.alert_id, alert.event_id)
    _instants(alert.opened_at_us)
    _prices(alert.price_ppm, alert.price_then_ppm, alert.spread_ppm)


def _check_feed_status(status: FeedStatus) -> None:
    _ids(status.event_id)
    _instants(status.gap_started_us)
    _counts(LIMIT_32, status.markets_tracked, status.markets_stale)
    _counts(LIMIT_63, status.ticks_published, status.bad_messages)

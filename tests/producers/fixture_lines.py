"""One readable line for each row of a payload: what the mappers make of it. Reviewed ones: `reviewed.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from kernel.errors import BadMessageError
from producers.base import Errand, Mapped, Page, Reader, Received
from producers.catalog import learn, show
from producers.ticks import Moment, Shown, tick_of
from schemas.events import Market, Tick
from schemas.units import datetime_from_micros, micros_from_iso

NOW_US = micros_from_iso("2026-06-21T18:30:00Z")
MOMENT = Moment(
    as_of_us=NOW_US,
    ts_received_us=NOW_US + 250_000,
    ts_event_basis="http_date",
    source="sweep",
    heartbeat_s=60,
    ts_venue_us=NOW_US,
    ts_sent_us=NOW_US,
)
RECEIVED = Received(
    errand=Errand("sweep", 60),
    channel="/fixture",
    connection_id="c",
    sequence=0,
    body=b"",
    ts_received_us=NOW_US + 250_000,
    status=200,
    content_type="application/json",
    date_us=NOW_US,
)


def page(kind: str, rows: list[Any]) -> Page:
    """A page with these rows."""
    return Page(received=RECEIVED, kind=kind, rows=rows)


def nothing_shown(_: str) -> None:
    """No market has been shown yet."""


def ticked(venue: str, shown: Shown | None) -> Tick:
    """What was shown, as a tick of `MOMENT`."""
    assert shown is not None
    return tick_of(venue, shown, MOMENT, NOW_US)


def when(ts_us: int | None) -> str:
    """An instant to the minute."""
    return "-" if ts_us is None else f"{datetime_from_micros(ts_us):%Y-%m-%dT%H:%M}"


def tick_line(tick: Tick) -> str:
    """What a tick says."""
    sizes = f"sizes {tick.bid_size_contracts} {tick.ask_size_contracts}"
    volume = "none" if tick.volume_24h_usd is None else f"{tick.volume_24h_usd:.2f}"
    quote = f"{tick.bid_ppm}/{tick.ask_ppm} last {tick.last_ppm} = {tick.price_ppm} {tick.price_basis}"
    flags = ",".join(tick.flags) or "-"
    return f"tick {quote} | {sizes} | 24h ${volume} | {tick.market_status} {flags} | ends {when(tick.close_ts_us)}"


def market_line(market: Market) -> str:
    """What a market says."""
    result = f" → {market.result}" if market.result else ""
    group = f"{market.event_key} {'one of' if market.mutually_exclusive else ''}"
    return (
        f"market {market.title!r} {list(market.outcomes)} | {market.status}{result} | "
        f"{market.category} ({market.venue_category}) | {group}"
        f" | ends {when(market.close_ts_us)} | {market.url}"
    )


def lines(venue: str, reader: Reader, pages: Iterator[tuple[str, list[Any]]], with_ticks: frozenset[str]) -> list[str]:
    """All rows of a fixture, in order: a line each for what was made of them, or why nothing was."""
    found: list[str] = []
    for kind, rows in pages:
        for row in rows:
            found.extend(_said(learn(reader, page(kind, [row]), MOMENT), market_line))
            if kind in with_ticks:
                nested = (row.get("markets") or []) if kind == "events" else [row]
                for item in nested:
                    mapped = show(reader, page("markets", [item]), MOMENT, nothing_shown)
                    ticks = Mapped([ticked(venue, shown) for shown, _ in mapped.events], mapped.bad, mapped.left_out)
                    found.extend(_said(ticks, tick_line))
    return found


def _said(mapped: Mapped[Any], line: Callable[[Any], str]) -> Iterator[str]:
    for event in mapped.events:
        yield f"{event.market_id[:24]} {line(event)}"
    for error in mapped.bad:
        yield f"refused {_reason(error)}"
    for reason, count in mapped.left_out.items():
        yield f"left out {reason} {count}"


def _reason(error: BadMessageError) -> str:
    return f"{error.reason}: {error.detail}"[:160]

"""Reads Kalshi's rows: kinds `series`, `events` (markets inside) and `markets`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from producers.base import LastShown, Page, Received
from producers.fields import Row
from producers.kalshi import mapper, wire
from producers.kalshi.settings import ID_PREFIX
from producers.named import Named
from producers.ticks import Earlier, Moment, Shown
from schemas.events import Market


class KalshiReader:
    """Remembers the series with their categories, and the events, as long as rows name them."""

    def __init__(self) -> None:
        self._series: Named[mapper.Series] = Named()
        self._events: Named[mapper.Event] = Named()

    def page(self, received: Received, body: Any) -> Page | None:
        """The rows of an answer from one of the paths in `wire.KINDS`."""
        kind = wire.KINDS.get(received.path)
        rows = None if kind is None else wire.rows_of(body, kind)
        return None if kind is None or rows is None else Page(received=received, kind=kind, rows=rows)

    def begins_crawl(self, page: Page) -> bool:
        """The first page of events has no cursor."""
        return page.kind == "events" and "cursor=" not in page.received.channel

    def let_go(self, now_us: int) -> None:
        """Series and events that no row has named for long."""
        self._series.let_go(now_us)
        self._events.let_go(now_us)

    def unfold(self, kind: str, row: Row) -> Iterator[tuple[mapper.Event, Any]]:
        """The markets of an event, or the market itself with the event it names. A series has none."""
        if kind == "series":
            ticker, of_series = mapper.series(row)
            self._series.tell(ticker, of_series)
        elif kind == "events":
            of_event = mapper.event(row)
            self._events.tell(of_event.ticker, of_event)
            for nested in row.get("markets") or ():
                yield of_event, nested
        else:
            yield self._events.of(str(row.get("event_ticker"))) or mapper.Event(), row

    def left_out(self, row: Row) -> str:
        """Combinations that users make are no markets of ours."""
        return "combo" if wire.is_combo(row) else ""

    def market(self, context: mapper.Event, row: Row, moment: Moment) -> Market:
        """A market row as a Market."""
        return mapper.market(row, context, self._series.of(context.series) or mapper.Series(), moment)

    def shown(self, kind: str, row: Row, moment: Moment, last: LastShown) -> Shown:
        """What a market row shows; it says everything by itself."""
        return mapper.shown(row)

    def earlier(self, row: Row, shown: Shown, moment: Moment) -> tuple[Earlier, ...]:
        """The quote a day before."""
        return mapper.earlier(row, shown, moment)

    def market_id(self, venue_market_id: str) -> str:
        """Our id of a market from its ticker."""
        return ID_PREFIX + venue_market_id

    def hot_id(self, market_id: str, token_id: str) -> str:
        """Its ticker."""
        return market_id.removeprefix(ID_PREFIX)

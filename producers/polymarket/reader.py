"""Reads Polymarket's rows: kinds `events` (markets inside), `markets` (Gamma rows) and `books` (CLOB)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from producers.base import LastShown, Page, Received
from producers.fields import Row, as_object
from producers.named import Named
from producers.polymarket import mapper, wire
from producers.polymarket.settings import ID_PREFIX
from producers.ticks import Earlier, Moment, Shown
from schemas.events import Market


class PolymarketReader:
    """Remembers the events with their tags, which market rows come without, as long as rows name them."""

    def __init__(self) -> None:
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
        """Events that no row has named for long."""
        self._events.let_go(now_us)

    def unfold(self, kind: str, row: Row) -> Iterator[tuple[mapper.Event, Any]]:
        """The markets of an event, or the market itself with its event."""
        if kind == "events":
            of_event = mapper.event(row)
            self._events.tell(of_event.event_id, of_event)
            for nested in row.get("markets") or ():
                yield of_event, nested
        else:
            yield self._event_of(row), row

    def left_out(self, row: Row) -> str:
        """Places kept free for outcomes to come are no markets yet."""
        return "placeholder" if wire.is_placeholder(row) else ""

    def market(self, context: mapper.Event, row: Row, moment: Moment) -> Market:
        """A Gamma row as a Market."""
        return mapper.market(row, context, moment)

    def shown(self, kind: str, row: Row, moment: Moment, last: LastShown) -> Shown | None:
        """What a Gamma row or a book shows. A book of a token that no Gamma row has named says nothing."""
        if kind != "books":
            return mapper.shown(row, moment)
        newest = last(ID_PREFIX + str(row.get("asset_id")))
        return None if newest is None else mapper.book_shown(row, newest)

    def earlier(self, row: Row, shown: Shown, moment: Moment) -> tuple[Earlier, ...]:
        """The price an hour and a day before, by the venue's own changes."""
        return mapper.earlier(row, shown, moment)

    def market_id(self, venue_market_id: str) -> str:
        """Our id of a market from its condition id."""
        return ID_PREFIX + venue_market_id

    def hot_id(self, market_id: str, token_id: str) -> str:
        """Its outcome 0 token."""
        return token_id.removeprefix(ID_PREFIX)

    def _event_of(self, row: Row) -> mapper.Event:
        """The event of a bare market row: the stub inside has no tags, so the one met in a crawl is preferred."""
        stubs = row.get("events")
        if not isinstance(stubs, list) or not stubs:
            return mapper.Event()
        # A market can list several events; the site shows it under the first.
        stub = mapper.event(as_object(stubs[0]))
        return self._events.of(stub.event_id) or stub

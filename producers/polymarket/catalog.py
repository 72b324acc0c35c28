"""What is tracked on Polymarket: events with their tags, markets, and the tokens of the busiest ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from producers.base import Mapped, Moment, Page
from producers.fields import Row, bad_row, refusal
from producers.polymarket import mapper
from producers.polymarket.settings import ID_PREFIX
from producers.tracked import Tracked
from schemas.events import Market, Tick


class PolymarketCatalog:
    """Reads Polymarket's pages: kinds `events` (markets inside), `markets` (Gamma rows) and `books` (CLOB)."""

    def __init__(self) -> None:
        self.tracked = Tracked()
        self._events: dict[str, mapper.Event] = {}
        self._market_of_token: dict[str, str] = {}

    def learn(self, page: Page, moment: Moment) -> Mapped[Market]:
        """Markets of an `events` or `markets` page."""
        mapped: Mapped[Market] = Mapped()
        for of_event, row in self._with_events(page, mapped):
            try:
                mapped.events.append(mapper.market(row, of_event, moment))
            except Exception as error:
                mapped.bad.append(refusal(error, row))
        return mapped

    def ticks(self, page: Page, moment: Moment) -> Mapped[Tick]:
        """One tick for each row of a `markets` or `books` page."""
        mapped: Mapped[Tick] = Mapped()
        for row in page.rows:
            try:
                tick = self._tick(page.kind, _object(row), moment)
            except Exception as error:
                mapped.bad.append(refusal(error, row))
                continue
            if tick is None:
                mapped.leave_out("unknown_token")
            else:
                mapped.events.append(tick)
        return mapped

    def market_id(self, venue_market_id: str) -> str:
        """Our id of a market from the venue's."""
        return ID_PREFIX + venue_market_id

    def hot_ids(self, count: int) -> list[str]:
        """Outcome 0 tokens of the busiest markets."""
        busiest = self.tracked.busiest(count)
        self._market_of_token = {tick.token_id.removeprefix(ID_PREFIX): tick.market_id for tick in busiest}
        return list(self._market_of_token)

    def _tick(self, kind: str, row: Row, moment: Moment) -> Tick | None:
        if kind != "books":
            return mapper.tick(row, moment)
        known = self.tracked.get(self._market_of_token.get(str(row.get("asset_id")), ""))
        if known is None or known.newest is None:
            return None
        return mapper.book_tick(row, known.newest, moment)

    def _with_events(self, page: Page, mapped: Mapped[Market]) -> Iterator[tuple[mapper.Event, Row]]:
        """Each market row with its event; broken events go to `mapped.bad`."""
        for item in page.rows:
            try:
                row = _object(item)
                if page.kind == "events":
                    of_event = mapper.event(row)
                    self._events[of_event.event_id] = of_event
                    rows = [_object(nested) for nested in row.get("markets") or ()]
                else:
                    of_event, rows = self._event_of(row), [row]
            except Exception as error:
                mapped.bad.append(refusal(error, item))
                continue
            for nested in rows:
                yield of_event, nested

    def _event_of(self, row: Row) -> mapper.Event:
        """The event of a bare market row: the stub inside has no tags, so the one met in a crawl is preferred."""
        stubs = row.get("events")
        if not isinstance(stubs, list) or not stubs:
            return mapper.Event()
        # A market can list several events; the site shows it under the first.
        stub = mapper.event(_object(stubs[0]))
        return self._events.get(stub.event_id, stub)


def _object(item: Any) -> Row:
    if not isinstance(item, dict):
        raise bad_row("bad_row", f"no JSON object: {item!r}"[:200], {"row": item})
    return item

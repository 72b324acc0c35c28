"""What is tracked on Kalshi: series with their categories, events, markets, and the tickers of the busiest ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from producers.base import Mapped, Moment, Page
from producers.fields import Row, bad_row, refusal
from producers.kalshi import mapper, wire
from producers.kalshi.settings import ID_PREFIX
from producers.tracked import Tracked
from schemas.events import Market, Tick


class KalshiCatalog:
    """Reads Kalshi's pages: kinds `series`, `events` (markets inside) and `markets`."""

    def __init__(self) -> None:
        self.tracked = Tracked()
        self._series: dict[str, mapper.Series] = {}
        self._events: dict[str, mapper.Event] = {}

    def learn(self, page: Page, moment: Moment) -> Mapped[Market]:
        """Markets of an `events` or `markets` page. A `series` page yields none, but their categories."""
        mapped: Mapped[Market] = Mapped()
        for of_event, row in self._with_events(page, mapped):
            if wire.is_combo(row):
                mapped.leave_out("combo")
                continue
            try:
                of_series = self._series.get(of_event.series, mapper.Series())
                mapped.events.append(mapper.market(row, of_event, of_series, moment))
            except Exception as error:
                mapped.bad.append(refusal(error, row))
        return mapped

    def ticks(self, page: Page, moment: Moment) -> Mapped[Tick]:
        """One tick for each row of a `markets` page, combos left out."""
        mapped: Mapped[Tick] = Mapped()
        for item in page.rows:
            try:
                row = _object(item)
                if wire.is_combo(row):
                    mapped.leave_out("combo")
                else:
                    mapped.events.append(mapper.tick(row, moment))
            except Exception as error:
                mapped.bad.append(refusal(error, item))
        return mapped

    def market_id(self, venue_market_id: str) -> str:
        """Our id of a market from the venue's."""
        return ID_PREFIX + venue_market_id

    def hot_ids(self, count: int) -> list[str]:
        """Tickers of the busiest markets."""
        return [tick.market_id.removeprefix(ID_PREFIX) for tick in self.tracked.busiest(count)]

    def _with_events(self, page: Page, mapped: Mapped[Market]) -> Iterator[tuple[mapper.Event, Row]]:
        """Each market row with its event; broken series and events go to `mapped.bad`."""
        for item in page.rows:
            try:
                row = _object(item)
                if page.kind == "series":
                    ticker, of_series = mapper.series(row)
                    self._series[ticker] = of_series
                    continue
                if page.kind == "events":
                    of_event = mapper.event(row)
                    self._events[of_event.ticker] = of_event
                    rows = [_object(nested) for nested in row.get("markets") or ()]
                else:
                    of_event, rows = self._events.get(str(row.get("event_ticker")), mapper.Event()), [row]
            except Exception as error:
                mapped.bad.append(refusal(error, item))
                continue
            for nested in rows:
                yield of_event, nested


def _object(item: Any) -> Row:
    if not isinstance(item, dict):
        raise bad_row("bad_row", f"no JSON object: {item!r}"[:200], {"row": item})
    return item

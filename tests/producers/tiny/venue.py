"""A third venue, as small as one can be: one path, `[{"id": "a", "bid": "0.40", "ask": "0.42", "over": false}]`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from typing import Any

from pydantic import Field

from kernel.clock import Clock
from kernel.settings import Group, Settings
from producers.base import Collector, Errand, LastShown, Page, Received, Venue, Witness
from producers.client import VenueHttp
from producers.fields import Row, flag, price_ppm, required_text
from producers.limits import RateLimit
from producers.quotes import quote
from producers.shards import Shard
from producers.ticks import Earlier, Moment, Shown
from producers.tracked import content_id
from schemas.events import Market


class TinySettings(Group):
    """Where it is."""

    tiny_url: str = Field("http://127.0.0.1:1", description="Base address")


class TinyReader:
    """Maps its rows."""

    def page(self, received: Received, body: Any) -> Page | None:
        """A list of rows."""
        return Page(received=received, kind="rows", rows=body) if isinstance(body, list) else None

    def begins_crawl(self, page: Page) -> bool:
        """A crawl is one page."""
        return True

    def let_go(self, now_us: int) -> None:
        """Nothing is remembered."""

    def unfold(self, kind: str, row: Row) -> Iterator[tuple[Any, Any]]:
        """A row is a market."""
        yield None, row

    def left_out(self, row: Row) -> str:
        """All rows are ours."""
        return ""

    def market(self, context: Any, row: Row, moment: Moment) -> Market:
        """A row as a market."""
        name = required_text(row, "id")
        market = Market(
            event_id="", venue="tiny", market_id=f"TINY:{name}", venue_market_id=name, title=f"{name}?",
            token_ids=(f"TINY:{name}:YES", f"TINY:{name}:NO"), outcomes=("Yes", "No"), event_key="", event_title="",
            mutually_exclusive=False, category="other", venue_category="", tags=(), url="",
            status="settled" if flag(row, "over") else "open",
            ts_event_us=moment.as_of_us, ts_received_us=moment.ts_received_us,
        )  # fmt: skip
        return replace(market, event_id=content_id(market))

    def shown(self, kind: str, row: Row, moment: Moment, last: LastShown) -> Shown:
        """What a row shows."""
        name, over = required_text(row, "id"), bool(flag(row, "over"))
        sides = quote(price_ppm(row, "bid"), price_ppm(row, "ask"), None, tradable=not over)
        status = "settled" if over else "open"
        return Shown(market_id=f"TINY:{name}", token_id=f"TINY:{name}:YES", quote=sides, market_status=status)  # type: ignore[arg-type]

    def earlier(self, row: Row, shown: Shown, moment: Moment) -> tuple[Earlier, ...]:
        """It says nothing of the past."""
        return ()

    def market_id(self, venue_market_id: str) -> str:
        """Our id."""
        return f"TINY:{venue_market_id}"

    def hot_id(self, market_id: str, token_id: str) -> str:
        """The venue's id."""
        return market_id.removeprefix("TINY:")


class TinyFeed:
    """One path for everything."""

    def __init__(self, http: VenueHttp, reader: TinyReader) -> None:
        self._http, self._reader = http, reader

    async def crawl(self, errand: Errand) -> AsyncIterator[Page]:
        """All rows."""
        received, body = await self._http.get("/rows", None, errand)
        page = self._reader.page(received, body)
        if page is not None:
            yield page

    async def sweep(self, errand: Errand) -> AsyncIterator[Page]:
        """All rows."""
        async for page in self.crawl(errand):
            yield page

    async def hot(self, ids: Sequence[str], errand: Errand) -> AsyncIterator[Page]:
        """All rows."""
        async for page in self.crawl(errand):
            yield page

    async def lookup(self, ids: Sequence[str], errand: Errand) -> AsyncIterator[Page]:
        """All rows."""
        async for page in self.crawl(errand):
            yield page

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.close()


def collector(settings: Settings, shard: Shard, witness: Witness, clock: Clock) -> Collector:
    """Over its one host."""
    reader = TinyReader()
    http = VenueHttp(settings.of(TinySettings).tiny_url, RateLimit(100, clock), witness, clock)
    return Collector("tiny", TinyFeed(http, reader), reader)


VENUE = Venue(TinySettings, TinyReader, collector)

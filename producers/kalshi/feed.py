"""Fetches Kalshi's pages: series, events with their markets, open markets by cursor."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from producers.base import Page, Witness
from producers.client import Query, VenueHttp
from producers.kalshi import wire
from producers.kalshi.settings import EVENTS_PAGE, MARKETS_PAGE, MAX_PAGES, SERIES_EVERY, TICKERS_BATCH
from producers.listing import Paging, page_of, read_listing

_PAGING = Paging(rows_of=wire.rows_of, cursor_of=wire.cursor_of, cursor_parameter="cursor", max_pages=MAX_PAGES)


class KalshiFeed:
    """Kalshi's public REST."""

    def __init__(self, api: VenueHttp, witness: Witness) -> None:
        self._api = api
        self._witness = witness
        self._crawls = 0

    async def crawl(self) -> AsyncIterator[Page]:
        """All series now and then, then all events with an open market; these come with markets of every status."""
        if self._crawls % SERIES_EVERY == 0:
            answer, body = await self._api.get("/series")
            yield page_of(_PAGING, self._witness, body, "series", answer)
        query: Query = {"status": "open", "with_nested_markets": "true", "limit": EVENTS_PAGE}
        async for page in self._cursor("/events", "events", query):
            yield page
        self._crawls += 1

    async def sweep(self) -> AsyncIterator[Page]:
        """All open markets but combos, which are most of an unfiltered listing."""
        query: Query = {"status": "open", "mve_filter": "exclude", "limit": MARKETS_PAGE}
        async for page in self._cursor("/markets", "markets", query):
            yield page

    async def hot(self, ids: Sequence[str]) -> AsyncIterator[Page]:
        """Markets by ticker, whatever their status."""
        for start in range(0, len(ids), TICKERS_BATCH):
            wanted = ids[start : start + TICKERS_BATCH]
            async for page in self._cursor("/markets", "markets", {"tickers": ",".join(wanted), "limit": MARKETS_PAGE}):
                yield page

    async def lookup(self, ids: Sequence[str]) -> AsyncIterator[Page]:
        """The same: a market row by ticker is whole."""
        async for page in self.hot(ids):
            yield page

    async def close(self) -> None:
        """Closes the connections."""
        await self._api.close()

    def _cursor(self, path: str, kind: str, query: Query) -> AsyncIterator[Page]:
        return read_listing(self._api, self._witness, _PAGING, path, kind, query)

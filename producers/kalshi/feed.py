"""Fetches Kalshi's pages: series, events with their markets, open markets by cursor."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from kernel.errors import BadMessageError
from producers.base import Errand, Page, Witness
from producers.client import Query, VenueHttp
from producers.fields import refusal
from producers.kalshi import wire
from producers.kalshi.settings import (
    COMBO_PREFIX,
    EVENTS_PAGE,
    MARKETS_PAGE,
    MAX_PAGES,
    SERIES_EVERY,
    TICKERS_BATCH,
    TRADES_PAGE,
    TRADES_PAGES,
)
from producers.listing import Paging, page_of, read_listing
from schemas.units import US_PER_S

_PAGING = Paging(rows_of=wire.rows_of, cursor_of=wire.cursor_of, cursor_parameter="cursor", max_pages=MAX_PAGES)


class KalshiFeed:
    """Kalshi's public REST."""

    def __init__(self, api: VenueHttp, witness: Witness) -> None:
        self._api = api
        self._witness = witness
        self._crawls = 0

    async def crawl(self, errand: Errand) -> AsyncIterator[Page]:
        """All series now and then, then all events with an open market; these come with markets of every status."""
        if self._crawls % SERIES_EVERY == 0:
            received, body = await self._api.get(wire.SERIES, None, errand)
            yield page_of(_PAGING, self._witness, body, wire.KINDS[wire.SERIES], received)
        query: Query = {"status": "open", "with_nested_markets": "true", "limit": EVENTS_PAGE}
        async for page in self._listing(wire.EVENTS, query, errand):
            yield page
        self._crawls += 1

    async def sweep(self, errand: Errand) -> AsyncIterator[Page]:
        """All open markets but combos, which are most of an unfiltered listing."""
        query: Query = {"status": "open", "mve_filter": "exclude", "limit": MARKETS_PAGE}
        async for page in self._listing(wire.MARKETS, query, errand):
            yield page

    async def hot(self, ids: Sequence[str], errand: Errand) -> AsyncIterator[Page]:
        """Markets by ticker, whatever their status."""
        for start in range(0, len(ids), TICKERS_BATCH):
            wanted = ids[start : start + TICKERS_BATCH]
            query: Query = {"tickers": ",".join(wanted), "limit": MARKETS_PAGE}
            async for page in self._listing(wire.MARKETS, query, errand):
                yield page

    async def lookup(self, ids: Sequence[str], errand: Errand) -> AsyncIterator[Page]:
        """The same: a market row by ticker is whole."""
        async for page in self.hot(ids, errand):
            yield page

    async def traded_since(self, since_us: int, errand: Errand) -> tuple[list[str], int]:
        """Tickers that have traded since then, combos left out, and the instant of the newest trade.

        One call covers all markets, so it says cheaply whose rows are worth reading again.
        """
        newest_us, found = since_us, dict[str, None]()
        query: dict[str, str | int] = {"min_ts": since_us // US_PER_S, "limit": TRADES_PAGE}
        for _ in range(TRADES_PAGES):
            received, body = await self._api.get(wire.TRADES, query, errand)
            page = page_of(_PAGING, self._witness, body, "trades", received)
            for row in page.rows:
                try:
                    ticker, at_us = wire.trade(row)
                except (BadMessageError, AttributeError) as error:
                    self._witness.refused(refusal(error, row), received.channel)
                    continue
                newest_us = max(newest_us, at_us)
                if at_us > since_us and not ticker.startswith(COMBO_PREFIX):
                    found[ticker] = None
            cursor = wire.cursor_of(body)
            if not cursor:
                break
            query["cursor"] = cursor
        return list(found), newest_us

    async def close(self) -> None:
        """Closes the connections."""
        await self._api.close()

    def _listing(self, path: str, query: Query, errand: Errand) -> AsyncIterator[Page]:
        return read_listing(self._api, self._witness, _PAGING, path, wire.KINDS[path], query, errand)

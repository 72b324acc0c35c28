"""Fetches Polymarket's pages: Gamma by keyset, CLOB books in batches."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from producers.base import Errand, Page, Witness
from producers.client import Query, VenueHttp
from producers.listing import Paging, page_of, read_listing
from producers.polymarket import wire
from producers.polymarket.settings import BOOKS_BATCH, EVENTS_PAGE, LOOKUP_BATCH, MARKETS_PAGE, MAX_PAGES

# Under any other name ("cursor", "next_cursor") the cursor is ignored and page 1 comes for ever.
_PAGING = Paging(rows_of=wire.rows_of, cursor_of=wire.cursor_of, cursor_parameter="after_cursor", max_pages=MAX_PAGES)


class PolymarketFeed:
    """Polymarket's public REST. `gamma` and `clob` are its two hosts."""

    def __init__(self, gamma: VenueHttp, clob: VenueHttp, witness: Witness) -> None:
        self._gamma = gamma
        self._clob = clob
        self._witness = witness

    async def crawl(self, errand: Errand) -> AsyncIterator[Page]:
        """All open events with their tags and markets."""
        async for page in self._keyset(wire.EVENTS, {"closed": "false", "limit": EVENTS_PAGE}, errand):
            yield page

    async def sweep(self, errand: Errand) -> AsyncIterator[Page]:
        """All open markets with their quotes."""
        async for page in self._keyset(wire.MARKETS, {"closed": "false", "limit": MARKETS_PAGE}, errand):
            yield page

    async def hot(self, ids: Sequence[str], errand: Errand) -> AsyncIterator[Page]:
        """Books of tokens. Settled and unknown tokens are missing from the answer."""
        for start in range(0, len(ids), BOOKS_BATCH):
            body = [{"token_id": token} for token in ids[start : start + BOOKS_BATCH]]
            received, books = await self._clob.post(wire.BOOKS, body, errand)
            yield page_of(_PAGING, self._witness, books, wire.KINDS[wire.BOOKS], received)

    async def lookup(self, ids: Sequence[str], errand: Errand) -> AsyncIterator[Page]:
        """Markets by condition id. Open and closed ones are listed apart."""
        for start in range(0, len(ids), LOOKUP_BATCH):
            wanted = ids[start : start + LOOKUP_BATCH]
            for closed in ("true", "false"):
                params: Query = {"closed": closed, "limit": MARKETS_PAGE, "condition_ids": wanted}
                async for page in self._keyset(wire.MARKETS, params, errand):
                    yield page

    async def close(self) -> None:
        """Closes the connections."""
        await self._gamma.close()
        await self._clob.close()

    def _keyset(self, path: str, query: Query, errand: Errand) -> AsyncIterator[Page]:
        """The cursor is bound to the query. The order is pinned, since the default one shifts while it is read.

        A short page is not the end.
        """
        pinned: Query = {**query, "order": "id", "ascending": "true"}
        return read_listing(self._gamma, self._witness, _PAGING, path, wire.KINDS[path], pinned, errand)

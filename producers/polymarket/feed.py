"""Fetches Polymarket's pages: Gamma by keyset, CLOB books in batches."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from movers.errors import BadMessageError, TransientError
from producers.base import Answer, Page, Witness
from producers.client import Query, VenueHttp
from producers.polymarket import wire
from producers.polymarket.settings import BOOKS_BATCH, EVENTS_PAGE, LOOKUP_BATCH, MARKETS_PAGE, MAX_PAGES

_EVENTS = "/events/keyset"
_MARKETS = "/markets/keyset"


class PolymarketFeed:
    """Polymarket's public REST. `gamma` and `clob` are its two hosts."""

    def __init__(self, gamma: VenueHttp, clob: VenueHttp, witness: Witness) -> None:
        self._gamma = gamma
        self._clob = clob
        self._witness = witness

    async def crawl(self) -> AsyncIterator[Page]:
        """All open events with their tags and markets."""
        async for page in self._keyset(_EVENTS, "events", {"closed": "false", "limit": EVENTS_PAGE}):
            yield page

    async def sweep(self) -> AsyncIterator[Page]:
        """All open markets with their quotes."""
        async for page in self._keyset(_MARKETS, "markets", {"closed": "false", "limit": MARKETS_PAGE}):
            yield page

    async def hot(self, ids: Sequence[str]) -> AsyncIterator[Page]:
        """Books of tokens. Settled and unknown tokens are missing from the answer."""
        for start in range(0, len(ids), BOOKS_BATCH):
            body = [{"token_id": token} for token in ids[start : start + BOOKS_BATCH]]
            answer, books = await self._clob.post("/books", body)
            yield Page(answer=answer, kind="books", rows=self._rows(books, "books", answer))

    async def lookup(self, ids: Sequence[str]) -> AsyncIterator[Page]:
        """Markets by condition id. Open and closed ones are listed apart."""
        for start in range(0, len(ids), LOOKUP_BATCH):
            wanted = ids[start : start + LOOKUP_BATCH]
            for closed in ("true", "false"):
                params: Query = {"closed": closed, "limit": MARKETS_PAGE, "condition_ids": wanted}
                async for page in self._keyset(_MARKETS, "markets", params):
                    yield page

    async def close(self) -> None:
        """Closes the connections."""
        await self._gamma.close()
        await self._clob.close()

    async def _keyset(self, path: str, kind: str, query: Query) -> AsyncIterator[Page]:
        """Pages of a listing, every filter repeated on every page: the cursor is bound to the query.

        The order is pinned, since the default one shifts while it is read. Ends when there is no cursor or one comes
        again. A short page is not the end.
        """
        params: dict[str, str | int | Sequence[str]] = {**query, "order": "id", "ascending": "true"}
        seen: set[str] = set()
        for _ in range(MAX_PAGES):
            answer, body = await self._gamma.get(path, params)
            yield Page(answer=answer, kind=kind, rows=self._rows(body, kind, answer))
            cursor = wire.cursor_of(body)
            if not cursor or cursor in seen:
                return
            seen.add(cursor)
            # Under any other name ("cursor", "next_cursor") it is ignored and page 1 comes for ever.
            params["after_cursor"] = cursor
        raise TransientError(f"{path}: no end after {MAX_PAGES} pages")

    def _rows(self, body: Any, key: str, answer: Answer) -> list[Any]:
        rows = wire.rows_of(body, key)
        if rows is None:
            detail = f"no list of {key} in the answer"
            self._witness.refused(BadMessageError("bad_page", detail, answer.body), answer.channel)
            raise TransientError(f"{answer.path}: {detail}")
        return rows

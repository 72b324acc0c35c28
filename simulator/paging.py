"""Cursors and answers shared by both simulated REST APIs."""

from __future__ import annotations

import base64
import binascii
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar
from zlib import crc32

import orjson
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response

from simulator.player import Player

Key = tuple[Any, int]
Row = TypeVar("Row")

SPOILED = "simulator.spoiled"
"""Scope key: the answer will be broken on its way, so it must not count as served."""

_FEW: Final = 100
"""So many new rows are put in one by one."""

MOMENT_US = "simulator.moment_us"
"""Scope key: the venue's time of an answer that moved the tape on."""


class CursorError(ValueError):
    """A cursor that is not ours, or that belongs to another query."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a listing goes on: after `key`, for the query of that fingerprint, begun at tape time `moment_us`."""

    query: int
    key: Key
    moment_us: int

    def encode(self) -> str:
        """The opaque text a client sends back."""
        raw = orjson.dumps([self.query, list(self.key), self.moment_us])
        return base64.urlsafe_b64encode(raw).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str, query: int) -> Cursor:
        """The cursor of a text.

        Raises:
            CursorError: garbled, or made for another query.
        """
        try:
            made_for, key, moment_us = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            cursor = cls(made_for, (key[0], key[1]), moment_us)
        except (binascii.Error, ValueError, TypeError, LookupError) as error:
            raise CursorError("invalid cursor") from error
        if cursor.query != query:
            raise CursorError("cursor does not belong to this query")
        return cursor


def fingerprint(request: Request, *, without: Sequence[str]) -> int:
    """What query a cursor is bound to: path and parameters, less those that may differ from page to page."""
    items = sorted((key, value) for key, value in request.query_params.multi_items() if key not in without)
    return crc32(orjson.dumps([request.url.path, items]))


def page_of(
    rows: list[Row], key: Callable[[Row], Key], cursor: Cursor | None, limit: int, *, descending: bool = False
) -> tuple[list[Row], Key | None]:
    """One page after the cursor in key order, and the key to go on from, or None on the last page."""
    ordered = sorted(rows, key=key, reverse=descending)
    if cursor is not None:
        after = cursor.key
        ordered = [row for row in ordered if (key(row) < after if descending else key(row) > after)]
    page = ordered[:limit]
    return page, key(page[-1]) if len(ordered) > limit else None


@dataclass(frozen=True, slots=True)
class Wanted(Generic[Row]):
    """What a query asks for: rows of all that are listed, or of those that it names, that are to be kept."""

    keep: Callable[[Row], bool]
    named: Sequence[Row] | None = None

    def of(self, listed: Iterable[Row]) -> list[Row]:
        """The rows, in no order."""
        return [row for row in (listed if self.named is None else self.named) if self.keep(row)]


class Listing(Generic[Row]):
    """Rows in the order of a key that stays as it is, so that a page costs what is on it, however many rows there are.

    `source` is where rows are appended as they are listed.
    """

    def __init__(self, source: Sequence[Row], key: Callable[[Row], Key]) -> None:
        self._source = source
        self._key = key
        self._taken = 0
        self._rows: list[Row] = []

    def page(
        self, wanted: Wanted[Row], cursor: Cursor | None, limit: int, *, descending: bool = False
    ) -> tuple[list[Row], Key | None]:
        """As `page_of`, of the rows wanted."""
        if wanted.named is not None:
            return page_of(wanted.of(()), self._key, cursor, limit, descending=descending)
        found: list[Row] = []
        for row in self._after(cursor, descending=descending):
            if wanted.keep(row):
                if len(found) == limit:
                    return found, self._key(found[-1])
                found.append(row)
        return found, None

    def page_by(
        self,
        order: Callable[[Row], Any],
        wanted: Wanted[Row],
        cursor: Cursor | None,
        limit: int,
        *,
        descending: bool = False,
    ) -> tuple[list[Row], Key | None]:
        """A page in an order that changes as time goes on: all rows are sorted for it."""
        # Equal ones stand in the order of their first number: a cursor has two.
        rows = wanted.of(self._source)
        return page_of(rows, lambda row: (order(row), self._key(row)[0]), cursor, limit, descending=descending)

    def _after(self, cursor: Cursor | None, *, descending: bool) -> Iterator[Row]:
        self._take_in()
        rows, key = self._rows, self._key
        if descending:
            end = len(rows) if cursor is None else bisect_left(rows, cursor.key, key=key)
            return (rows[place] for place in range(end - 1, -1, -1))
        start = 0 if cursor is None else bisect_right(rows, cursor.key, key=key)
        return (rows[place] for place in range(start, len(rows)))

    def _take_in(self) -> None:
        fresh = self._source[self._taken :]
        self._taken += len(fresh)
        if len(fresh) > _FEW:
            self._rows = sorted([*self._rows, *fresh], key=self._key)
            return
        for row in fresh:
            insort(self._rows, row, key=self._key)


def limit_of(request: Request, default: int, most: int) -> int:
    """The asked page size, silently cut to the venue's maximum.

    Raises:
        ValueError: not a whole number from 1 up.
    """
    limit = int(request.query_params.get("limit", default))
    if limit < 1:
        raise ValueError(f"limit {limit}")
    return min(limit, most)


def flag(request: Request, name: str) -> bool | None:
    """A boolean parameter, None when absent."""
    value = request.query_params.get(name)
    return None if value is None else value.lower() in ("true", "1")


def values(request: Request, name: str) -> list[str]:
    """A list parameter, repeated or joined by commas."""
    return [part for value in request.query_params.getlist(name) for part in value.split(",") if part]


def answer(body: bytes | dict[str, Any] | list[Any], status: int = 200) -> Response:
    """A JSON answer."""
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    return Response(content, status, media_type="application/json")


def begin_sweep(request: Request, player: Player) -> None:
    """Marks a question as the first of a price sweep: the tape may step on before it is answered."""
    player.sweep_begins()
    request.scope[MOMENT_US] = player.now_us()


def serve_last_page(response: Response, request: Request, player: Player, moment_us: int) -> Response:
    """Marks an answer as the last page of a price sweep, which counts once it has been sent whole."""

    async def served() -> None:
        if not request.scope.get(SPOILED):
            player.sweep_served(moment_us)

    response.background = BackgroundTask(served)
    return response

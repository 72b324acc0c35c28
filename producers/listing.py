"""Reads a venue's listing page by page: the loop is the same everywhere, the names of rows and cursors are not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kernel.errors import BadMessageError, TransientError
from producers.base import Errand, Page, Received, Witness
from producers.client import Query, VenueHttp

MAX_CURSOR_CHARS = 4_096
"""A longer cursor is none: it would not fit into an address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """How a venue pages.

    Args:
        rows_of: the rows of a body under a key; None when it holds no list.
        cursor_of: the cursor of a body, empty where the body says that it is the last page; None when it says
            neither, so that the listing is cut.
        cursor_parameter: under which name the cursor is sent back.
        max_pages: more pages than any listing has.
    """

    rows_of: Callable[[Any, str], list[Any] | None]
    cursor_of: Callable[[Any], str | None]
    cursor_parameter: str
    max_pages: int


def page_of(paging: Paging, witness: Witness, body: Any, kind: str, received: Received) -> Page:
    """The page in an answer.

    Raises:
        TransientError: it holds no list of that kind; the witness has the answer.
    """
    rows = paging.rows_of(body, kind)
    if rows is None:
        raise no_rows(witness, kind, received)
    return Page(received=received, kind=kind, rows=rows)


def no_rows(witness: Witness, kind: str, received: Received) -> TransientError:
    """The error for an answer that holds no rows of a kind; the witness has the answer."""
    detail = f"no list of {kind} in the answer"
    witness.refused(BadMessageError("bad_page", detail, received.body), received.channel)
    return TransientError(f"{received.path}: {detail}")


async def read_listing(
    http: VenueHttp, witness: Witness, paging: Paging, path: str, kind: str, query: Query, errand: Errand
) -> AsyncIterator[Page]:
    """Pages of a listing, every filter repeated on every page, to the page that says that it is the last.

    Raises:
        TransientError: a page holds no rows' list, or the listing is cut: no word on whether it goes on, a cursor
            that was there before or is no cursor, no end. The pages before are good.
    """
    params: dict[str, str | int | Sequence[str]] = dict(query)
    seen: set[str] = set()
    for number in range(1, paging.max_pages + 1):
        received, body = await http.get(path, params, errand)
        yield page_of(paging, witness, body, kind, received)
        cursor = paging.cursor_of(body)
        if cursor == "":
            return
        if cursor is None:
            raise TransientError(f"{path}: page {number} does not say whether it is the last")
        if cursor in seen:
            raise TransientError(f"{path}: the cursor of page {number} was there before")
        if len(cursor) > MAX_CURSOR_CHARS:
            raise TransientError(f"{path}: the cursor of page {number} has {len(cursor)} characters")
        seen.add(cursor)
        params[paging.cursor_parameter] = cursor
    raise TransientError(f"{path}: no end after {paging.max_pages} pages")

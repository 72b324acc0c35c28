"""Reads a venue's listing page by page: the loop is the same everywhere, the names of rows and cursors are not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kernel.errors import BadMessageError, TransientError
from producers.base import Answer, Page, Witness
from producers.client import Query, VenueHttp


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """How a venue pages.

    Args:
        rows_of: the rows of a body under a key; None when it holds no list.
        cursor_of: the cursor of a body; empty on the last page.
        cursor_parameter: under which name the cursor is sent back.
        max_pages: more pages than any listing has.
    """

    rows_of: Callable[[Any, str], list[Any] | None]
    cursor_of: Callable[[Any], str]
    cursor_parameter: str
    max_pages: int


def page_of(paging: Paging, witness: Witness, body: Any, kind: str, answer: Answer) -> Page:
    """The page in an answer.

    Raises:
        TransientError: it holds no list of that kind; the witness has the answer.
    """
    rows = paging.rows_of(body, kind)
    if rows is None:
        detail = f"no list of {kind} in the answer"
        witness.refused(BadMessageError("bad_page", detail, answer.body), answer.channel)
        raise TransientError(f"{answer.path}: {detail}")
    return Page(answer=answer, kind=kind, rows=rows)


async def read_listing(
    http: VenueHttp, witness: Witness, paging: Paging, path: str, kind: str, query: Query
) -> AsyncIterator[Page]:
    """Pages of a listing, every filter repeated on every page. Ends where there is no cursor, or one comes again.

    Raises:
        TransientError: a page holds no rows' list, or the listing does not end.
    """
    params: dict[str, str | int | Sequence[str]] = dict(query)
    seen: set[str] = set()
    for _ in range(paging.max_pages):
        answer, body = await http.get(path, params)
        yield page_of(paging, witness, body, kind, answer)
        cursor = paging.cursor_of(body)
        if not cursor or cursor in seen:
            return
        seen.add(cursor)
        params[paging.cursor_parameter] = cursor
    raise TransientError(f"{path}: no end after {paging.max_pages} pages")

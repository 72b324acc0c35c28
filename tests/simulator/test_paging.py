"""Cursors and pages: a walk shows every row once, and a cursor that is not ours is told from one that is."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from simulator import paging
from simulator.paging import Cursor, CursorError, Listing, Wanted

_ROWS = st.lists(st.tuples(st.sampled_from([0, 1, 1, 2, 9]), st.integers(0, 10**6)), max_size=40, unique=True)


def request(query: str, path: str = "/markets") -> Request:
    return Request({"type": "http", "path": path, "query_string": query.encode(), "headers": [], "method": "GET"})


def walked(rows: list[tuple[int, int]], limit: int, *, descending: bool) -> list[list[tuple[int, int]]]:
    """All pages, each cursor sent as the text that a client sends."""
    pages, cursor = [], None
    for _ in range(100):
        page, after = paging.page_of(rows, lambda row: row, cursor, limit, descending=descending)
        pages.append(page)
        if after is None:
            return pages
        cursor = Cursor.decode(Cursor(7, after, 123).encode(), 7)
    raise AssertionError("a walk without end")


@given(_ROWS, st.integers(1, 12), st.booleans())
def test_a_walk_shows_every_row_once_in_order_on_full_pages(
    rows: list[tuple[int, int]], limit: int, descending: bool
) -> None:
    pages = walked(rows, limit, descending=descending)

    assert [row for page in pages for row in page] == sorted(rows, reverse=descending)
    assert all(len(page) == limit for page in pages[:-1])
    assert len(pages) == max(1, -(-len(rows) // limit))


@given(_ROWS, _ROWS, st.integers(1, 12))
def test_rows_that_appear_or_go_between_two_pages_neither_double_nor_hide_the_others(
    before: list[tuple[int, int]], after: list[tuple[int, int]], limit: int
) -> None:
    first, key = paging.page_of(before, lambda row: row, None, limit)
    if key is None:
        return
    rest, _ = paging.page_of(after, lambda row: row, Cursor(7, key, 0), 1000)

    assert not set(first) & set(rest)
    assert set(first) | set(rest) >= set(before) & set(after)


@given(_ROWS, st.sets(st.integers(0, 39)), st.integers(1, 12), st.booleans(), st.integers(0, 40))
def test_a_listing_shows_the_pages_that_sorting_all_its_rows_would(
    rows: list[tuple[int, int]], hidden: set[int], limit: int, descending: bool, known: int
) -> None:
    source = rows[:known]
    listing = Listing(source, lambda row: row)
    gone = {row for place, row in enumerate(rows) if place in hidden}
    kept = [row for row in rows if row not in gone]
    listing.page(Wanted(lambda _: True), None, limit)
    source.extend(rows[known:])  # listed while somebody reads

    pages, cursor = [], None
    while True:
        page, after = listing.page(Wanted(lambda row: row not in gone), cursor, limit, descending=descending)
        pages.append(page)
        if after is None:
            break
        cursor = Cursor(7, after, 0)

    assert pages == walked(kept, limit, descending=descending)


def test_a_page_looks_at_the_rows_on_it_and_not_at_all_that_are_listed() -> None:
    looked: list[int] = []
    listing = Listing(range(100_000), lambda row: (row, 0))

    def keep(row: int) -> bool:
        looked.append(row)
        return True

    page, after = listing.page(Wanted(keep), Cursor(7, (50_000, 0), 0), 100)

    assert (page, after) == (list(range(50_001, 50_101)), (50_100, 0))
    assert len(looked) == 101


def test_rows_that_a_query_names_are_the_only_ones_looked_at() -> None:
    listing = Listing(range(100_000), lambda row: (row, 0))

    assert listing.page(Wanted(lambda row: row != 4, named=[9, 4, 2]), None, 5) == ([2, 9], None)


@given(
    st.integers(0, 2**32), st.tuples(st.integers() | st.text(max_size=9), st.integers(0, 2**40)), st.integers(0, 2**53)
)
def test_a_cursor_comes_back_as_it_was_sent_and_only_to_its_query(query: int, key: tuple[Any, int], at_us: int) -> None:
    if isinstance(key[0], int):
        key = (key[0] % 2**53, key[1])
    cursor = Cursor(query, key, at_us)

    text = cursor.encode()

    assert text.isascii()
    assert "=" not in text
    assert Cursor.decode(text, query) == cursor
    with pytest.raises(CursorError, match="does not belong"):
        Cursor.decode(text, query + 1)


@given(st.text(max_size=60))
def test_any_other_text_is_no_cursor(text: str) -> None:
    with pytest.raises(CursorError):
        Cursor.decode(text, 7)


@pytest.mark.parametrize(
    "inside",
    [7, "abc", [], [7, 1, 2], [7, [1], 2], [7, {}, 2], [7, {"0": 1}, 2], {"a": 1, "b": 2, "c": 3}, [7, None, 0]],
)
def test_json_that_is_no_cursor_is_refused_as_such(inside: Any) -> None:
    text = base64.urlsafe_b64encode(orjson.dumps(inside)).decode().rstrip("=")

    with pytest.raises(CursorError):
        Cursor.decode(text, 7)


def test_a_query_is_its_path_and_parameters_in_any_order_less_those_of_the_page() -> None:
    def print_of(query: str, path: str = "/markets") -> int:
        return paging.fingerprint(request(query, path), without=("limit", "cursor"))

    same = {print_of(query) for query in ("a=1&b=2", "b=2&a=1", "a=1&cursor=x&b=2", "limit=5&a=1&b=2&limit=7")}
    others = {print_of("a=1"), print_of("a=1&b=3"), print_of("a=1&b=2&b=2"), print_of("a=1&b=2", "/events")}

    assert len(same) == 1
    assert len(same | others) == 5


@pytest.mark.parametrize(("query", "limit"), [("", 100), ("limit=1", 1), ("limit=1000", 1000), ("limit=5000", 1000)])
def test_a_limit_is_cut_to_the_venues_largest_page(query: str, limit: int) -> None:
    assert paging.limit_of(request(query), 100, 1000) == limit


@pytest.mark.parametrize("query", ["limit=0", "limit=-1", "limit=many", "limit=1.5", "limit="])
def test_a_limit_that_is_none_is_refused(query: str) -> None:
    with pytest.raises(ValueError, match=r"limit|invalid literal"):
        paging.limit_of(request(query), 100, 1000)


def test_lists_are_repeated_or_joined_and_flags_are_absent_or_not() -> None:
    asked = request("id=a,b&id=c&id=&closed=TRUE&open=0")

    assert paging.values(asked, "id") == ["a", "b", "c"]
    assert [paging.flag(asked, name) for name in ("closed", "open", "other")] == [True, False, None]

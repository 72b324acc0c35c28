"""Paging of Polymarket's lists and batches of its books."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import httpx
import orjson
import pytest

from kernel.clock import ManualClock
from kernel.errors import TransientError
from producers.base import Page
from producers.polymarket.feed import PolymarketFeed
from producers.polymarket.settings import BOOKS_BATCH
from tests.producers.witnesses import SWEEP, Memory, venue

Handler = Callable[[httpx.Request], httpx.Response]
Walk = Callable[[PolymarketFeed], AsyncIterator[Page]]


def pages(handler: Handler, walk: Walk, memory: Memory) -> list[Page]:
    """All pages of one walk over a venue."""

    async def gather() -> list[Page]:
        clock = ManualClock()
        feed = PolymarketFeed(venue(handler, memory, clock), venue(handler, memory, clock), memory)
        try:
            return [page async for page in walk(feed)]
        finally:
            await feed.close()

    return asyncio.run(gather())


def test_a_sweep_follows_after_cursor_to_the_page_without_one_and_repeats_every_filter() -> None:
    asked: list[dict[str, str]] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(dict(request.url.params))
        number = len(asked)
        body = {"markets": [{"id": str(number)}]} | ({"next_cursor": f"c{number}"} if number < 3 else {})
        return httpx.Response(200, json=body)

    found = pages(handler, lambda feed: feed.sweep(SWEEP), Memory())

    assert [row["id"] for page in found for row in page.rows] == ["1", "2", "3"]
    filters = {"closed": "false", "limit": "100", "order": "id", "ascending": "true"}
    assert asked == [filters, filters | {"after_cursor": "c1"}, filters | {"after_cursor": "c2"}]


@pytest.mark.parametrize("cursor", ["same", None, 7, ["a"], "x" * 65_536])
def test_a_cursor_that_repeats_or_is_none_cuts_the_listing(cursor: object) -> None:
    memory = Memory()

    with pytest.raises(TransientError):
        pages(
            lambda _: httpx.Response(200, json={"events": [], "next_cursor": cursor}), lambda f: f.crawl(SWEEP), memory
        )

    assert 1 <= len(memory.answers) <= 2


def test_a_short_or_empty_page_is_not_the_end() -> None:
    bodies = iter(
        [
            {"markets": [{"id": "1"}], "next_cursor": "a"},
            {"markets": [], "next_cursor": "b"},
            {"markets": [{"id": "2"}]},
        ]
    )

    found = pages(lambda _: httpx.Response(200, json=next(bodies)), lambda feed: feed.sweep(SWEEP), Memory())

    assert [len(page.rows) for page in found] == [1, 0, 1]


@pytest.mark.parametrize("body", [{"data": []}, {"markets": {}}, "markets", 7])
def test_an_answer_without_the_list_is_refused_and_ends_the_sweep(body: object) -> None:
    memory = Memory()

    with pytest.raises(TransientError):
        pages(lambda _: httpx.Response(200, json=body), lambda feed: feed.sweep(SWEEP), memory)

    assert [reason for reason, _ in memory.refusals] == ["bad_page"]


def test_pages_before_a_failure_are_handed_out() -> None:
    bodies = [httpx.Response(200, json={"markets": [{"id": "1"}], "next_cursor": "a"})]
    found: list[Page] = []

    async def walk(feed: PolymarketFeed) -> AsyncIterator[Page]:
        async for page in feed.sweep(SWEEP):
            found.append(page)
            yield page

    with pytest.raises(TransientError):
        pages(lambda _: bodies.pop() if bodies else httpx.Response(502), walk, Memory())

    assert len(found) == 1


def test_books_are_asked_for_in_batches_that_stay_under_the_byte_limit() -> None:
    batches: list[int] = []

    def handler(request: httpx.Request) -> httpx.Response:
        tokens = orjson.loads(request.content)
        batches.append(len(tokens))
        assert request.method == "POST"
        return httpx.Response(200, json=[{"asset_id": token["token_id"]} for token in tokens])

    found = pages(handler, lambda feed: feed.hot([str(n) for n in range(BOOKS_BATCH + 1)], SWEEP), Memory())

    assert batches == [BOOKS_BATCH, 1]
    assert {page.kind for page in found} == {"books"}


def test_vanished_markets_are_looked_up_open_and_closed() -> None:
    asked: list[httpx.QueryParams] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.params)
        return httpx.Response(200, json={"markets": []})

    pages(handler, lambda feed: feed.lookup(["0xa", "0xb"], SWEEP), Memory())

    assert [(q["closed"], q.get_list("condition_ids")) for q in asked] == [
        ("true", ["0xa", "0xb"]),
        ("false", ["0xa", "0xb"]),
    ]

"""Paging of Kalshi's lists."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import httpx
import pytest

from kernel.clock import ManualClock
from kernel.errors import TransientError
from producers.base import Errand, Page
from producers.kalshi.feed import KalshiFeed
from producers.kalshi.settings import SERIES_EVERY, TICKERS_BATCH
from schemas.units import micros_from_iso
from tests.payloads import made
from tests.producers.witnesses import SWEEP, Memory, venue


def walk(handler: Callable[[httpx.Request], httpx.Response], memory: Memory, *walks: str, ids: list[str]) -> list[Page]:
    """All pages of some walks over a venue, one after the other."""

    async def gather() -> list[Page]:
        feed = KalshiFeed(venue(handler, memory, ManualClock()), memory)
        found: list[Page] = []
        try:
            for name in walks:
                steps = (
                    feed.hot(ids, SWEEP)
                    if name == "hot"
                    else feed.crawl(SWEEP)
                    if name == "crawl"
                    else feed.sweep(SWEEP)
                )
                found += [page async for page in steps]
        finally:
            await feed.close()
        return found

    return asyncio.run(gather())


def listing(request: httpx.Request) -> httpx.Response:
    """Two pages of whatever is asked for; series in one."""
    key = request.url.path.rsplit("/", 1)[1]
    if key == "series":
        return httpx.Response(200, json={"series": [{"ticker": "KXA"}]})
    if request.url.params.get("cursor") == "two":
        return httpx.Response(200, json={"cursor": "", key: [{"n": 2}]})
    return httpx.Response(200, json={"cursor": "two", key: [{"n": 1}]})


def test_a_sweep_leaves_combos_out_and_ends_at_the_empty_cursor() -> None:
    memory = Memory()

    found = walk(listing, memory, "sweep", ids=[])

    assert [row["n"] for page in found for row in page.rows] == [1, 2]
    query = "/markets?status=open&mve_filter=exclude&limit=1000"
    assert [answer.channel for answer in memory.answers] == [query, query + "&cursor=two"]


def test_a_crawl_reads_the_series_first_but_not_every_time() -> None:
    memory = Memory()

    found = walk(listing, memory, *["crawl"] * (SERIES_EVERY + 1), ids=[])

    kinds = [page.kind for page in found]
    assert kinds == ["series", *["events"] * 2 * SERIES_EVERY, "series", "events", "events"]


@pytest.mark.parametrize("cut", [{"cursor": "same"}, {"cursor": None}, {}, {"cursor": 7}, {"cursor": "x" * 65_536}])
def test_a_listing_that_does_not_say_that_it_ended_is_cut_and_not_whole(cut: dict[str, object]) -> None:
    memory = Memory()

    with pytest.raises(TransientError):
        walk(lambda _: httpx.Response(200, json={"markets": [], **cut}), memory, "sweep", ids=[])

    assert 1 <= len(memory.answers) <= 2


def test_hot_markets_are_asked_for_by_ticker_in_batches() -> None:
    memory = Memory()
    tickers = [f"KX{n}" for n in range(TICKERS_BATCH + 1)]

    walk(lambda _: httpx.Response(200, json={"cursor": "", "markets": []}), memory, "hot", ids=tickers)

    assert [a.channel.count("KX") for a in memory.answers] == [TICKERS_BATCH, 1]


def test_an_answer_without_the_list_is_refused_and_ends_the_sweep() -> None:
    memory = Memory()

    with pytest.raises(TransientError):
        walk(lambda _: httpx.Response(200, json={"error": "odd"}), memory, "sweep", ids=[])

    assert [reason for reason, _ in memory.refusals] == ["bad_page"]


def test_trades_say_which_markets_have_moved_since_and_a_broken_one_costs_no_other() -> None:
    real = json.loads((made("kalshi") / "trades.json").read_text())["trades"]
    instants = sorted(micros_from_iso(row["created_time"]) for row in real)
    combo = {"ticker": "KXMVESPORTS-1", "created_time": real[0]["created_time"]}
    asked: list[dict[str, str]] = []

    def trades(request: httpx.Request) -> httpx.Response:
        asked.append(dict(request.url.params))
        rows = [*real, combo, {"ticker": "KXA"}, 7] if "cursor" not in request.url.params else []
        return httpx.Response(200, json={"cursor": "" if asked[1:] else "more", "trades": rows})

    async def ask() -> tuple[list[str], int]:
        feed = KalshiFeed(venue(trades, memory, ManualClock()), memory)
        try:
            return await feed.traded_since(instants[len(instants) // 2], Errand("hot"))
        finally:
            await feed.close()

    memory = Memory()
    tickers, newest_us = asyncio.run(ask())

    later = {row["ticker"] for row in real if micros_from_iso(row["created_time"]) > instants[len(instants) // 2]}
    assert set(tickers) == later
    assert len(tickers) == len(later)
    assert newest_us == instants[-1]
    assert [reason for reason, _ in memory.refusals] == ["missing_field", "unmappable"]
    assert [query.get("cursor") for query in asked] == [None, "more"]

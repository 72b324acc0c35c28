"""A collector whose venue is a function and whose clock the test plays, over a real Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from kernel.clock import ManualClock
from kernel.schema_registry import SchemaRegistry
from kernel.settings import CollectorSettings
from producers.base import Collector
from producers.client import VenueHttp
from producers.jobs import Jobs
from producers.kalshi.feed import KalshiFeed
from producers.kalshi.reader import KalshiReader
from producers.limits import RateLimit
from producers.outbox import Outbox
from producers.polymarket.feed import PolymarketFeed
from producers.polymarket.reader import PolymarketReader
from producers.shards import Shard
from producers.spill import Spill
from schemas import topics
from schemas.events import FeedStatus
from schemas.units import datetime_from_micros, micros_from_iso
from tests.producers.conftest import Stack
from tests.stack.processes import kafka_at
from tests.stack.waiting import wait_until

START_US = micros_from_iso("2026-08-09T12:00:00Z")
Answer = Callable[[httpx.Request], Any]


@dataclass
class Bench:
    """A collector whose venue and clock the test plays."""

    stack: Stack
    clock: ManualClock
    outbox: Outbox
    answer: Answer
    headers: Callable[[], dict[str, str]]
    venue: str
    told_before: int = 0

    def __post_init__(self) -> None:
        self.told_before = len(self._of_the_venue())

    def handle(self, request: httpx.Request) -> httpx.Response:
        body = self.answer(request)
        if isinstance(body, httpx.Response):
            return body
        if isinstance(body, int):
            return httpx.Response(body, json={"error": "no"}, headers=self.headers())
        return httpx.Response(200, content=orjson.dumps(body), headers=self.headers())

    def date(self) -> dict[str, str]:
        return {"Date": format_datetime(datetime_from_micros(self.clock.now_us()), usegmt=True)}

    def http(self) -> VenueHttp:
        limit = RateLimit(1e6, self.clock)
        return VenueHttp("https://venue.example", limit, self.outbox, self.clock, httpx.MockTransport(self.handle))

    def jobs(self, venue: str, first_seen: Callable[[int], None] = lambda _: None) -> Jobs:
        if venue == "kalshi":
            collector = Collector(venue, KalshiFeed(self.http(), self.outbox), KalshiReader())
        else:
            feed = PolymarketFeed(self.http(), self.http(), self.outbox)
            collector = Collector(venue, feed, PolymarketReader())
        return Jobs(collector, CollectorSettings(), 0.5, self.outbox, self.clock, first_seen=first_seen)

    def statuses(self) -> list[FeedStatus]:
        """What was said of the feed since the bench was made, in order."""
        self.deliver()
        return self._of_the_venue()[self.told_before :]

    def _of_the_venue(self) -> list[FeedStatus]:
        """All that was ever said of it: of one key, since between those of two no order is kept."""
        all_of_it = self.stack.read(topics.FEED_STATUS)
        return [event for event, key, _ in all_of_it if isinstance(event, FeedStatus) and key == f"{self.venue}/all"]

    def deliver(self) -> None:
        """Waits until Kafka has all."""
        wait_until(lambda: asyncio.run(self.outbox.pump()) is None and not self.outbox.pending, "all is delivered")

    def published(self, topic: topics.Topic, market_id: str) -> list[Any]:
        """What was published of a market so far, in order."""
        self.deliver()
        return [event for event, key, _ in self.stack.read(topic) if key == market_id]

    def live(self, jobs: Jobs, until: Callable[[], bool], for_s: float = 3_600) -> None:
        """Runs all jobs until something holds; at most for so long by the bench's clock."""

        async def run() -> None:
            tasks = [asyncio.create_task(job) for job in jobs.loops()]
            end_us = self.clock.now_us() + int(for_s * 1e6)
            while not until():
                assert self.clock.now_us() < end_us, "it never came to hold"
                for task in tasks:
                    if task.done():
                        task.result()
                jobs.watch()
                await self.outbox.pump()
                await self.clock.sleep(0.1)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run(run())


@pytest.fixture
def bench(request: pytest.FixtureRequest, stack: Stack, tmp_path: Path) -> Iterator[Bench]:
    """A bench for the venue that the test is about."""
    store, clock = SchemaRegistry(stack.registry_url), ManualClock(START_US)
    venue: str = request.param
    outbox = Outbox(Shard(venue), kafka_at(stack.bootstrap), store, Spill(tmp_path, 1 << 30), clock)
    made = Bench(stack, clock, outbox, lambda _: 500, lambda: {}, venue)
    made.headers = made.date
    yield made
    outbox.close(20)
    store.close()


def perform(jobs: Jobs, *steps: Callable[[], Awaitable[None]]) -> None:
    """Runs rounds one after the other."""

    async def run() -> None:
        for step in steps:
            await step()

    asyncio.run(run())


def kalshi_row(ticker: str, **change: Any) -> dict[str, Any]:
    row = {
        "ticker": ticker,
        "event_ticker": "KXE",
        "market_type": "binary",
        "title": f"Will {ticker} happen?",
        "yes_sub_title": ticker,
        "close_time": "2026-08-15T23:00:00Z",
        "status": "active",
        "result": "",
        "yes_bid_dollars": "0.4000",
        "yes_ask_dollars": "0.4200",
        "yes_bid_size_fp": "10.00",
        "yes_ask_size_fp": "20.00",
        "last_price_dollars": "0.4100",
        "volume_fp": "100.00",
        "volume_24h_fp": "50.00",
    }
    return row | change


def kalshi_venue(listed: list[dict[str, Any]], by_ticker: dict[str, dict[str, Any]]) -> Answer:
    """Lists of Kalshi; what is asked for by ticker comes from `by_ticker`."""

    def answer(request: httpx.Request) -> Any:
        if request.url.path == "/series":
            return {"series": [{"ticker": "KX", "category": "Politics"}]}
        if request.url.path == "/events":
            return {"cursor": "", "events": [{"event_ticker": "KXE", "series_ticker": "KX", "markets": listed}]}
        if tickers := request.url.params.get("tickers"):
            return {"cursor": "", "markets": [by_ticker[t] for t in tickers.split(",") if t in by_ticker]}
        return {"cursor": "", "markets": listed}

    return answer


TOKENS = '["111", "222"]'


def gamma_row(bid: float, ask: float) -> dict[str, Any]:
    return {
        "id": "1",
        "conditionId": "0xhot",
        "question": "Hot?",
        "outcomes": '["Yes", "No"]',
        "clobTokenIds": TOKENS,
        "bestBid": bid,
        "bestAsk": ask,
        "volume24hr": 5_000,
        "active": True,
        "closed": False,
        "acceptingOrders": True,
    }

"""Polymarket standing still: markets on which nothing happens but what a test does, streamed without Kafka."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from kernel.clock import SystemClock
from producers.base import Collector, Errand, Received, Streaming
from producers.client import VenueHttp
from producers.intake import Intake, Tally
from producers.limits import RateLimit
from producers.polymarket.feed import PolymarketFeed
from producers.polymarket.reader import PolymarketReader
from producers.shards import Shard
from producers.streaming import StreamJobs
from producers.tracked import Tracked
from producers.venue_clock import VenueClock
from schemas.events import Market, Tick
from simulator.tape import Market as TapeMarket
from simulator.tape import Quote, write_tape
from tests.simulator.conftest import START_US, Running

FeedT = TypeVar("FeedT", bound=PolymarketFeed)


class Kept:
    """Messages, kept instead of published."""

    def __init__(self) -> None:
        self.ticks: list[Tick] = []
        self.told: list[tuple[str, str, str, int]] = []

    def tick(self, tick: Tick, category: str) -> None:
        self.ticks.append(tick)

    def market(self, market: Market) -> None:
        """Nothing to do."""

    def received(self, received: Received) -> None:
        """Nothing to do."""

    def refused(self, error: Exception, channel: str) -> None:
        raise error

    def tell(self, connection: str, word: str, detail: str, since_us: int | None, markets: Any) -> None:
        self.told.append((connection, word, detail, len(markets)))


def conditions(count: int) -> list[str]:
    return [f"0x{number:064x}" for number in range(1, count + 1)]


def write_still_tape(path: Path, count: int) -> None:
    """So many markets, the first the busiest."""
    lines: list[Any] = []
    for rank, condition in enumerate(conditions(count)):
        lines.append(TapeMarket(venue="polymarket", market=condition, title=f"Will {rank} happen?", ts_us=START_US))
        volume = 1e6 - 1_000.0 * rank
        lines.append(Quote(START_US, condition, 400_000, 420_000, 410_000, volume=volume, volume_24h=volume))
    write_tape(path, lines)


def moved(markets: list[str], bid: float) -> list[dict[str, Any]]:
    """Lines that give these markets another price."""
    return [{"kind": "quote", "ts_us": 0, "market": m, "bid": bid, "ask": round(bid + 0.02, 2)} for m in markets]


def feed_of(venue: Running, kept: Kept, kind: type[FeedT], requests_per_s: float) -> FeedT:
    clock = SystemClock()
    gamma, clob = (
        VenueHttp(f"{venue.address}/{name}", RateLimit(requests_per_s, clock), kept, clock)
        for name in ("gamma", "clob")
    )
    return kind(gamma, clob, kept)


async def swept_and_streamed(feed: PolymarketFeed, kept: Kept, streaming: Streaming) -> StreamJobs:
    """What streams them, after one sweep."""
    clock, shard, reader = SystemClock(), Shard("polymarket"), PolymarketReader()
    tracked, venue_clock = Tracked(busiest=1_500), VenueClock(5.0, clock.now_us())
    intake = Intake(shard, reader, tracked, venue_clock, kept)
    async for page in feed.sweep(Errand("sweep", 600)):
        intake.take(page, Tally())
    return StreamJobs(
        Collector("polymarket", feed, reader, streaming), streaming, shard, tracked, venue_clock, intake, kept,
        clock, lambda: 600, kept.tell,
    )  # fmt: skip

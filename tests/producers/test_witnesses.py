"""A second channel beside the stream: it finds what freezes, costs nothing when it fails, and keeps to the rules."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from producers.base import Errand, Page, Streaming
from producers.polymarket.feed import PolymarketFeed
from producers.polymarket.sockets import PolyBolt, PolymarketSockets
from producers.streaming import StreamJobs
from tests.producers.still_venue import Kept, conditions, feed_of, moved, swept_and_streamed, write_still_tape
from tests.simulator.conftest import Running
from tests.simulator.conftest import start as start
from tests.stack.waiting import until

MARKETS = 150
CONDITIONS = conditions(MARKETS)


class Blind(PolymarketFeed):
    """Never asked for a live book: the second channel is the only witness."""

    async def hot(self, ids: Sequence[str], errand: Errand) -> AsyncIterator[Page]:
        """Nothing."""
        return
        yield


@dataclass
class Beside:
    """A venue that is streamed, and watched on its second channel."""

    venue: Running
    kept: Kept
    jobs: StreamJobs

    @property
    def health(self) -> Any:
        return self.jobs.health()

    async def post(self, what: str, body: object) -> None:
        lines = body if isinstance(body, list) else [body]
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            content = b"\n".join(json.dumps(line).encode() for line in lines)
            (await client.post(f"{self.venue.address}/simulator/{what}", content=content)).raise_for_status()

    async def move(self, bid: float) -> None:
        await self.post("lines", moved(CONDITIONS, bid))

    def fresh(self, bid_ppm: int) -> int:
        return len({tick.market_id for tick in self.kept.ticks if tick.bid_ppm == bid_ppm})

    def connections(self) -> list[int]:
        rows = self.venue.get("/simulator/connections")
        return [row["number"] for row in rows if row["path"] == "/poly-bolt/ws"]


@pytest.fixture
def venue(start: Callable[..., Running], tmp_path: Path) -> Running:
    """Markets, the first the busiest, on which nothing happens but what the test does."""
    write_still_tape(tmp_path / "still.tape", MARKETS)
    return start("--tape", str(tmp_path / "still.tape"), "--speed", "1")


@asynccontextmanager
async def beside(venue: Running, connections: int) -> AsyncIterator[Beside]:
    kept, ws = Kept(), venue.address.replace("http", "ws")
    feed = feed_of(venue, kept, Blind, 50)
    streaming = Streaming(
        PolymarketSockets(f"{ws}/poly-ws/ws/market"), 2, 800, audited=800,
        witness=PolyBolt(f"{ws}/poly-bolt/ws"), witness_connections=connections,
    )  # fmt: skip
    jobs = await swept_and_streamed(feed, kept, streaming)
    running = asyncio.create_task(jobs.run())
    try:
        continuity = jobs.streams.continuity
        await until(lambda: len(continuity.tokens) == MARKETS and not continuity.waiting, "all are streamed")
        yield Beside(venue, kept, jobs)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await feed.close()


def test_a_market_that_freezes_on_its_stream_is_found_by_the_second_channel_alone(venue: Running) -> None:
    async def run() -> None:
        async with beside(venue, 3) as seen:
            await until(lambda: seen.health["witness_streams_open"] == 3, "the second channel is open")
            await until(lambda: seen.health["witness_agreed"] >= MARKETS, "it agrees about every market")
            order = {"path_prefix": "/poly-ws", "mode": "frozen_market", "share": 1.0, "cure": "reconnect"}
            await seen.post("faults", order)
            await seen.move(0.31)
            await until(lambda: seen.fresh(310_000) == MARKETS, "all markets are fresh")
            assert seen.health["stream_tokens_frozen"] >= 3, "so many make their connection suspect"
            assert seen.health["witness_messages_missed"] == 0
            assert any(word == "gap_opened" for _, word, _, _ in seen.kept.told)

    asyncio.run(run())


def test_a_stream_that_lives_is_never_called_frozen_by_it(venue: Running) -> None:
    async def run() -> None:
        async with beside(venue, 3) as seen:
            await until(lambda: seen.health["witness_agreed"] >= MARKETS, "it agrees about every market")
            for step in range(8):
                await seen.move(0.30 + step / 100)
            agreed = seen.health["witness_agreed"]
            await until(lambda: seen.health["witness_agreed"] > agreed, "what was told last is weighed")
            await until(lambda: seen.fresh(370_000) == MARKETS, "all markets are fresh")
            # Contradicted it may have been for a moment: on a busy machine the stream is seconds behind.
            assert seen.health["stream_tokens_frozen"] == 0
            assert not any(word == "gap_opened" for _, word, _, _ in seen.kept.told)

    asyncio.run(run())


def test_no_connection_gets_more_tokens_than_the_venue_allows_and_the_busiest_get_the_places(venue: Running) -> None:
    async def run() -> None:
        async with beside(venue, 1) as seen:
            await until(lambda: seen.health["witness_agreed"] == 64, "it tells of as many as it may")
            assert len(seen.connections()) == 1
            await seen.move(0.31)
            await until(lambda: seen.health["witness_agreed"] == 128, "and tells what changes of these")

    asyncio.run(run())


@pytest.mark.parametrize("fault", [{"mode": "refused", "status": 404}, {"mode": "close", "code": 4008, "reason": ""}])
def test_without_the_second_channel_everything_streams_on(venue: Running, fault: dict[str, Any]) -> None:
    if fault["mode"] == "refused":
        order = {"path_prefix": "/poly-bolt", **fault}
        httpx.post(f"{venue.address}/simulator/faults", json=order, trust_env=False, timeout=60).raise_for_status()

    async def run() -> None:
        async with beside(venue, 3) as seen:
            if fault["mode"] == "close":
                await until(lambda: seen.health["witness_streams_open"] == 3, "the second channel is open")
                await seen.post("faults", {"path_prefix": "/poly-bolt", **fault})
                await until(lambda: seen.health["witness_streams_open"] == 0, "the second channel is gone")
            await seen.move(0.31)
            await until(lambda: seen.fresh(310_000) == MARKETS, "all markets are fresh")
            await seen.move(0.33)
            await until(lambda: seen.fresh(330_000) == MARKETS, "all markets are fresh again")
            assert (seen.connections(), seen.health["stream_tokens_frozen"]) == ([], 0)

    asyncio.run(run())

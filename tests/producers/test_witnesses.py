"""A second channel beside the stream: it finds what freezes, costs nothing when it fails, and keeps to the rules."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from producers.base import Errand, Frames, Page, Streaming
from producers.facts import Facts, Top
from producers.polymarket.feed import PolymarketFeed
from producers.polymarket.frames import PolyBoltFrames
from producers.polymarket.sockets import PolyBolt, PolymarketSockets
from producers.streaming import StreamJobs
from simulator.ids import token_ids
from tests.producers.still_venue import Kept, conditions, feed_of, moved, swept_and_streamed, write_still_tape
from tests.simulator.conftest import Running
from tests.simulator.conftest import start as start
from tests.stack.waiting import until

MARKETS = 150
CONDITIONS = conditions(MARKETS)
SECOND = "/poly-bolt"
REFUSED = {"path_prefix": SECOND, "mode": "refused", "status": 404}


class Blind(PolymarketFeed):
    """Never asked for a live book: the second channel is the only witness."""

    async def hot(self, ids: Sequence[str], errand: Errand) -> AsyncIterator[Page]:
        """Nothing."""
        return
        yield


class Overheard(PolyBolt):
    """The second channel, and which bid it has told last of each token."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.bids_ppm: dict[str, int | None] = {}

    def reader(self) -> PolyBoltFrames:
        return cast("PolyBoltFrames", Overhearing(super().reader(), self.bids_ppm))


@dataclass
class Overhearing:
    """Reads as the reader within does."""

    within: Frames
    bids_ppm: dict[str, int | None]

    def follow(self, tokens: Iterable[str]) -> None:
        self.within.follow(tokens)

    def leave(self, tokens: Iterable[str]) -> None:
        self.within.leave(tokens)

    def read(self, body: bytes) -> Facts:
        facts = self.within.read(body)
        self.bids_ppm.update((fact.token, fact.bid_ppm) for fact in facts.facts if isinstance(fact, Top))
        return facts


@dataclass
class Beside:
    """A venue that is streamed. Its second channel is refused until it is let in."""

    venue: Running
    kept: Kept
    jobs: StreamJobs
    second: Overheard

    @property
    def health(self) -> Any:
        return self.jobs.health()

    async def post(self, what: str, body: object) -> None:
        lines = body if isinstance(body, list) else [body]
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            content = b"\n".join(json.dumps(line).encode() for line in lines)
            (await client.post(f"{self.venue.address}/simulator/{what}", content=content)).raise_for_status()

    async def let_in(self) -> None:
        await self.post("faults", {"path_prefix": SECOND, "mode": "off"})

    async def move(self, bid: float) -> None:
        await self.post("lines", moved(CONDITIONS, bid))

    def fresh(self, bid_ppm: int) -> int:
        return len({tick.market_id for tick in self.kept.ticks if tick.bid_ppm == bid_ppm})

    def connections(self) -> list[int]:
        rows = self.venue.get("/simulator/connections")
        return [row["number"] for row in rows if row["path"].startswith(SECOND)]


@pytest.fixture
def venue(start: Callable[..., Running], tmp_path: Path) -> Running:
    """Markets, the first the busiest, on which nothing happens but what the test does."""
    write_still_tape(tmp_path / "still.tape", MARKETS)
    return start("--tape", str(tmp_path / "still.tape"), "--speed", "1")


@asynccontextmanager
async def beside(venue: Running, connections: int) -> AsyncIterator[Beside]:
    kept, ws = Kept(), venue.address.replace("http", "ws")
    feed, second = feed_of(venue, kept, Blind, 50), Overheard(f"{ws}{SECOND}/ws")
    streaming = Streaming(
        PolymarketSockets(f"{ws}/poly-ws/ws/market"), 2, 800, audited=800,
        witness=second, witness_connections=connections,
    )  # fmt: skip
    jobs = await swept_and_streamed(feed, kept, streaming)
    seen = Beside(venue, kept, jobs, second)
    await seen.post("faults", REFUSED)
    running = asyncio.create_task(jobs.run())
    try:
        continuity = jobs.streams.continuity
        await until(lambda: len(continuity.tokens) == MARKETS and not continuity.waiting, "all are streamed")
        yield seen
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await feed.close()


def test_a_market_that_freezes_on_its_stream_is_found_by_the_second_channel_alone(venue: Running) -> None:
    async def run() -> None:
        async with beside(venue, 3) as seen:
            await seen.let_in()
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
            await seen.let_in()
            await until(lambda: seen.health["witness_agreed"] >= MARKETS, "it agrees about every market")
            for step in range(8):
                await seen.move(0.30 + step / 100)
            await until(lambda: seen.fresh(370_000) == MARKETS, "all markets are fresh")
            await until(lambda: set(seen.second.bids_ppm.values()) == {370_000}, "it has told all that happened")
            # On a busy machine the stream may be seconds behind, so that it is contradicted for a moment. What the
            # second channel tells once more is weighed after all that, and nothing is under way that could contradict.
            agreed = seen.health["witness_agreed"]
            await seen.post("faults", {"path_prefix": SECOND, "mode": "drop"})
            await until(lambda: seen.health["witness_agreed"] >= agreed + MARKETS, "what was told last is weighed")
            assert seen.health["stream_tokens_frozen"] == 0
            assert not any(word == "gap_opened" for _, word, _, _ in seen.kept.told)

    asyncio.run(run())


def test_no_connection_gets_more_tokens_than_the_venue_allows_and_the_busiest_get_the_places(venue: Running) -> None:
    busiest = {token_ids(condition)[0] for condition in CONDITIONS[:64]}

    async def run() -> None:
        async with beside(venue, 1) as seen:
            await seen.let_in()
            await until(lambda: seen.health["witness_agreed"] == 64, "it tells of as many as it may")
            assert len(seen.connections()) == 1
            assert seen.second.bids_ppm.keys() == busiest
            await seen.move(0.31)
            await until(lambda: set(seen.second.bids_ppm.values()) == {310_000}, "and tells what changes of these")
            assert seen.second.bids_ppm.keys() == busiest

    asyncio.run(run())


@pytest.mark.parametrize("fault", [REFUSED, {"path_prefix": SECOND, "mode": "close", "code": 4008, "reason": ""}])
def test_without_the_second_channel_everything_streams_on(venue: Running, fault: dict[str, Any]) -> None:
    async def run() -> None:
        async with beside(venue, 3) as seen:
            if fault != REFUSED:
                await seen.let_in()
                await until(lambda: seen.health["witness_streams_open"] == 3, "the second channel is open")
                await seen.post("faults", fault)
                await until(lambda: seen.health["witness_streams_open"] == 0, "the second channel is gone")
            await seen.move(0.31)
            await until(lambda: seen.fresh(310_000) == MARKETS, "all markets are fresh")
            await seen.move(0.33)
            await until(lambda: seen.fresh(330_000) == MARKETS, "all markets are fresh again")
            assert (seen.connections(), seen.health["stream_tokens_frozen"]) == ([], 0)

    asyncio.run(run())

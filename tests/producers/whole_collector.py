"""A whole collector in this process, without Kafka, at a simulated venue that runs as a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import httpx
import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from kernel.clock import SystemClock
from kernel.errors import BadMessageError
from kernel.settings import Settings
from producers.base import Received
from producers.before import Before
from producers.jobs import Jobs
from producers.outbox import Outbox, raw_message
from producers.registry import VENUES
from producers.shards import Shard
from schemas.events import FeedStatus, Market, RawMessage, Tick
from tests.simulator.conftest import Running

STREAMS = {"polymarket": "/poly-ws", "kalshi": "/kalshi/trade-api/ws"}


class Kept:
    """Events, kept in their order."""

    def __init__(self) -> None:
        self.ticks: list[Tick] = []
        self.markets: list[Market] = []
        self.refusals: list[BadMessageError] = []

    def market(self, market: Market) -> None:
        self.markets.append(market)

    def tick(self, tick: Tick, category: str) -> None:
        self.ticks.append(tick)

    def refused(self, error: BadMessageError, channel: str) -> None:
        self.refusals.append(error)


class Published(Kept):
    """What an outbox would publish."""

    kafka_away = False
    dead_lettered = 0

    def __init__(self, venue: str) -> None:
        super().__init__()
        self.raw: list[RawMessage] = []
        self.statuses: list[FeedStatus] = []
        self._venue = venue

    @property
    def ticks_published(self) -> int:
        return len(self.ticks)

    def received(self, received: Received) -> None:
        self.raw.append(raw_message(self._venue, received))

    def status(self, status: FeedStatus) -> None:
        self.statuses.append(status)

    def gaps_of_streams(self, word: str) -> int:
        return sum("/stream-" in status.shard and status.state == word for status in self.statuses)


@dataclass
class Venue:
    """A simulated venue, and the settings of who collects it: streamed, in real time, if `more` does not say else."""

    name: str
    running: Running
    folder: Path
    more: Mapping[str, str] = field(default_factory=dict)

    def settings(self) -> Settings:
        key = self.folder / "key.pem"
        private = Ed25519PrivateKey.generate()
        key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        address = self.running.address
        ws = address.replace("http", "ws")
        return Settings(
            {
                "POLYMARKET_GAMMA_URL": f"{address}/gamma",
                "POLYMARKET_CLOB_URL": f"{address}/clob",
                "POLYMARKET_WS_URL": f"{ws}/poly-ws/ws/market",
                "POLYMARKET_WITNESS_URL": f"{ws}/poly-bolt/ws",
                "POLYMARKET_STREAM_CONNECTIONS": "2",
                "POLYMARKET_REQUESTS_PER_S": "50",
                "KALSHI_API_URL": f"{address}/kalshi/trade-api/v2",
                "KALSHI_WS_URL": f"{ws}/kalshi/trade-api/ws/v2",
                "KALSHI_API_KEY": "key",
                "KALSHI_PRIVATE_KEY_FILE": str(key),
                "KALSHI_STREAM_BOOKS": "20",
                "KALSHI_REQUESTS_PER_S": "50",
                "COLLECTOR_PRICE_INTERVAL": "3",
                "COLLECTOR_HOT_INTERVAL": "2",
                "COLLECTOR_HOT_MARKETS": "30",
                **self.more,
            }
        )

    async def fault(self, mode: str, **more: Any) -> None:
        """Orders one; of its streams, if no `path_prefix` is given."""
        order = {"path_prefix": STREAMS[self.name], "mode": mode, **more}
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            (await client.post(f"{self.running.address}/simulator/faults", json=order)).raise_for_status()

    async def move(self, out: Published) -> None:
        """Prices of its markets move, for ever."""
        rng = random.Random(1)
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            while True:
                known = sorted({m.venue_market_id for m in out.markets if m.status == "open"})
                lines = []
                for name in rng.sample(known, min(len(known), 10)):
                    bid, ask = (cents / 100 for cents in sorted(rng.sample(range(10, 90), 2)))
                    lines.append({"kind": "quote", "ts_us": 0, "market": name, "bid": bid, "ask": ask})
                body = b"\n".join(orjson.dumps(line) for line in lines)
                await client.post(f"{self.running.address}/simulator/lines", content=body)
                await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def collecting(
    venue: Venue,
    out: Published,
    shard: Shard,
    before: Before | None = None,
    *,
    beside: Coroutine[Any, Any, None] | None = None,
) -> AsyncIterator[Jobs]:
    """A whole collector, but for Kafka. `beside`: what goes on meanwhile, if not only that prices move."""
    settings, clock, outbox = venue.settings(), SystemClock(), cast("Outbox", out)
    collector = VENUES[venue.name].collector(settings, shard, outbox, clock)
    jobs = Jobs(collector, settings.collector, 0.5, outbox, clock, shard)
    if before is not None:
        await jobs.remember(before)

    async def turn() -> None:
        while True:
            jobs.watch()
            await asyncio.sleep(0.1)

    running = [asyncio.create_task(job) for job in (*jobs.loops(), turn(), beside or venue.move(out))]
    try:
        yield jobs
    finally:
        for task in running:
            task.cancel()
        ended = await asyncio.gather(*running, return_exceptions=True)
        await jobs.close()
        died = [error for error in ended if not isinstance(error, asyncio.CancelledError)]
        assert died == [], died  # told here: pytest rewrites the assertions of tests only

"""The collector of `bench feeds`: reads a sender's frames as ours do, into a real Kafka, and says what it cost.

    python -m bench.feeds.collector KAFKA REGISTRY FOLDER URL MARKETS SECONDS NUMBER OF

A process of its own for each part of the venue. When it has measured it prints its figures as JSON; then it reads what
was still sent until its input ends, and prints how many frames it read in all.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil
from confluent_kafka import Message

from bench.feeds.sender import token
from kernel import logs, metrics
from kernel.clock import SystemClock
from kernel.process import living
from kernel.schema_registry import SchemaRegistry
from kernel.settings import KafkaSettings, ProcessSettings
from producers.facts import Facts, Top
from producers.outbox import Outbox
from producers.polymarket.sockets import TOKENS_A_SOCKET, PolymarketSockets
from producers.quotes import quote
from producers.shards import Shard
from producers.spill import Spill
from producers.streamed import Streamed
from producers.streams import Source, Streams
from producers.ticks import Moment, Shown
from producers.tracked import Tracked
from producers.venue_clock import VenueClock

VENUE = "polymarket"
WARM_S = 10.0
PUMP_EVERY_S, FLUSH_EVERY_S = 0.01, 0.1
"""As a collector does (`producers/runner.py`, `producers/streaming.py`)."""

MEMORY_EVERY_S = 300.0
LONGEST_MS = 120_000


def market_id(number: int) -> str:
    """As long as a real one."""
    return f"POLY:0x{number:064x}"


def tracked_markets(numbers: Iterable[int]) -> Tracked:
    """A collector's memory of these open markets."""
    tracked = Tracked()
    moment = Moment(
        as_of_us=1, ts_received_us=1, ts_event_basis="http_date", source="sweep", heartbeat_s=60
    )  # fmt: skip
    for number in numbers:
        shown = Shown(
            market_id=market_id(number),
            token_id=f"POLY:{token(number)}",
            quote=quote(390_000, 430_000, 400_000),
            market_status="open",
            volume_24h_usd=float(number),
        )
        tracked.admit(shown, moment)
    return tracked


class Ways(Counter[int]):
    """How often something took so many milliseconds: half an hour of them takes no more room."""

    def took(self, us: int) -> None:
        """One more; a clock that seems to have gone back took no time."""
        self[min(max(0, us // 1_000), LONGEST_MS)] += 1


class Timed(Outbox):
    """Keeps how long it took from the sender's stamp to Kafka's acknowledgement."""

    ways: Ways

    def _tick_delivered(self, ts_received_us: int, ts_event_us: int, message: Message) -> None:
        self.ways.took(time.time_ns() // 1_000 - ts_event_us)
        super()._tick_delivered(ts_received_us, ts_event_us, message)


class Counting:
    """Listens in front of a collector's own: counts frames, and keeps how long each that moved a top was on its way."""

    def __init__(self, listener: Streamed) -> None:
        self.seen, self.ways, self.listener = 0, Ways(), listener
        self.gap_opened, self.gap_closed, self.changed = listener.gap_opened, listener.gap_closed, listener.changed
        self.served, self.unserved = listener.served, listener.unserved

    def told(self, source: Source, body: bytes, facts: Facts) -> None:
        """A message of data."""
        self.seen += 1
        for fact in facts.facts:
            if isinstance(fact, Top) and not fact.opening:
                self.ways.took(source.data_us - fact.ts_us)
        self.listener.told(source, body, facts)


class Reading:
    """A part of the venue, read from a sender into Kafka."""

    def __init__(self, shard: Shard, kafka: KafkaSettings, registry: SchemaRegistry, folder: Path, url: str) -> None:
        self.shard, self._clock, self._sockets = shard, SystemClock(), PolymarketSockets(url)
        self._outbox = Timed(shard, kafka, registry, Spill(folder / f"spill-{shard.label}"), self._clock)
        self._outbox.ways = Ways()
        self._counting: Counting

    async def run(self, markets: int, seconds: float) -> None:
        """Measures for so long after the warm-up, and tells; then reads until the input ends, and tells how much."""
        mine = [number for number in range(markets) if self.shard.owns(market_id(number), "")]
        clock, outbox = self._clock, self._outbox
        tracked, venue_clock = tracked_markets(mine), VenueClock(5.0, clock.now_us())
        listener = Streamed(
            self.shard, self._sockets, tracked, venue_clock, outbox, clock, lambda: 60, lambda *_: None, lambda _: None
        )
        counting = self._counting = Counting(listener)
        connections = -(-len(mine) // TOKENS_A_SOCKET)
        streams = Streams(
            self._sockets, counting, clock, connections=connections, places=0, continuity=listener.continuity
        )
        outbox.warm_up()
        started_s = time.monotonic()
        streams.follow([token(number) for number in mine])
        running = [asyncio.create_task(work) for work in (streams.run(), _pump(outbox, listener))]
        try:
            await _opened(streams, len(mine))
            opened = {"opened_after_s": round(time.monotonic() - started_s, 1), "connections": connections}
            await asyncio.sleep(WARM_S)
            print(json.dumps(opened | await self._measure(seconds)), flush=True)
            await asyncio.to_thread(sys.stdin.read)
            await asyncio.sleep(3.0)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            outbox.close(10.0)
        print(json.dumps({"frames_read": counting.seen}), flush=True)

    async def _measure(self, seconds: float) -> dict[str, Any]:
        own, counting = psutil.Process(), self._counting
        before, cpu, frames, ticks = _buckets(), own.cpu_times(), counting.seen, counting.listener.ticks
        memory_mb = [own.memory_info().rss // 2**20]
        counting.ways.clear()
        self._outbox.ways.clear()
        began_s = time.monotonic()
        while (left_s := began_s + seconds - time.monotonic()) > 0:
            await asyncio.sleep(min(left_s, MEMORY_EVERY_S))
            memory_mb.append(own.memory_info().rss // 2**20)
            told = f"{time.monotonic() - began_s:.0f} s: {counting.seen} frames read, {memory_mb[-1]} MB"
            print(f"{self.shard.label}: {told}", file=sys.stderr, flush=True)
        took_s = time.monotonic() - began_s
        after, spent = _buckets(), own.cpu_times()
        return {
            "took_s": round(took_s, 1),
            "frames": counting.seen - frames,
            "ticks": counting.listener.ticks - ticks,
            "cpu_s": round(spent.user + spent.system - cpu.user - cpu.system, 2),
            "rss_mb": memory_mb,
            "sent_to_read": counting.ways,
            "sent_to_ack": self._outbox.ways,
            "read_to_ack": {bound: after[bound] - before[bound] for bound in after},
        }


async def _opened(streams: Streams, markets: int) -> None:
    while streams.continuity.waiting or len(streams.continuity.tokens) < markets:  # noqa: ASYNC110
        await asyncio.sleep(0.1)


async def _pump(outbox: Outbox, listener: Streamed) -> None:
    flushed_s = 0.0
    while True:
        await outbox.pump()
        if time.monotonic() - flushed_s >= FLUSH_EVERY_S:
            flushed_s = time.monotonic()
            listener.flush()
        await asyncio.sleep(PUMP_EVERY_S)


def _buckets() -> dict[float, float]:
    """Cumulative counts of the histogram from receipt to acknowledgement."""
    return {
        float(sample.labels["le"]): sample.value
        for family in metrics.LAG.collect()
        for sample in family.samples
        if sample.name.endswith("_bucket") and sample.labels["venue"] == VENUE
    }


def main(arguments: list[str]) -> None:
    """Reads until told to end."""
    bootstrap, registry_url, folder, url = arguments[:4]
    markets, seconds, number, of = (int(argument) for argument in arguments[4:])
    shard, registry = Shard(VENUE, number=number, of=of), SchemaRegistry(registry_url)
    logs.configure("error", process=f"bench-feeds-{shard.label}")
    with living(f"bench-feeds-{shard.label}", ProcessSettings(metrics_port=0)):
        reading = Reading(shard, KafkaSettings(kafka_bootstrap_servers=bootstrap), registry, Path(folder), url)
        asyncio.run(reading.run(markets, seconds))


if __name__ == "__main__":
    main(sys.argv[1:])

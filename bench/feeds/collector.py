"""The collector of `bench feeds`: reads a sender's frames as ours do, into a real Kafka, and says what it cost.

    python -m bench.feeds.collector KAFKA REGISTRY FOLDER URL VENUE MARKETS SECONDS NUMBER OF

A process of its own for each part of a venue. It prints JSON: when all markets are open, how it opened; a line on its
input later, what it measured; and when its input has ended, how many frames it read on each connection.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import psutil
from confluent_kafka import Message

from bench.feeds.venue import Venue
from bench.feeds.venues import VENUES
from kernel import logs, metrics
from kernel.clock import SystemClock
from kernel.process import living
from kernel.schema_registry import SchemaRegistry
from kernel.settings import KafkaSettings, ProcessSettings
from producers.base import Speech
from producers.facts import Facts, Top
from producers.outbox import Outbox
from producers.quotes import quote
from producers.shards import Shard
from producers.spill import Spill
from producers.streamed import Streamed
from producers.streams import Source, Streams
from producers.ticks import Moment, Shown
from producers.tracked import Tracked
from producers.venue_clock import VenueClock

WARM_S = 10.0
PUMP_EVERY_S, FLUSH_EVERY_S = 0.01, 0.1
"""As a collector does (`producers/runner.py`, `producers/streaming.py`)."""

MEMORY_EVERY_S = 300.0
LONGEST_MS = 120_000


def tracked_markets(venue: Venue, speech: Speech, numbers: Iterable[int]) -> Tracked:
    """A collector's memory of these open markets."""
    tracked = Tracked()
    moment = Moment(
        as_of_us=1, ts_received_us=1, ts_event_basis="http_date", source="sweep", heartbeat_s=60
    )  # fmt: skip
    for number in numbers:
        shown = Shown(
            market_id=venue.market_id(number),
            token_id=speech.token_id(venue.token(number)),
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
    """Listens in front of a collector's own: counts frames by connection, and keeps how long tops were on their way."""

    def __init__(self, listener: Streamed) -> None:
        self.seen, self.ways, self.listener = Counter[int](), Ways(), listener
        self.gap_opened, self.gap_closed, self.changed = listener.gap_opened, listener.gap_closed, listener.changed
        self.served, self.unserved = listener.served, listener.unserved

    def told(self, source: Source, body: bytes, facts: Facts) -> None:
        """A message of data."""
        self.seen[source.number] += 1
        for fact in facts.facts:
            if isinstance(fact, Top) and not fact.opening:
                self.ways.took(source.data_us - fact.ts_us)
        self.listener.told(source, body, facts)


class Reading:
    """A part of a venue, read from a sender into Kafka."""

    def __init__(
        self, venue: Venue, shard: Shard, kafka: KafkaSettings, registry: SchemaRegistry, folder: Path, url: str
    ) -> None:
        self.venue, self.shard, self._clock = venue, shard, SystemClock()
        self._sockets = venue.sockets(url, self._clock)
        self._outbox = Timed(shard, kafka, registry, Spill(folder / f"spill-{shard.name}", 1 << 32), self._clock)
        self._outbox.ways = Ways()
        self._counting: Counting

    async def run(self, markets: int, seconds: float) -> None:
        """Opens, measures for so long when told to, after a warm-up, and reads until the input ends."""
        venue = self.venue
        mine = [number for number in range(markets) if self.shard.owns(venue.market_id(number), "")]
        clock, outbox = self._clock, self._outbox
        tracked, venue_clock = tracked_markets(venue, self._sockets, mine), VenueClock(5.0, clock.now_us())
        listener = Streamed(
            self.shard, self._sockets, tracked, venue_clock, outbox, clock, lambda: 60, lambda *_: None, lambda _: None
        )
        counting = self._counting = Counting(listener)
        connections = venue.connections(len(mine))
        streams = Streams(
            self._sockets, counting, clock, connections=connections, places=0, continuity=listener.continuity
        )
        outbox.warm_up()
        started_s = time.monotonic()
        streams.follow([venue.token(number) for number in mine])
        running = [asyncio.create_task(work) for work in (streams.run(), _pump(outbox, listener))]
        try:
            await _opened(streams, len(mine))
            _say({"opened_after_s": round(time.monotonic() - started_s, 1), "connections": connections})
            await asyncio.to_thread(sys.stdin.readline)
            await asyncio.sleep(WARM_S)
            _say(await self._measure(seconds))
            await asyncio.to_thread(sys.stdin.read)
            await asyncio.sleep(3.0)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            outbox.close(10.0)
        _say({"frames_read": list(counting.seen.values())})

    async def _measure(self, seconds: float) -> dict[str, Any]:
        own, counting = psutil.Process(), self._counting
        before, cpu, frames, ticks = self._buckets(), own.cpu_times(), counting.seen.total(), counting.listener.ticks
        memory_mb = [own.memory_info().rss // 2**20]
        counting.ways.clear()
        self._outbox.ways.clear()
        began_s = time.monotonic()
        while (left_s := began_s + seconds - time.monotonic()) > 0:
            await asyncio.sleep(min(left_s, MEMORY_EVERY_S))
            memory_mb.append(own.memory_info().rss // 2**20)
            told = f"{time.monotonic() - began_s:.0f} s: {counting.seen.total()} frames read, {memory_mb[-1]} MB"
            print(f"{self.shard.name}: {told}", file=sys.stderr, flush=True)
        took_s = time.monotonic() - began_s
        after, spent = self._buckets(), own.cpu_times()
        return {
            "took_s": round(took_s, 1),
            "frames": counting.seen.total() - frames,
            "ticks": counting.listener.ticks - ticks,
            "cpu_s": round(spent.user + spent.system - cpu.user - cpu.system, 2),
            "rss_mb": memory_mb,
            "sent_to_read": counting.ways,
            "sent_to_ack": self._outbox.ways,
            "read_to_ack": {bound: after[bound] - before[bound] for bound in after},
        }

    def _buckets(self) -> dict[float, float]:
        """Cumulative counts of the histogram from receipt to acknowledgement."""
        return {
            float(sample.labels["le"]): sample.value
            for family in metrics.LAG.collect()
            for sample in family.samples
            if sample.name.endswith("_bucket") and sample.labels["venue"] == self.venue.name
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


def _say(found: Mapping[str, Any]) -> None:
    print(json.dumps(found), flush=True)


def main(arguments: list[str]) -> None:
    """Reads until told to end."""
    bootstrap, registry_url, folder, url, name = arguments[:5]
    markets, seconds, number, of = (int(argument) for argument in arguments[5:])
    shard, registry = Shard(name, number=number, of=of), SchemaRegistry(registry_url)
    kafka = KafkaSettings(kafka_bootstrap_servers=bootstrap)
    logs.configure("error", process=f"bench-feeds-{shard.name}")
    with living(f"bench-feeds-{shard.name}", ProcessSettings(metrics_port=0)):
        reading = Reading(VENUES[name], shard, kafka, registry, Path(folder), url)
        asyncio.run(reading.run(markets, seconds))


if __name__ == "__main__":
    main(sys.argv[1:])

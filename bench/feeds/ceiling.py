"""What a frame costs at the least: read in memory by the reader alone, and with everything up to the encoded tick."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

from bench.feeds.collector import tracked_markets
from bench.feeds.venues import POLYMARKET
from bench.processing import Place
from kernel.clock import SystemClock
from producers.limits import RateLimit
from producers.line import Line
from producers.polymarket.frames import PolymarketFrames
from producers.shards import Shard
from producers.streamed import Streamed
from producers.streams import Connection, Streams
from producers.venue_clock import VenueClock
from schemas.codec import Codec
from schemas.events import Tick
from schemas.topics import TICKS


class Nowhere:
    """Takes messages, encodes ticks, keeps nothing."""

    def __init__(self, place: Place) -> None:
        self._codec = Codec(TICKS, place.registry, Tick)

    def tick(self, tick: Tick, category: str) -> None:
        """Encoded as on its way to Kafka."""
        self._codec.encode(tick)

    def received(self, received: object) -> None:
        """Nothing to do."""

    def refused(self, error: Exception, channel: str) -> None:
        """No frame of ours is refused."""
        raise error


def ceiling(place: Place, count: int = 100_000, markets: int = 1_000) -> dict[str, float]:
    """Microseconds a frame: reading alone, and everything up to the encoded tick."""
    at_ms = time.time_ns() // 1_000_000
    tokens, change = [POLYMARKET.token(number) for number in range(markets)], POLYMARKET.change
    frames = [change(n % markets, tokens[n % markets], n // markets, at_ms + n // 7).encode() for n in range(count)]
    books = json.dumps([POLYMARKET.book(number, at_ms) for number in range(markets)]).encode()

    def reader() -> PolymarketFrames:
        fresh = PolymarketFrames()
        fresh.follow(tokens)
        fresh.read(books)
        return fresh

    first = reader()
    began = time.process_time()
    for frame in frames:
        first.read(frame)
    read_us = (time.process_time() - began) / count * 1e6
    return {"read_us": round(read_us, 2), "tick_us": round(_whole(place, reader(), frames, markets), 2)}


def _whole(place: Place, reader: PolymarketFrames, frames: Sequence[bytes], markets: int) -> float:
    clock = SystemClock()
    sockets = POLYMARKET.sockets("ws://127.0.0.1:1", clock)
    tracked = tracked_markets(POLYMARKET, sockets, range(markets))
    listener = Streamed(
        Shard(POLYMARKET.name), sockets, tracked, VenueClock(5.0, clock.now_us()), Nowhere(place), clock,
        lambda: 60, lambda *_: None, lambda _: None,
    )  # fmt: skip
    streams = Streams(sockets, listener, clock, connections=1, places=0, continuity=listener.continuity)
    line = Line(1, sockets.url, dict, None, 10.0, streams, RateLimit(1.0, clock), clock)
    streams.connections[1] = Connection(1, reader, "bench", line=line)
    began = time.process_time()
    for frame in frames:
        streams.frame(line, frame)
    return (time.process_time() - began) / len(frames) * 1e6

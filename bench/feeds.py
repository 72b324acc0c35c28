"""From a streamed frame to Kafka's acknowledgement: how long it takes and what it costs, beside parsing alone.

    python -m bench feeds [--markets 110000] [--rate 7000] [--burst 13000] [--burst-over 1] [--for 60]

A process of its own sends Polymarket frames over 400 markets a socket (one in three moves the top); ours reads them as
a collector does, with the same pool, readers, tracking, encoding and outbox, into a real Kafka. The ceiling is the
reader alone, and the reader with everything up to the encoded tick, on frames in memory. Every tenth second `--burst`
frames more are sent, at once or over so many seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from array import array
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import psutil
from confluent_kafka import Message
from websockets.asyncio.server import ServerConnection, serve

from bench import RESULTS
from bench.pipeline import machine
from bench.processing import Place, stack
from kernel import metrics
from kernel.clock import SystemClock
from kernel.process import living
from kernel.settings import KafkaSettings, ProcessSettings
from movers.local.ports import free_port
from producers.facts import Facts, Top
from producers.limits import RateLimit
from producers.line import Line
from producers.outbox import Outbox
from producers.polymarket.frames import PolymarketFrames
from producers.polymarket.sockets import TOKENS_A_SOCKET, PolymarketSockets
from producers.quotes import quote
from producers.shards import Shard
from producers.spill import Spill
from producers.streamed import Streamed
from producers.streams import Connection, Source, Streams
from producers.ticks import Moment, Shown
from producers.tracked import Tracked
from producers.venue_clock import VenueClock
from schemas.codec import Codec
from schemas.events import Tick
from schemas.topics import TICKS

WARM_S = 10.0
VENUE = "polymarket"
TURNS_A_S = 50
"""The sender sends what is due so many times a second."""

BURST_EVERY_S = 10
PUMP_EVERY_S, FLUSH_EVERY_S = 0.01, 0.1
"""As a collector does (`producers/runner.py`, `producers/streaming.py`)."""

MEMORY_EVERY_S = 300.0


def token(number: int) -> str:
    """A token as long as a real one."""
    return f"{10**76 + number}"


def book(number: int, at_ms: int) -> dict[str, Any]:
    """An opening book with two levels a side."""
    levels = {"bids": (("0.39", "250"), ("0.4", "100")), "asks": (("0.43", "70"), ("0.42", "120"))}
    sides = {name: [{"price": p, "size": s} for p, s in rows] for name, rows in levels.items()}
    return {
        "event_type": "book", "market": f"0x{number:064x}", "asset_id": token(number), "timestamp": str(at_ms),
        "hash": "0" * 40, **sides,
    }  # fmt: skip


def change(number: int, name: str, turn: int, at_ms: int) -> str:
    """The so-many-th change of a market with this token: each third moves the top up or down again."""
    up = turn % 6 < 3
    if turn % 3 == 0:
        price, size, best = "0.41", "35" if up else "0", "0.41" if up else "0.4"
    else:
        price, size, best = "0.39", str(100 + turn % 50), "0.41" if up else "0.4"
    other, other_best = f"{1 - float(price):.2f}", f"{1 - float(best):.2f}"
    digest = f"{number:020x}{turn:020x}"
    return (
        f'{{"market":"0x{number:064x}","price_changes":[{{"asset_id":"{name}","price":"{price}","size":"{size}",'
        f'"side":"BUY","hash":"{digest}","best_bid":"{best}","best_ask":"0.42"}},{{"asset_id":"9{name}",'
        f'"price":"{other}","size":"{size}","side":"SELL","hash":"{digest}","best_bid":"0.58","best_ask":"{other_best}"}}],'
        f'"timestamp":"{at_ms}","event_type":"price_change"}}'
    )


def first_turns(markets: int) -> list[int]:
    """Where each market begins, so that at any time one in three moves its top, and not all in the same seconds.

    From the fourth turn to the sixth the top stands where the opening book has it.
    """
    return [4 + number % 3 for number in range(markets)]


# ── the sender ───────────────────────────────────────────────────────────────────────────────────────────────────────


def due_frames(passed_s: float, rate: int, burst: int, over_s: float) -> int:
    """How many frames are to be sent by then; a burst begins with each tenth second and takes `over_s`."""
    bursts, into_s = divmod(passed_s, BURST_EVERY_S)
    begun = min(1.0, into_s / over_s) if over_s else 1.0
    return int(passed_s * rate) + int(burst * (bursts - 1 + begun if bursts else 0.0))


async def send(port: int, markets: int, rate: int, burst: int, over_s: float) -> None:
    """Serves sockets until SIGTERM; then says how much it sent.

    It begins when all markets are subscribed, and writes its frames by itself: it must cost less than what it measures.
    """
    numbers: dict[ServerConnection, list[int]] = {}
    named = cache(token)  # of a number of 77 digits it costs as much as all else
    sent = 0
    stop, begin = asyncio.Event(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    async def connected(socket: ServerConnection) -> None:
        nonlocal sent
        mine = numbers.setdefault(socket, [])
        async for text in socket:
            if text == "PING":
                await socket.send("PONG")
                continue
            found = [int(name) - 10**76 for name in json.loads(text)["assets_ids"]]
            await socket.send(json.dumps([book(number, time.time_ns() // 1_000_000) for number in found]))
            sent += 1
            mine += found
            if sum(map(len, numbers.values())) >= markets:
                begin.set()

    async def flow() -> None:
        nonlocal sent
        await begin.wait()
        began_s, place, planned, turns = time.monotonic(), 0, 0, first_turns(markets)
        sockets = list(numbers)
        while not stop.is_set():
            await asyncio.sleep(1 / TURNS_A_S)
            due = due_frames(time.monotonic() - began_s, rate, burst, over_s) - planned
            planned += due
            at_ms = time.time_ns() // 1_000_000
            for _ in range(due):
                place += 1
                socket = sockets[place % len(sockets)]
                if socket.transport.is_closing():
                    continue
                number = numbers[socket][place // len(sockets) % len(numbers[socket])]
                socket.transport.write(text_frame(change(number, named(number), turns[number], at_ms).encode()))
                turns[number] += 1
                sent += 1

    async with serve(connected, "127.0.0.1", port, compression=None, max_queue=None, ping_interval=None):
        flowing = asyncio.create_task(flow())
        await stop.wait()
        begin.set()
        await flowing
    print(sent, flush=True)


def text_frame(body: bytes) -> bytes:
    """A whole text message of a server, 126 to 65,535 bytes (RFC 6455, 5.2)."""
    return b"\x81\x7e" + len(body).to_bytes(2) + body


# ── the collector ────────────────────────────────────────────────────────────────────────────────────────────────────


def tracked_markets(count: int) -> Tracked:
    """A collector's memory of so many open markets."""
    tracked = Tracked()
    moment = Moment(
        as_of_us=1, ts_received_us=1, ts_event_basis="http_date", source="sweep", heartbeat_s=60
    )  # fmt: skip
    for number in range(count):
        shown = Shown(
            market_id=f"POLY:0x{number:064x}",
            token_id=f"POLY:{token(number)}",
            quote=quote(390_000, 430_000, 400_000),
            market_status="open",
            volume_24h_usd=float(number),
        )
        tracked.admit(shown, moment)
    return tracked


class Ways:
    """How long things took, counted by the millisecond, so that half an hour of them takes no more room."""

    def __init__(self) -> None:
        self._counts = array("Q", [0] * 120_000)

    def add(self, took_us: int) -> None:
        """One more; a clock that seems to have gone back took no time."""
        self._counts[min(max(0, took_us // 1_000), len(self._counts) - 1)] += 1

    def clear(self) -> None:
        """Forgets all."""
        self._counts = array("Q", [0] * len(self._counts))

    def quantile_ms(self, share: float) -> int:
        """The millisecond within which so many were done."""
        wanted, total = share * sum(self._counts), 0
        for took_ms, count in enumerate(self._counts):
            total += count
            if total >= wanted:
                return took_ms + 1
        return len(self._counts)


class Timed(Outbox):
    """Keeps how long it took from the sender's stamp to Kafka's acknowledgement."""

    ways: Ways

    def _tick_delivered(self, ts_received_us: int, ts_event_us: int, message: Message) -> None:
        self.ways.add(time.time_ns() // 1_000 - ts_event_us)
        super()._tick_delivered(ts_received_us, ts_event_us, message)


class Counting(Streamed):
    """Counts frames too, and keeps how long each that moved a top was on its way to us."""

    seen = 0
    ways: Ways

    def told(self, source: Source, body: bytes, facts: Facts) -> None:
        self.seen += 1
        for fact in facts.facts:
            if isinstance(fact, Top) and not fact.opening:
                self.ways.add(source.data_us - fact.ts_us)
        super().told(source, body, facts)


async def collect(
    place: Place, url: str, markets: int, seconds: float, stop_sender: Callable[[], None]
) -> dict[str, Any]:
    """Reads the sender for so long after the warm-up, and then all that it still has sent."""
    clock, shard = SystemClock(), Shard(VENUE)
    tracked, venue_clock = tracked_markets(markets), VenueClock(5.0, clock.now_us())
    kafka = KafkaSettings(kafka_bootstrap_servers=place.bootstrap)
    outbox = Timed(shard, kafka, place.registry, Spill(place.folder / "spill"), clock)
    sockets = PolymarketSockets(url)
    listener = Counting(
        shard, sockets, tracked, venue_clock, outbox, clock, lambda: 60, lambda *_: None, lambda _: None
    )
    listener.ways, outbox.ways = Ways(), Ways()
    connections = -(-markets // TOKENS_A_SOCKET)
    streams = Streams(sockets, listener, clock, connections=connections, places=0, continuity=listener.continuity)
    outbox.warm_up()
    started_s = time.monotonic()
    streams.follow([token(number) for number in range(markets)])
    running = [asyncio.create_task(work) for work in (streams.run(), _pump(outbox, listener))]
    own = psutil.Process()
    try:
        await _opened(streams, markets)
        opened_s = time.monotonic() - started_s
        await asyncio.sleep(WARM_S)
        before, cpu, frames, ticks = _buckets(), own.cpu_times(), listener.seen, listener.ticks
        memory_mb = [own.memory_info().rss // 2**20]
        listener.ways.clear()
        outbox.ways.clear()
        began_s = time.monotonic()
        while (left_s := began_s + seconds - time.monotonic()) > 0:
            await asyncio.sleep(min(left_s, MEMORY_EVERY_S))
            memory_mb.append(own.memory_info().rss // 2**20)
            print(f"{time.monotonic() - began_s:.0f} s: {listener.seen} frames read, {memory_mb[-1]} MB", flush=True)
        took_s = time.monotonic() - began_s
        after, spent, last_frames, last_ticks = _buckets(), own.cpu_times(), listener.seen, listener.ticks
        ways = {
            f"{name}_{word}_ms": kept.quantile_ms(share)
            for name, kept in (("sent_to_read", listener.ways), ("sent_to_ack", outbox.ways))
            for word, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))
        }
        stop_sender()
        await asyncio.sleep(3.0)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        outbox.close(10.0)
    lag = {bound: after[bound] - before[bound] for bound in after}
    read, cpu_s = last_frames - frames, spent.user + spent.system - cpu.user - cpu.system
    return {
        "opened_after_s": round(opened_s, 1),
        "frames_per_s": round(read / took_s),
        "ticks_per_s": round((last_ticks - ticks) / took_s),
        "cpu_us_per_frame": round(cpu_s / read * 1e6, 1),
        "took_s": round(took_s, 1),
        **ways,
        "ack_p50_ms": _quantile(lag, 0.5),
        "ack_p99_ms": _quantile(lag, 0.99),
        "rss_mb": memory_mb,
        "connections": connections,
        "frames_read": listener.seen,
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


def _quantile(cumulative: dict[float, float], share: float) -> float:
    """Milliseconds, the upper edge of the bucket: at most a fifth too high."""
    total = max(cumulative.values())
    return round(next(bound for bound, count in sorted(cumulative.items()) if count >= share * total) * 1_000, 1)


# ── the ceiling ──────────────────────────────────────────────────────────────────────────────────────────────────────


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
    frames = [change(n % markets, token(n % markets), n // markets, at_ms + n // 7).encode() for n in range(count)]
    books = json.dumps([book(number, at_ms) for number in range(markets)]).encode()

    def reader() -> PolymarketFrames:
        fresh = PolymarketFrames()
        fresh.follow([token(number) for number in range(markets)])
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
    sockets = PolymarketSockets("ws://127.0.0.1:1")
    listener = Streamed(
        Shard(VENUE), sockets, tracked_markets(markets), VenueClock(5.0, clock.now_us()), Nowhere(place), clock,
        lambda: 60, lambda *_: None, lambda _: None,
    )  # fmt: skip
    streams = Streams(sockets, listener, clock, connections=1, places=0, continuity=listener.continuity)
    line = Line(1, sockets.url, dict, None, 10.0, streams, RateLimit(1.0, clock), clock)
    streams.connections[1] = Connection(1, reader, "bench", line=line)
    began = time.process_time()
    for frame in frames:
        streams.frame(line, frame)
    return (time.process_time() - began) / len(frames) * 1e6


# ── the command ──────────────────────────────────────────────────────────────────────────────────────────────────────


def main(arguments: list[str]) -> int:
    """Runs both, prints, writes `bench/results/feeds.json`."""
    if arguments[:1] == ["send"]:
        port, markets, rate, burst = (int(argument) for argument in arguments[1:5])
        asyncio.run(send(port, markets, rate, burst, float(arguments[5])))
        return 0
    parser = argparse.ArgumentParser(prog="bench feeds", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--markets", type=int, default=110_000)
    parser.add_argument("--rate", type=int, default=7_000, help="frames a second")
    parser.add_argument("--burst", type=int, default=0, help="frames more every ten seconds")
    parser.add_argument("--burst-over", type=float, default=0.0, help="seconds in which they are sent; 0 = at once")
    parser.add_argument("--for", dest="seconds", type=float, default=60.0)
    options = parser.parse_args(arguments)
    with stack() as place, living("bench-feeds", ProcessSettings()):
        limits = ceiling(place)
        port = free_port()
        command = [sys.executable, "-m", "bench", "feeds", "send"]
        command += [str(number) for number in (port, options.markets, options.rate, options.burst, options.burst_over)]
        sender = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            url = f"ws://127.0.0.1:{port}/ws/market"
            found = asyncio.run(collect(place, url, options.markets, options.seconds, sender.terminate))
        finally:
            sender.terminate()
            told, _ = sender.communicate(timeout=20)
        found["frames_sent"] = int(told or 0)
        found["dropped"] = found["frames_sent"] - found["frames_read"]
    result = {
        "machine": machine(), "load": round(os.getloadavg()[0], 1), "markets": options.markets, "rate": options.rate,
        "burst": options.burst, "burst_over_s": options.burst_over, "seconds": options.seconds, **limits, **found,
        "ratio_to_read": round(found["cpu_us_per_frame"] / limits["read_us"], 1),
    }  # fmt: skip
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "feeds.json").write_text(json.dumps(result, indent=2) + "\n")
    for name, value in result.items():
        print(f"{name:20}{value}")
    return 0

"""CPU of a tick in the analytics, beside a bare loop that does the same job without keeping its state.

    python -m bench processing [--markets 500] [--minutes 60] [--runs 5] [--json FILE]

Starts a broker and a registry of its own, fills `ticks` with the house tape swept once a minute, and runs moves, bars,
alerts and all three together (`bench/parts.py`): as processes on Quix, and as interpreted bare loops. CPU is the whole
process, librdkafka's threads included, start-up excluded. Medians of the runs. Also how long a lone tick takes to
become a move, and how many bytes of state are kept for a market.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import httpx
from confluent_kafka import TopicPartition

from bench import RESULTS, write
from bench.house_ticks import house_ticks
from bench.parts import SINK_OF_BARE_LOOP, STAGES
from kernel.kafka.publisher import Publisher
from kernel.kafka.readers import consumer, watermarks
from kernel.kafka.topics import create_topics
from kernel.schema_registry import SchemaRegistry
from kernel.settings import KafkaSettings
from movers.local.broker.node import LocalKafka
from movers.local.ports import free_port
from movers.supervisor import child_environment
from schemas.codec import Codec
from schemas.events import Tick
from schemas.topics import CATALOGUE, MOVES, TICKS
from schemas.units import US_PER_S

CACHE = Path(".movers") / "cache"
START_SHARE = 0.1
"""The first tenth of the messages warms up and is not counted."""
_LOOK_S = 0.25
"""Telling its metrics costs the process 4 to 5 ms of its own CPU: looked at each 50 ms, that was 3 to 9 % of a tick."""
_WARM_UP_LOOK_S = 0.02
"""Until the count begins that costs nothing that is counted, and a part may be through within a second."""


@dataclass(frozen=True)
class Place:
    """Where the bench's own broker and registry are."""

    bootstrap: str
    registry_url: str
    registry: SchemaRegistry
    folder: Path

    @property
    def kafka(self) -> KafkaSettings:
        """For a client of this process's own."""
        return KafkaSettings(kafka_bootstrap_servers=self.bootstrap)

    def environment(self, **extra: str) -> dict[str, str]:
        """For a process that works here."""
        here = {"KAFKA_BOOTSTRAP_SERVERS": self.bootstrap, "SCHEMA_REGISTRY_URL": self.registry_url}
        return child_environment({**here, **extra})


def main(argv: list[str]) -> int:
    """Runs the bench, prints its table, writes its JSON; 0 when it ran."""
    parser = argparse.ArgumentParser(prog="bench processing", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--markets", type=int, default=500)
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path, default=RESULTS / "processing.json", help="where the result goes")
    arguments = parser.parse_args(argv)
    with stack() as place:
        ticks = fill(place, arguments.markets, arguments.minutes)
        result: dict[str, Any] = {"ticks": ticks, "runs": arguments.runs}
        result |= {"cpu_count": os.cpu_count(), "load": os.getloadavg()[0]}
        for part in STAGES:
            result[part] = measure(place, part, arguments.runs)
        result["lone_tick_ms"] = lone_tick(place)
    print_table(result)
    write(arguments.json, result)
    return 0


@contextmanager
def stack() -> Iterator[Place]:
    """A broker and a registry in a temporary folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        node = LocalKafka(folder / "kafka", CACHE, free_port(), free_port())
        node.prepare(lambda text: print(text, file=sys.stderr))
        port = free_port()
        command = [sys.executable, "-m", "movers.local.registry.service"]
        command += ["--port", str(port), "--data", str(folder / "registry")]
        with (folder / "log").open("wb") as log:
            broker = subprocess.Popen(node.argv(), stdout=log, stderr=log)
            registry = subprocess.Popen(command, stdout=log, stderr=log)
        client = SchemaRegistry(f"http://127.0.0.1:{port}")
        try:
            node.wait_ready(90)
            client.register(CATALOGUE)
            topics = (*CATALOGUE, replace(MOVES, name=SINK_OF_BARE_LOOP))
            create_topics(KafkaSettings(kafka_bootstrap_servers=node.bootstrap, kafka_partitions=4), topics=topics)
            yield Place(node.bootstrap, f"http://127.0.0.1:{port}", client, folder)
        finally:
            client.close()
            for process in (registry, broker):
                process.terminate()
                process.wait(30)
            node.release()


def fill(place: Place, markets: int, minutes: int) -> int:
    """Publishes the house tape's ticks; returns how many."""
    return publish(place, house_ticks(markets, minutes))


def publish(place: Place, ticks: Iterable[Tick]) -> int:
    """Publishes ticks; returns how many."""
    codec, publisher, count = Codec(TICKS, place.registry, Tick), make_publisher(place), 0
    for tick in ticks:
        headers = [("venue", tick.venue.encode()), ("category", b"Other")]
        publisher.publish(TICKS.name, tick.market_id.encode(), codec.encode(tick), headers)
        count += 1
    assert publisher.flush(60) == 0
    return count


def measure(place: Place, part: str, runs: int) -> dict[str, Any]:
    """One part: the process beside the bare loop, in turns, so that both meet the same machine."""
    messages = sum(high for _, high in watermarks(place.kafka, STAGES[part].input.name).values())
    bare, ours, per_s = [], [], []
    for number in range(runs):
        bare.append(bare_loop(place, part))
        with running(place, part, number) as process:
            us, rate = process.through(messages)
        ours.append(us)
        per_s.append(rate)
    tick_us, bare_us = median(ours), median(b["tick_us"] for b in bare)
    return {
        "messages": messages,
        "tick_us": round(tick_us, 1),
        "bare_loop_us": round(bare_us, 1),
        "ratio": round(bare_us / tick_us, 2),
        "messages_per_s": round(median(per_s)),
        "tick_us_of_each_run": [round(us, 1) for us in ours],
        "state_bytes_kept_per_market": round(bare[0]["state_bytes_kept_per_market"], 1),
    }


def bare_loop(place: Place, part: str) -> dict[str, Any]:
    """The bare loop's own figures, from a process of its own."""
    command = [sys.executable, "-m", "bench.parts", part, "0", "bare"]
    env = place.environment(MOVERS_INTERPRETED="1")
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, check=True)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


class Running:
    """A part that runs, seen through its metrics."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, stage: str, topic: str = "") -> None:
        """Counts the messages of one topic, or of all."""
        self._process = process
        self._url = f"http://127.0.0.1:{port}/metrics"
        self._series = f'movers_messages_total{{stage="{stage}",topic="' + (topic and f'{topic}"')

    def through(self, messages: int, start_share: float = START_SHARE) -> tuple[float, float]:
        """CPU-microseconds of a message, and messages a second, from the warm-up's end to the last message."""
        first = self.until(messages * start_share, look_s=_WARM_UP_LOOK_S)
        started_s = time.monotonic()
        last = self.until(messages)
        wall_s = time.monotonic() - started_s
        done, cpu_s = last[0] - first[0], last[1] - first[1]
        return cpu_s / done * 1e6, done / wall_s

    def until(self, enough: float, timeout_s: float = 300, look_s: float = _LOOK_S) -> tuple[float, float]:
        """Messages done and CPU-seconds used, as soon as so many are done."""
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s and self._process.poll() is None:
            time.sleep(look_s)
            try:
                text = httpx.get(self._url, trust_env=False).text
            except httpx.TransportError:
                continue
            values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
            done = sum(float(value) for name, value in values.items() if name.startswith(self._series))
            if done >= enough:
                return done, float(values["process_cpu_seconds_total"])
        raise TimeoutError("a part did not get through its messages")


@contextmanager
def running(place: Place, part: str, number: int, **extra: str) -> Iterator[Running]:
    """A part on Quix, with a group and a state of its own; `extra` are further settings."""
    port, stage = free_port(), f"bench-{part}-{number}"
    env = place.environment(STATE_DIR=str(place.folder / "state" / stage), METRICS_PORT=str(port), **extra)
    log_path = place.folder / f"{stage}.log"
    with log_path.open("wb") as log:
        command = [sys.executable, "-m", "bench.parts", part, str(number)]
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log)
    try:
        yield Running(process, port, stage, STAGES[part].input.name)
    finally:
        process.terminate()
        code = process.wait(60)
    assert code == 0, log_path.read_text()[-2000:]


def lone_tick(place: Place, count: int = 40) -> dict[str, int]:
    """How long a tick takes to become a visible move when there is nothing else to do, in milliseconds."""
    codec, publisher = Codec(TICKS, place.registry, Tick), make_publisher(place)
    ticks = sum(high for _, high in watermarks(place.kafka, TICKS.name).values())
    reader = consumer(place.kafka, "lone", from_start=False)
    took_ms = []
    with running(place, "moves", 99) as process:
        process.through(ticks)
        ends = watermarks(place.kafka, MOVES.name)
        reader.assign([TopicPartition(MOVES.name, partition, end) for partition, (_, end) in ends.items()])
        tick = next(house_ticks(20, 1))
        for i in range(count):
            later_us = tick.ts_event_us + (i + 100) * 60 * US_PER_S
            # Received as it happens: a tick stamped ahead of its receipt is refused.
            later = replace(tick, ts_event_us=later_us, ts_received_us=later_us, price_ppm=500_000)
            started_s = time.monotonic()
            publisher.publish(TICKS.name, tick.market_id.encode(), codec.encode(later))
            while reader.poll(1.0) is None:
                assert time.monotonic() < started_s + 30
            took_ms.append((time.monotonic() - started_s) * 1000)
            time.sleep(0.05)
    reader.close()
    assert publisher.flush(10) == 0
    deciles = quantiles(took_ms, n=10)
    return {"p50": round(deciles[4]), "p90": round(deciles[8]), "max": round(max(took_ms))}


def make_publisher(place: Place) -> Publisher:
    """A publisher that tolerates no loss."""

    def lost(message: object, error: object, place: int) -> None:
        raise RuntimeError(f"undelivered: {error}")

    return Publisher(place.kafka, "bench", lost)


def print_table(result: dict[str, Any]) -> None:
    """The result for people."""
    head = f"{result['ticks']} ticks, {result['cpu_count']} cores, load at start {result['load']:.1f}"
    print(f"{head}; medians of {result['runs']}; CPU of a tick in microseconds")
    print(f"{'part':<8}{'on Quix':>10}{'bare loop':>12}{'bare / Quix':>13}{'ticks/s':>10}")
    for part in STAGES:
        r = result[part]
        print(f"{part:<8}{r['tick_us']:>10}{r['bare_loop_us']:>12}{r['ratio']:>13}{r['messages_per_s']:>10}")
    whole, lone = result["all"], result["lone_tick_ms"]
    print(
        f"state: {whole['state_bytes_kept_per_market']} bytes kept for a market; a lone tick becomes a move in "
        f"{lone['p50']} ms (median), {lone['p90']} ms (9 in 10), {lone['max']} ms (worst)"
    )

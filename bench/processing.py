"""Messages per CPU-second of the processors, beside a bare loop that does the same job without keeping its state.

    python -m bench processing [--markets 500] [--minutes 120] [--json FILE]

Starts a broker and a registry of its own, fills `ticks` with the house tape swept once a minute, and runs moves, bars
and alerts twice each: as the real process, and as a confluent-kafka loop with the same step and a dict for state. CPU
is the whole process, librdkafka's threads included, start-up excluded. Also: how long a lone tick takes to become a
move, and how many bytes of state the moves processor writes for a tick.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, quantiles
from typing import Any

import httpx
from confluent_kafka import Producer, TopicPartition

from bench.house_ticks import house_ticks
from kernel.kafka import PRODUCER_CONFIG, Publisher, consumer, create_topics, watermarks
from kernel.schema_registry import SchemaRegistry
from movers.local.broker.node import LocalKafka
from movers.local.ports import free_port
from processors import alerts_app, bars_app, moves_app
from processors.analytics.alerts import AlertRule
from processors.quix import Stage
from processors.step import Step
from processors.titles import UNKNOWN
from schemas.codec import Codec
from schemas.events import Tick
from schemas.topics import CATALOGUE, MOVES, TICKS
from schemas.units import US_PER_S

WINDOWS_S = (300, 900, 3600, 86400)
RULE = AlertRule(threshold_pp=10, cooldown_s=900, min_volume_24h_usd=1000, max_spread_pp=5)
CACHE = Path(".movers") / "cache"
RESULT = Path("bench") / "results" / "processing.json"


@dataclass(frozen=True)
class Place:
    """Where the bench's own broker and registry are."""

    bootstrap: str
    registry_url: str
    registry: SchemaRegistry
    folder: Path


def main(argv: list[str]) -> int:
    """Runs the bench, prints its table, writes its JSON; 0 when it ran."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--markets", type=int, default=500)
    parser.add_argument("--minutes", type=int, default=120)
    parser.add_argument("--json", type=Path, default=RESULT, help="where the result goes")
    arguments = parser.parse_args(argv)
    with stack() as place:
        ticks = fill(place, arguments.markets, arguments.minutes)
        result: dict[str, Any] = {"ticks": ticks, "cpu_count": os.cpu_count(), "load": os.getloadavg()[0]}
        for stage, step in stages(place.registry):
            result[stage.name] = compare(place, stage, step)
    print_table(result)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    return 0


def stages(registry: SchemaRegistry) -> list[tuple[Stage, Step]]:
    """The processors in the order in which they feed each other."""
    return [
        (moves_app.STAGE, moves_app.make_step(registry, WINDOWS_S)),
        (bars_app.STAGE, bars_app.make_step(registry)),
        (alerts_app.STAGE, alerts_app.make_step(registry, RULE, lambda market_id: UNKNOWN)),
    ]


@contextmanager
def stack() -> Iterator[Place]:
    """A broker and a registry in a temporary folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        node = LocalKafka(folder / "kafka", CACHE, free_port(), free_port())
        node.prepare(lambda text: print(text, file=sys.stderr))
        port = free_port()
        command = [
            sys.executable,
            "-m",
            "movers.local.registry.service",
            "--port",
            str(port),
            "--data",
            str(folder / "registry"),
        ]
        with (folder / "log").open("wb") as log:
            broker = subprocess.Popen(node.argv(), env={**os.environ, **node.env()}, stdout=log, stderr=log)
            registry = subprocess.Popen(command, stdout=log, stderr=log)
        client = SchemaRegistry(f"http://127.0.0.1:{port}")
        try:
            node.wait_ready(90)
            client.register(CATALOGUE)
            create_topics(node.bootstrap, partitions=4, replication=1)
            yield Place(node.bootstrap, f"http://127.0.0.1:{port}", client, folder)
        finally:
            client.close()
            for process in (registry, broker):
                process.terminate()
                process.wait(30)
            node.release()


def fill(place: Place, markets: int, minutes: int) -> int:
    """Publishes the house tape's ticks; returns how many."""
    codec, publisher, ticks = Codec(TICKS, place.registry, Tick), make_publisher(place), 0
    for tick in house_ticks(markets, minutes):
        headers = [("venue", tick.venue.encode()), ("category", b"Other")]
        publisher.publish(TICKS.name, tick.market_id.encode(), codec.encode(tick), headers)
        ticks += 1
    assert publisher.flush(60) == 0
    return ticks


def compare(place: Place, stage: Stage, step: Step) -> dict[str, Any]:
    """One processor as a bare loop and as the real process."""
    raw = bare_loop(place, stage, step)
    quix = real_process(place, stage, int(raw["messages"]))
    ratio = quix["messages_per_cpu_s"] / raw["messages_per_cpu_s"]
    return {"messages": raw["messages"], "bare": raw, "quix": quix, "ratio": round(ratio, 2)}


def bare_loop(place: Place, stage: Stage, step: Step) -> dict[str, float]:
    """The job done with bare hands: batches, state in a dict, outputs to a topic that nobody reads here."""
    reader = consumer(place.bootstrap, f"bare-{stage.name}", from_start=True)
    reader.subscribe([stage.input.name])
    producer = Producer({**PRODUCER_CONFIG, "bootstrap.servers": place.bootstrap})
    state: dict[bytes, tuple[bytes | None, ...]] = {}
    nothing = (None,) * len(stage.state_keys)
    messages = written = idle = 0
    started_s = time.process_time()
    while idle < 4:
        batch = reader.consume(500, timeout=0.5)
        idle = 0 if batch else idle + (messages > 0)
        for message in batch:
            key = message.key()
            before = state.get(key, nothing)
            result = step(message.value(), before)
            written += sum(len(new or b"") for old, new in zip(before, result.remember, strict=True) if old != new)
            state[key] = result.remember
            for value in result.outputs:
                producer.produce("raw.kalshi", value, key, headers=message.headers())
            producer.poll(0)
            messages += 1
        if batch:
            reader.commit(asynchronous=True)
    producer.flush(60)
    cpu_s = time.process_time() - started_s
    reader.close()
    kept = fmean(sum(len(part or b"") for part in parts) for parts in state.values())
    return {
        "messages": messages,
        "messages_per_cpu_s": round(messages / cpu_s),
        "state_bytes_written_per_message": round(written / messages, 1),
        "state_bytes_kept_per_market": round(kept, 1),
    }


def real_process(place: Place, stage: Stage, messages: int) -> dict[str, Any]:
    """`movers process <name>` until it has done all messages; CPU per message is the slope after its start."""
    port = free_port()
    env = {
        **os.environ,
        "KAFKA_BOOTSTRAP_SERVERS": place.bootstrap,
        "SCHEMA_REGISTRY_URL": place.registry_url,
        "STATE_DIR": str(place.folder / "state" / stage.name),
        "METRICS_PORT": str(port),
    }
    with (place.folder / f"{stage.name}.log").open("wb") as log:
        command = [sys.executable, "-m", "movers", "process", stage.name]
        process = subprocess.Popen(command, env=env, cwd=place.folder, stdout=log, stderr=log)
    try:
        first = watch(process, port, stage, lambda done: done >= 0)
        started_s = time.monotonic()
        last = watch(process, port, stage, lambda done: done >= messages)
        wall_s = time.monotonic() - started_s
        lone_ms = lone_ticks_ms(place) if stage is moves_app.STAGE else []
    finally:
        process.terminate()
        code = process.wait(60)
    assert code == 0, (place.folder / f"{stage.name}.log").read_text()[-2000:]
    done, cpu_s = last[0] - first[0], last[1] - first[1]
    numbers = {
        "messages_per_cpu_s": round(done / cpu_s),
        "cpu_us_per_message": round(cpu_s / done * 1e6, 1),
        "messages_per_s": round(done / wall_s),
    }
    if lone_ms:
        p50, p90 = (round(quantiles(lone_ms, n=10)[i]) for i in (4, 8))
        numbers |= {"lone_tick_ms_p50": p50, "lone_tick_ms_p90": p90, "lone_tick_ms_max": round(max(lone_ms))}
    return numbers


def watch(
    process: subprocess.Popen[bytes], port: int, stage: Stage, enough: Callable[[float], bool], timeout_s: float = 300
) -> tuple[float, float]:
    """Messages done and CPU-seconds used, as soon as enough are done."""
    deadline_s = time.monotonic() + timeout_s
    name = f'movers_messages_total{{stage="{stage.name}",topic="{stage.input.name}"}}'
    while time.monotonic() < deadline_s and process.poll() is None:
        time.sleep(0.1)
        try:
            text = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
        except httpx.TransportError:
            continue
        values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        done = float(values.get(name, 0))
        if enough(done):
            return done, float(values["process_cpu_seconds_total"])
    raise TimeoutError(f"{stage.name} did not get through its messages")


def lone_ticks_ms(place: Place, count: int = 40) -> list[float]:
    """How long a tick takes to become a visible move when there is nothing else to do."""
    codec, publisher = Codec(TICKS, place.registry, Tick), make_publisher(place)
    reader = consumer(place.bootstrap, "lone", from_start=False)
    ends = watermarks(place.bootstrap, MOVES.name)
    reader.assign([TopicPartition(MOVES.name, partition, end) for partition, (_, end) in ends.items()])
    tick = next(house_ticks(20, 1))
    took_ms = []
    for i in range(count):
        later = replace(tick, ts_event_us=tick.ts_event_us + (i + 1) * 86_400 * US_PER_S, price_ppm=500_000)
        started_s = time.monotonic()
        publisher.publish(TICKS.name, tick.market_id.encode(), codec.encode(later))
        while reader.poll(1.0) is None:
            assert time.monotonic() < started_s + 30
        took_ms.append((time.monotonic() - started_s) * 1000)
        time.sleep(0.05)
    reader.close()
    assert publisher.flush(10) == 0
    return took_ms


def make_publisher(place: Place) -> Publisher:
    """A publisher that tolerates no loss."""

    def lost(message: object, error: object) -> None:
        raise RuntimeError(f"undelivered: {error}")

    return Publisher(place.bootstrap, "bench", lost)


def print_table(result: dict[str, Any]) -> None:
    """The result for people."""
    print(f"{result['ticks']} ticks, {result['cpu_count']} cores, load at start {result['load']:.1f}")
    print(f"{'processor':<10}{'messages':>10}{'bare /CPU-s':>14}{'Quix /CPU-s':>14}{'ratio':>8}{'Quix /s':>10}")
    for name in ("moves", "bars", "alerts"):
        r = result[name]
        bare, quix = r["bare"], r["quix"]
        row = f"{name:<10}{r['messages']:>10}{bare['messages_per_cpu_s']:>14}{quix['messages_per_cpu_s']:>14}"
        print(f"{row}{r['ratio']:>8}{quix['messages_per_s']:>10}")
    moves = result["moves"]
    print(
        f"moves: {moves['bare']['state_bytes_written_per_message']} bytes of state written per tick, "
        f"{moves['bare']['state_bytes_kept_per_market']} kept per market; a lone tick becomes a move in "
        f"{moves['quix']['lone_tick_ms_p50']} ms (median), {moves['quix']['lone_tick_ms_p90']} ms (9 in 10), "
        f"{moves['quix']['lone_tick_ms_max']} ms (worst)"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

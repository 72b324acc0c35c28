"""From a change at the exchange to its alert (`detected`) on the topic, with the whole one-machine stack under load.

    python -m bench latency [--rate 2000] [--for 165] [--json FILE]

Runs the demo in real time: simulated venues of so many markets that their sweeps make `rate` ticks a second, streams
beside them. The rule is loosened (1 point over a minute), because nothing else detects enough in two minutes; what a
tick costs does not depend on it. A reader of this process's own notes when each alert can be read, and splits the way:

- exchange: the exchange's stamp of the change to the venue's stamp of the frame, where the venue tells both
- wire: the venue's last stamp to our reading of its bytes
- producer: our reading to the tick's publication (the stamp that Kafka keeps)
- processor: publication to the alert in this reader's hands, Kafka's way there and back included

A quote that a sweep brings has no stamp of when it changed, only the answer's Date of whole seconds: its event is the
moment of the answer, and that it changed before stays unseen. So streamed and swept ticks are told apart.
"""

from __future__ import annotations

import argparse
import gc
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import quantiles
from typing import Any

from bench import RESULTS, write
from kernel.kafka.readers import consumer
from kernel.schema_registry import SchemaRegistry
from kernel.settings import KafkaSettings, load
from movers.running import running
from movers.supervisor import child_environment
from schemas.codec import Codec
from schemas.events import Alert, Tick
from schemas.topics import ALERTS, TICKS

SWEEP_EVERY_S = 2.0
WARM_UP_S = 75
"""Until the shortest window is covered, and what came together while the processes started has been worked off."""
KEPT_TICKS = 400_000
LOOSE = {"WINDOWS": "60,300,900,3600", "ALERT_THRESHOLD_PP": "1", "MIN_VOLUME_24H": "0", "MAX_SPREAD_PP": "10"}
LOAD = {"COLLECTOR_PRICE_INTERVAL": str(SWEEP_EVERY_S), "COLLECTOR_MIN_PAUSE_S": "0", "COLLECTOR_HOT_MARKETS": "0"}

Legs = dict[str, float]
"""Milliseconds by leg of the way."""


def main(argv: list[str]) -> int:
    """Runs the stack and reads beside it; prints percentiles and writes them; 0 when alerts came."""
    parser = argparse.ArgumentParser(prog="bench latency", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rate", type=int, default=2000, help="ticks a second to make by sweeps")
    parser.add_argument("--for", dest="seconds", type=int, default=165, help="seconds that the stack runs")
    parser.add_argument("--json", type=Path, default=RESULTS / "latency.json")
    given = parser.parse_args(argv)
    # A tape begins at a whole second: at the speed of real time its venue would stay up to a second behind for good.
    command = [sys.executable, "-m", "movers", "demo", "--since", "0s", "--speed", "10", "--for", str(given.seconds)]
    command += ["--markets", str(round(given.rate * SWEEP_EVERY_S))]
    stack = subprocess.Popen(command, env=child_environment({**LOAD, **LOOSE}))
    # Looking through hundreds of thousands of kept ticks for dead rings stops the reader for 0.2 s of CPU a time: that
    # would be the tail of what it measures.
    gc.disable()
    home = load().process.movers_home
    try:
        kafka = _address(home, stack)
        ways, ticks, seconds = read(kafka, lambda: stack.poll() is None)
    finally:
        stack.terminate()
        stack.wait(60)
    result = {"ticks_per_s": round(ticks / seconds), "load": os.getloadavg()[0], **summary(ways)}
    print(write(given.json, result))
    return 0 if ways else 1


def _address(home: Path, stack: subprocess.Popen[bytes]) -> KafkaSettings:
    """Where the stack's Kafka is, as soon as the stack says so."""
    while stack.poll() is None:
        state = running(home)
        if state is not None and state["env"].get("KAFKA_BOOTSTRAP_SERVERS"):
            names = ("KAFKA_BOOTSTRAP_SERVERS", "SCHEMA_REGISTRY_URL")
            return KafkaSettings(**{name.lower(): state["env"][name] for name in names})
        time.sleep(0.2)
    raise SystemExit("the stack ended before it was up")


def read(kafka: KafkaSettings, goes_on: Callable[[], bool]) -> tuple[list[tuple[str, Legs]], int, float]:
    """Each detection's way with its tick's source, how many ticks came, and in how many seconds."""
    registry = SchemaRegistry.of(kafka)
    ticks, alerts = Codec(TICKS, registry, Tick), Codec(ALERTS, registry, Alert)
    reader = consumer(kafka, f"bench-latency-{time.time_ns()}", from_start=False)
    seen: dict[tuple[str, int], tuple[Tick, int]] = {}
    waiting: list[tuple[Alert, int]] = []
    count, began_s = 0, 0.0
    reader.subscribe([TICKS.name, ALERTS.name])
    while goes_on():
        for message in reader.consume(500, timeout=0.1):
            now_us = time.time_ns() // 1000
            if message.error() is not None:
                continue
            began_s = began_s or time.monotonic()
            if message.topic() == ALERTS.name:
                alert = alerts.decode(message.value() or b"")
                if alert.state == "detected" and time.monotonic() - began_s > WARM_UP_S:
                    waiting.append((alert, now_us))
            else:
                tick = ticks.decode(message.value() or b"")
                seen[tick.market_id, tick.ts_event_us] = tick, message.timestamp()[1] * 1000
                count += 1
                if len(seen) > KEPT_TICKS:
                    del seen[next(iter(seen))]
    seconds = time.monotonic() - began_s
    reader.close()
    registry.close()
    return [way(alert, at_us, *found) for alert, at_us in waiting if (found := _tick_of(alert, seen))], count, seconds


def _tick_of(alert: Alert, seen: dict[tuple[str, int], tuple[Tick, int]]) -> tuple[Tick, int] | None:
    return seen.get((alert.market_id, alert.ts_event_us))


def way(alert: Alert, read_us: int, tick: Tick, published_us: int) -> tuple[str, Legs]:
    """One detection's way. Negative legs are clocks of whole seconds or milliseconds, and are told as they are."""
    exchange_us = tick.ts_venue_us or tick.ts_sent_us or tick.ts_event_us
    sent_us = tick.ts_sent_us if tick.ts_venue_us and tick.ts_sent_us else exchange_us
    legs = {
        "whole": read_us - exchange_us,
        "exchange": sent_us - exchange_us,
        "wire": tick.ts_received_us - sent_us,
        "producer": published_us - tick.ts_received_us,
        "processor": read_us - published_us,
        "ours": read_us - tick.ts_received_us,
    }
    return tick.source, {name: us / 1000 for name, us in legs.items()}


def summary(ways: Iterable[tuple[str, Legs]]) -> dict[str, Any]:
    """Milliseconds at p50 and p99 of each leg, by the source of the tick, and how many there were."""
    by_source: dict[str, list[Legs]] = defaultdict(list)
    for source, legs in ways:
        by_source[source].append(legs)
    told: dict[str, Any] = {}
    for source, many in sorted(by_source.items()):
        told[source] = {"detected": len(many)}
        for leg in many[0]:
            values = [legs[leg] for legs in many]
            cuts = quantiles(values, n=100, method="inclusive") if len(values) > 1 else values * 99
            told[source][leg] = {"p50_ms": round(cuts[49]), "p99_ms": round(cuts[98])}
    return told

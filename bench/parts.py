"""The parts of the analytics, each as a processor of its own, so that each can be measured; `all` is the real one.

    python -m bench.parts PART RUN        runs it on Quix until SIGTERM
    python -m bench.parts PART RUN bare   does its job in a bare loop, once through the input; prints JSON

The bare loop is what a capable hand writes without a framework: confluent-kafka batches, a dict for state, nothing
kept. It runs interpreted and with fastavro, whatever is compiled.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from statistics import fmean

from confluent_kafka import Producer

from kernel import logs, settings
from kernel.kafka.publisher import PRODUCER_CONFIG
from kernel.kafka.readers import consumer
from kernel.process import Process
from kernel.schema_registry import SchemaRegistry
from kernel.settings import KafkaSettings, Settings
from processors import analytics_app
from processors.analytics.windows import WindowPlan
from processors.analytics_app import NOTHING, Known
from processors.quix import run
from processors.rules_file import rules_in_force
from processors.step import Processor, Result, Stage, Step, Work
from processors.titles import UNKNOWN, Title
from schemas.codec import Codec
from schemas.events import Move, Tick
from schemas.topics import ALERTS, BARS, MOVES, TICKS

STAGES = {
    "moves": replace(analytics_app.STAGE, name="moves", outputs=(MOVES,)),
    "bars": replace(analytics_app.STAGE, name="bars", outputs=(BARS,)),
    "alerts": replace(analytics_app.STAGE, name="alerts", input=MOVES, outputs=(ALERTS,)),
    "all": analytics_app.STAGE,
}
"""In an order in which each finds its input: moves fill the topic that alerts read."""

SINK_OF_BARE_LOOP = "bench.out"


def make_step(part: str, registry: SchemaRegistry, tree: Settings) -> Step:
    """The step of one part, or of all."""
    plan, rules = WindowPlan(tree.rules.windows, tree.rules.score), rules_in_force(tree.rules)
    if part == "all":
        return analytics_app.make_step(registry, plan, rules, _lookup)
    ticks, moves = Codec(TICKS, registry, Tick), Codec(MOVES, registry, Move)
    moved, barred = analytics_app.move_part(registry, plan), analytics_app.bar_part(registry)
    alerted = analytics_app.alert_part(registry, rules, _lookup)

    def move_step(value: bytes, known: Known) -> Result:
        tick = ticks.decode(value)
        _, outputs, history = moved(tick, known.history)
        return Result(tick, outputs, Known(history=history))

    def bar_step(value: bytes, known: Known) -> Result:
        tick = ticks.decode(value)
        outputs, bar, due_us = barred(tick, known.bar)
        return Result(tick, outputs, Known(bar=bar), due_us=due_us)

    def alert_step(value: bytes, known: Known) -> Result:
        move = moves.decode(value)
        outputs, episodes, due_us = alerted(move, known.episodes)
        return Result(move, outputs, Known(episodes=episodes), due_us=due_us)

    return {"moves": move_step, "bars": bar_step, "alerts": alert_step}[part]


def bare_loop(stage: Stage, step: Step, bootstrap: str) -> dict[str, float]:
    """Once through the input: messages, CPU-seconds, and what is kept of the state."""
    reader = consumer(
        KafkaSettings(kafka_bootstrap_servers=bootstrap), f"bare-{stage.name}-{time.time_ns()}", from_start=True
    )
    reader.subscribe([stage.input.name])
    producer = Producer({**PRODUCER_CONFIG, "bootstrap.servers": bootstrap})
    state: dict[bytes, Known] = {}
    messages = idle = 0
    started_s = time.process_time()
    while idle < 4:
        batch = reader.consume(500, timeout=0.5)
        idle = 0 if batch else idle + (messages > 0)
        for message in batch:
            key = message.key()
            result = step(message.value(), state.get(key, NOTHING))
            state[key] = result.known
            for _, value in result.outputs:
                producer.produce(SINK_OF_BARE_LOOP, value, key, headers=message.headers())
            producer.poll(0)
            messages += 1
        if batch:
            reader.commit(asynchronous=True)
    producer.flush(60)
    cpu_s = time.process_time() - started_s
    reader.close()
    kept = fmean(sum(len(part or b"") for part in stage.pack(known)) for known in state.values())
    return {
        "messages": messages,
        "tick_us": cpu_s / messages * 1e6,
        "state_bytes_kept_per_market": kept,
    }


def _lookup(market_id: str) -> Title:
    return UNKNOWN


def main(part: str, number: str, *bare: str) -> None:
    """See the module."""
    tree = settings.load()
    logs.configure("info", process=f"bench-{part}")
    if bare:
        registry = SchemaRegistry(tree.kafka.schema_registry_url)
        step = make_step(part, registry, tree)
        print(json.dumps(bare_loop(STAGES[part], step, tree.kafka.kafka_bootstrap_servers)))
        return

    def start(registry: SchemaRegistry, tree: Settings, process: Process, until_end: ExitStack) -> Work:
        return Work(make_step(part, registry, tree))

    stage = replace(STAGES[part], name=f"bench-{part}-{number}")
    run(Processor(stage=stage, start=start), tree)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""What can go wrong, each kind as one function that breaks something and, where it must, mends it again.

A day is a list of troubles drawn from a seed before anything starts, so that a seed that fails can be played again.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from confluent_kafka.admin import AdminClient, NewPartitions

from schemas.topics import CATALOGUE, VENUES
from tests.chaos.world import World

Break = Callable[[World, float], None]
"""Breaks something for so many seconds and returns when it is whole again (or left to the keeper)."""


def kill_sink(world: World, _: float) -> None:
    """kill -9 of the sink."""
    world.kill("sink-clickhouse")


def kill_processor(world: World, _: float) -> None:
    """kill -9 of the processor."""
    world.kill("process-analytics")


def kill_collector(world: World, seconds: float) -> None:
    """kill -9 of a collector that has handed over what it had."""
    world.kill_collector(VENUES[int(seconds * 1000) % len(VENUES)])


def kill_collector_with_full_hands(world: World, seconds: float) -> None:
    """kill -9 of a collector while Kafka takes nothing, so that it has ticks in its memory."""
    world.kafka_line.hold()
    world.wait(seconds)
    world.kill("produce-kalshi")
    world.kafka_line.heal()


def kill_broker(world: World, seconds: float) -> None:
    """kill -9 of Kafka, which stays away for a while."""
    world.kill_kafka(seconds)


def kill_store(world: World, seconds: float) -> None:
    """kill -9 of the store, which stays away for a while."""
    world.kill_store(seconds)


def cut_kafka(world: World, seconds: float) -> None:
    """Every connection to Kafka is refused."""
    world.kafka_line.cut()
    world.wait(seconds)
    world.kafka_line.heal()


def hold_kafka(world: World, seconds: float) -> None:
    """Connections to Kafka stand, and nothing comes through."""
    world.kafka_line.hold()
    world.wait(seconds)
    world.kafka_line.heal()


def slow_kafka(world: World, seconds: float) -> None:
    """Each packet to and from Kafka takes a while."""
    world.kafka_line.slow(0.15)
    world.wait(seconds)
    world.kafka_line.heal()


def cut_store(world: World, seconds: float) -> None:
    """Every connection to the store is refused."""
    world.store_line.cut()
    world.wait(seconds)
    world.store_line.heal()


def hold_store(world: World, seconds: float) -> None:
    """Connections to the store stand, and nothing comes through; then they break."""
    world.store_line.hold()
    world.wait(seconds)
    world.store_line.cut()
    world.store_line.heal()


def slow_store(world: World, seconds: float) -> None:
    """Inserts take so long that a sink killed meanwhile has a successor before its last insert lands."""
    world.store_line.slow(1.5)
    world.wait(seconds / 2)
    world.kill("sink-clickhouse")
    world.wait(seconds / 2)
    world.store_line.heal()


def suspend_sink(world: World, seconds: float) -> None:
    """The sink stands still and goes on."""
    _suspended(world, "sink-clickhouse", seconds)


def suspend_processor(world: World, seconds: float) -> None:
    """The processor stands still and goes on."""
    _suspended(world, "process-analytics", seconds)


def suspend_broker(world: World, seconds: float) -> None:
    """Kafka stands still and goes on."""
    world.kafka.suspend()
    world.wait(seconds)
    world.kafka.resume()


def starve(world: World, seconds: float) -> None:
    """The sink or the processor gets no memory beyond what it has, for a while."""
    world.starve(("sink-clickhouse", "process-analytics")[int(seconds * 1000) % 2], seconds)


def step_clock(world: World, seconds: float) -> None:
    """The clock of one of our processes is an hour ahead, then an hour behind, then right."""
    name = world.names[int(seconds * 1000) % len(world.names)]
    for step_s in (3600, -3600):
        world.step_clock(name, step_s)
        world.wait(seconds / 2)
    world.step_clock(name, 0)


def fill_disk(world: World, seconds: float) -> None:
    """The disk that all data stand on is full, and then somebody makes room. Only in a world on a small disk."""
    world.fill_disk(seconds)


def more_partitions(world: World, _: float) -> None:
    """Every topic gets one more partition, while data flow."""
    admin = AdminClient({"bootstrap.servers": world.bootstrap})
    known = admin.list_topics(timeout=10).topics
    wanted = [NewPartitions(topic.name, len(known[topic.name].partitions) + 1) for topic in CATALOGUE]
    for future in admin.create_partitions(wanted, operation_timeout=30).values():
        future.result(30)


def _suspended(world: World, name: str, seconds: float) -> None:
    process = world.process(name)
    process.suspend()
    world.wait(seconds)
    process.resume()


KILLS: Sequence[Break] = (kill_sink, kill_processor, kill_collector)
OUTAGES: tuple[Break, ...] = (
    kill_broker,
    kill_store,
    cut_kafka,
    hold_kafka,
    slow_kafka,
    cut_store,
    hold_store,
    slow_store,
    suspend_sink,
    suspend_processor,
    suspend_broker,
    starve,
    *((step_clock,) if shutil.which("cc") else ()),
)
"""What an ordinary bad day holds. Clocks are stepped where a C compiler is."""

ALONE: tuple[Break, ...] = (*OUTAGES, more_partitions, kill_collector_with_full_hands)
"""What can be asked for by name."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that goes wrong: after a pause, for a while."""

    pause_s: float
    lasts_s: float
    breaks: Break

    def __str__(self) -> str:
        return f"{self.breaks.__name__} after {self.pause_s:.1f} s, for {self.lasts_s:.1f} s"


def a_day(seed: int, kills: int, outages: Sequence[Break], longest_s: float) -> list[Trouble]:
    """Troubles in order: `kills` kills of our processes, and each outage named, shuffled, with their times."""
    rng = random.Random(seed)
    kinds = [*(rng.choice(KILLS) for _ in range(kills)), *outages]
    rng.shuffle(kinds)
    return [Trouble(rng.uniform(0.2, 2.5), rng.uniform(0.3, 1.0) * longest_s, kind) for kind in kinds]


def live_through(world: World, day: Sequence[Trouble], say: Callable[[str], None]) -> Iterator[Trouble]:
    """Lets the troubles of a day happen one after the other; yields each when it is over."""
    for trouble in day:
        world.wait(trouble.pause_s)
        say(str(trouble))
        trouble.breaks(world, trouble.lasts_s)
        yield trouble

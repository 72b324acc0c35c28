"""How far the processors and the sink have come with what stands in Kafka."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from kernel.kafka.readers import consumer, watermarks
from processors.registry import PROCESSORS
from schemas.topics import TICKS
from sinks.clickhouse.sink import TOPICS
from tests.stack.processes import kafka_at


def computed(bootstrap: str) -> bool:
    """Whether each processor has committed all ticks: what it makes of them then stands in Kafka too.

    Raises:
        KafkaException: a leader is being elected: not known now.
    """
    high = sum(end for _, end in watermarks(kafka_at(bootstrap), TICKS.name).values())
    return set(computed_ticks(bootstrap)) == {high}


def computed_ticks(bootstrap: str) -> list[int]:
    """The ticks that each processor has committed. Its group's name goes on after its own, with its layout.

    Raises KafkaException as `computed` does.
    """
    ends = watermarks(kafka_at(bootstrap), TICKS.name)
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 4})
    groups = [group.group_id for group in admin.list_consumer_groups().result(60).valid]
    return [
        max((_committed(bootstrap, group, ends) for group in groups if group.startswith(f"movers-{name}")), default=-1)
        for name in PROCESSORS
    ]


def not_stored(bootstrap: str, rows: Callable[[str], list[tuple[Any, ...]]]) -> dict[tuple[str, int], tuple[int, int]]:
    """(stored, end) of each partition whose newest fence does not stand at its end; `rows` asks the store.

    Raises KafkaException as `computed` does.
    """
    fences = {
        (topic, partition): offset + 1
        for topic, partition, offset in rows(
            "SELECT topic, partition, argMax(last_offset, stored_at) FROM ingest_offsets GROUP BY topic, partition"
        )
    }
    ends = {
        (topic.name, partition): high
        for topic in TOPICS
        for partition, (_, high) in watermarks(kafka_at(bootstrap), topic.name).items()
    }
    return {place: (fences.get(place, 0), high) for place, high in ends.items() if fences.get(place, 0) != high}


def _committed(bootstrap: str, group: str, ends: dict[int, tuple[int, int]]) -> int:
    reader = consumer(kafka_at(bootstrap), group, from_start=True)
    try:
        found = reader.committed([TopicPartition(TICKS.name, partition) for partition in ends], timeout=10)
        return sum(max(place.offset, ends[place.partition][0]) for place in found)
    except KafkaException:
        return -1
    finally:
        reader.close()

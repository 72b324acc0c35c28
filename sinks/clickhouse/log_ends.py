"""What the sink asks Kafka beside its messages: which topics there are, what their partitions hold, a range again."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Message,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

from kernel.errors import KafkaAwayError
from kernel.kafka.connection import client_config
from kernel.kafka.readers import Place, consumer, offsets_since, partition_ends
from kernel.settings import KafkaSettings
from sinks.clickhouse.fence import REREAD_US, Ends, Fence

_TIMEOUT_S = 10.0
LOOK_AGAIN_S = 3.0


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """What tells a topic from an earlier one of the same name, and how many partitions it has."""

    topic_id: str
    partitions: int


class Bounds:
    """Where the partitions of a topic begin and end now: asked once, read when it has come."""

    def __init__(self, admin: AdminClient, topic: str, partitions: int) -> None:
        places = [TopicPartition(topic, number) for number in range(partitions)]
        self._asked = [
            admin.list_offsets(
                dict.fromkeys(places, spec),
                isolation_level=IsolationLevel.READ_COMMITTED,
                request_timeout=_TIMEOUT_S,
            )
            for spec in (OffsetSpec.earliest(), OffsetSpec.latest())
        ]

    def is_answered(self) -> bool:
        """Whether `offsets` would not wait."""
        return all(future.done() for asked in self._asked for future in asked.values())

    def offsets(self) -> dict[Place, tuple[int, int]] | None:
        """Of each place the first offset that Kafka holds, and the one that is next; None: it did not say."""
        try:
            lows, highs = (
                {(at.topic, at.partition): future.result().offset for at, future in asked.items()}
                for asked in self._asked
            )
        except KafkaException:
            return None
        return {at: (low, highs[at]) for at, low in lows.items()}


class Topics:
    """Our topics as they are now, and whether they are still what they were at the last look."""

    def __init__(self, kafka: KafkaSettings, names: Iterable[str]) -> None:
        self._where = kafka.kafka_bootstrap_servers
        self._names = list(names)
        # Level 4: without the client's remark, at each end, that a background queue was not empty.
        self._admin = AdminClient({**client_config(kafka, "sink-topics"), "log_level": 4})
        self._cluster_id = ""
        self._asked: dict[str, Future[Any]] = {}
        self._asked_s = time.monotonic()

    def look(self) -> dict[str, TopicFacts]:
        """The topics, by name. A topic's id is the cluster's where topics have none (KIP-516; then zero is answered).

        Raises:
            KafkaAwayError: the broker does not answer, or a topic is missing.
        """
        try:
            self._cluster_id = str(self._admin.list_topics(timeout=_TIMEOUT_S).cluster_id)
            self._ask()
            return {name: self._facts(self._described(name, future)) for name, future in self._asked.items()}
        except (KafkaException, TimeoutError) as error:
            raise KafkaAwayError(f"Kafka at {self._where} cannot describe our topics: {error}") from error

    def news(self) -> dict[str, TopicFacts]:
        """What has been learned since, never waiting for it: empty most of the time, and while Kafka is away."""
        self._admin.poll(0)
        if not all(future.done() for future in self._asked.values()):
            return {}
        known = {}
        for name, future in self._asked.items():
            if future.exception() is None:
                known[name] = self._facts(future.result())
        self._asked = {}
        if time.monotonic() - self._asked_s > LOOK_AGAIN_S:
            self._ask()
        return known

    def bounds(self, name: str, partitions: int) -> Bounds:
        """Asks where the partitions of a topic begin and end."""
        return Bounds(self._admin, name, partitions)

    def close(self) -> None:
        """Lets its client go, for the reason of `Publisher.close`. It is asked no more."""
        del self._admin

    def _ask(self) -> None:
        self._asked_s = time.monotonic()
        self._asked = self._admin.describe_topics(TopicCollection(self._names), request_timeout=_TIMEOUT_S)

    def _described(self, name: str, asked: Future[Any]) -> Any:
        try:
            return asked.result(_TIMEOUT_S)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise
            raise KafkaAwayError(f"Kafka has no topic {name}; run `movers topics create`") from error

    def _facts(self, described: Any) -> TopicFacts:
        text = str(described.topic_id)
        is_known = described.topic_id is not None and text.strip("A")  # 22 characters of base64; all A is the zero id
        return TopicFacts(text if is_known else self._cluster_id, len(described.partitions))


def ends(
    reader: Consumer, kafka: KafkaSettings, places: Iterable[Place], fences: Mapping[Place, Fence]
) -> dict[Place, Ends]:
    """What Kafka holds of the places, compared with their fences.

    Raises:
        KafkaAwayError: the broker does not answer.
    """
    try:
        bounds = {at: partition_ends(reader, TopicPartition(*at), _TIMEOUT_S) for at in places}
        back = [
            TopicPartition(*at, max(0, fences[at].stored_at_us - REREAD_US) // 1000) for at in bounds if at in fences
        ]
        found = offsets_since(reader, back, _TIMEOUT_S) if back else []
        again = {(p.topic, p.partition): p.offset for p in found}
    except KafkaException as error:
        raise KafkaAwayError(f"Kafka does not tell the ends of our partitions: {error}") from error
    there = {
        at: (fences[at].last_offset, fences[at].last_offset)
        for at, (low, high) in bounds.items()
        if at in fences and low <= fences[at].last_offset < high
    }
    leaders = {(m.topic(), m.partition()): m.leader_epoch() for m in read_range(kafka, there)}
    return {
        at: Ends(low, high, leaders.get(at), offset if (offset := again.get(at, -1)) >= 0 else None)
        for at, (low, high) in bounds.items()
    }


def read_range(kafka: KafkaSettings, ranges: Mapping[Place, tuple[int, int]], timeout_s: float = 30.0) -> list[Message]:
    """The messages that Kafka holds between two offsets of each place, both included; in order in each.

    Raises:
        KafkaAwayError: they did not come in time.
    """
    if not ranges:
        return []
    reader = consumer(kafka, "clickhouse-sink-again", from_start=True, overrides={"enable.partition.eof": True})
    messages: list[Message] = []
    missing = {place: last for place, (_, last) in ranges.items()}
    try:
        reader.assign([TopicPartition(*place, first) for place, (first, _) in ranges.items()])
        deadline_s = time.monotonic() + timeout_s
        while missing:
            if time.monotonic() > deadline_s:
                raise KafkaAwayError(f"Kafka does not give {len(missing)} ranges again within {timeout_s:.0f} s")
            for message in reader.consume(1_000, timeout=0.2):
                place = (message.topic(), message.partition())
                error = message.error()
                if place not in missing or (error is not None and error.code() != KafkaError._PARTITION_EOF):
                    continue
                if error is None and ranges[place][0] <= message.offset() <= missing[place]:
                    messages.append(message)
                if error is not None or message.offset() >= missing[place]:
                    del missing[place]
    finally:
        reader.close()
    return messages

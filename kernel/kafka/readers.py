"""Plain readers of Kafka: a consumer, for ever or to the end a topic has now; where a partition begins and ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from kernel.errors import KafkaAwayError
from kernel.kafka.connection import client_config
from kernel.kafka.link import LinkWatch, about_the_link
from kernel.logs import get_logger
from kernel.settings import KafkaSettings

log = get_logger(__name__)

Place = tuple[str, int]
"""A topic and a partition of it."""

Answer = TypeVar("Answer")

_ELECTING = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE)
"""What a broker answers for a moment when a topic has just been made, or a node went."""

_ASKED_AGAIN_S = 0.1


def consumer(
    kafka: KafkaSettings,
    group: str,
    *,
    from_start: bool,
    watch: LinkWatch | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Consumer:
    """A plain consumer of ours: offsets are committed by hand, aborted transactions are hidden."""
    return Consumer(
        {
            **client_config(kafka, group, watch),
            "group.id": group,
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest" if from_start else "latest",
            **(overrides or {}),
        }
    )


def read_messages(reader: Consumer, stop: Callable[[], bool], *, batch: int = 500) -> Iterator[Message]:
    """Yields good messages until `stop()`; broker errors that pass by themselves are logged and waited out.

    Raises:
        KafkaException: an error that will not pass.
    """
    while not stop():
        for message in reader.consume(batch, timeout=0.5):
            error = message.error()
            if error is None:
                yield message
            elif error.fatal():
                raise KafkaException(error)
            elif not about_the_link(error):
                log.warning("kafka_error", code=error.name(), detail=error.str())


def read_to_end(kafka: KafkaSettings, topic: str, timeout_s: float = 30.0) -> Iterator[Message]:
    """Yields every message that a topic has now, those of a partition in their order, however long that takes.

    Raises:
        KafkaAwayError: nothing came for `timeout_s`, and the end is not reached.
    """
    reader = consumer(kafka, f"read-to-end-{topic}", from_start=True)
    try:
        ends = _ends(reader, topic, timeout_s)
        open_ends = {p: (low, high) for p, (low, high) in ends.items() if high > low}
        reader.assign([TopicPartition(topic, partition, start) for partition, (start, _) in open_ends.items()])
        deadline_s = time.monotonic() + timeout_s
        while open_ends:
            if time.monotonic() > deadline_s:
                raise KafkaAwayError(f"{topic}: nothing for {timeout_s:.0f} s, and its end is not reached")
            messages = [message for message in reader.consume(1000, timeout=0.2) if message.error() is None]
            yield from messages
            if messages:
                deadline_s = time.monotonic() + timeout_s
            for position in reader.position([TopicPartition(topic, p) for p in open_ends]):
                if position.offset >= open_ends[position.partition][1]:
                    del open_ends[position.partition]
    finally:
        reader.close()


def watermarks(kafka: KafkaSettings, topic: str, timeout_s: float = 10.0) -> dict[int, tuple[int, int]]:
    """First and next offset of each partition. Empty when the topic does not exist."""
    reader = consumer(kafka, "watermarks", from_start=True)
    try:
        return _ends(reader, topic, timeout_s)
    finally:
        reader.close()


def partition_ends(reader: Consumer, of: TopicPartition, timeout_s: float) -> tuple[int, int]:
    """First and next offset of a partition; while its leader is being elected it is asked again.

    Raises:
        KafkaException: no leader within `timeout_s`, or an error that waiting does not mend.
    """
    low, high = _once_elected(lambda: reader.get_watermark_offsets(of, timeout=timeout_s), timeout_s)
    return low, high


def offsets_since(reader: Consumer, moments: Sequence[TopicPartition], timeout_s: float) -> list[TopicPartition]:
    """The first offset of each partition published at its moment (milliseconds, given in place of its offset) or later;
    below 0 where there is none. Asked again as `partition_ends` does, which tells what is raised."""
    found: list[TopicPartition] = _once_elected(
        lambda: reader.offsets_for_times(list(moments), timeout=timeout_s), timeout_s
    )
    return found


def _once_elected(ask: Callable[[], Answer], timeout_s: float) -> Answer:
    deadline_s = time.monotonic() + timeout_s
    while True:
        try:
            return ask()
        except KafkaException as error:
            if error.args[0].code() not in _ELECTING or time.monotonic() > deadline_s:
                raise
        time.sleep(_ASKED_AGAIN_S)


def _ends(reader: Consumer, topic: str, timeout_s: float) -> dict[int, tuple[int, int]]:
    partitions = reader.list_topics(topic, timeout=timeout_s).topics[topic].partitions
    return {p: partition_ends(reader, TopicPartition(topic, p), timeout_s) for p in partitions}

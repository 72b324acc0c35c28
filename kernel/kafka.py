"""Kafka as we use it: client settings in one place, a publisher that loses nothing, topic creation, plain readers.

Facts: librdkafka's idempotence covers broker retries only; after `delivery.timeout.ms` a message is gone and only the
delivery report says so (confluent-kafka 2.12). Quix partitions by murmur2 while librdkafka's default is CRC32, so the
partitioner is set here for every producer of ours.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import orjson
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from kernel.errors import KafkaAwayError
from kernel.logs import get_logger
from kernel.process import Process
from schemas.topics import CATALOGUE, Topic

log = get_logger(__name__)
_LIBRDKAFKA = logging.getLogger("librdkafka")
"""Where the C library's own lines go: into our logs, not raw onto stderr. Handed over when a client polls."""

Headers = Sequence[tuple[str, bytes]]
OnUndelivered = Callable[[Message, KafkaError], None]
OnDelivered = Callable[[Message], None]

PRODUCER_CONFIG: Mapping[str, Any] = {
    "enable.idempotence": True,
    "partitioner": "murmur2_random",
    "compression.type": "zstd",
    "linger.ms": 5,
    "delivery.timeout.ms": 120_000,
    "queue.buffering.max.messages": 200_000,
    "queue.buffering.max.kbytes": 262_144,
    "message.max.bytes": 16 * 1024 * 1024,
}


class LinkWatch:
    """Tells a process whether a client of its reaches Kafka, from the client's own statistics.

    librdkafka's own errors do not do: it reports that all brokers are down once for each try, and never that one is
    back. Broker states are those of librdkafka's STATISTICS.md; a client without any broker `UP` for `PATIENCE`
    reports in a row (one a second) reaches none. Statistics arrive when the client is polled.
    """

    INTERVAL_MS = 1000
    PATIENCE = 3

    def __init__(self, process: Process, client_id: str, where: str, *, can_work: bool = False) -> None:
        self._process = process
        self._client_id = client_id
        self._detail = f"no broker of {where} answers"
        self._can_work = can_work
        self._without = 0

    def config(self) -> dict[str, Any]:
        """librdkafka settings that make a client report here."""
        return {"statistics.interval.ms": self.INTERVAL_MS, "stats_cb": self.statistics}

    def statistics(self, report: str) -> None:
        """One report of the client."""
        states = [broker["state"] for broker in orjson.loads(report)["brokers"].values()]
        if "UP" in states:
            self._without = 0
            self._process.back("kafka", noticed_by=self._client_id)
            return
        self._without += 1
        if self._without >= self.PATIENCE:
            self._process.away("kafka", self._detail, noticed_by=self._client_id, can_work=self._can_work)


class Publisher:
    """Publishes bytes and accounts for each: delivered, or handed to `on_undelivered` with the reason.

    Args:
        bootstrap: host:port list.
        client_id: shown in the broker's logs and metrics.
        on_undelivered: called from `poll`/`flush` for each message Kafka did not take within the delivery timeout.
        overrides: librdkafka settings on top of `PRODUCER_CONFIG`.
    """

    def __init__(
        self,
        bootstrap: str,
        client_id: str,
        on_undelivered: OnUndelivered,
        overrides: Mapping[str, Any] | None = None,
    ) -> None:
        config = {**PRODUCER_CONFIG, **(overrides or {}), "bootstrap.servers": bootstrap, "client.id": client_id}
        self._producer = Producer(config, logger=_LIBRDKAFKA)
        self._on_undelivered = on_undelivered

    def publish(
        self,
        topic: str,
        key: bytes,
        value: bytes,
        headers: Headers = (),
        *,
        on_delivered: OnDelivered | None = None,
        queue_timeout_s: float = 30.0,
    ) -> None:
        """Queues a message. When the queue is full, waits for room up to `queue_timeout_s`.

        Raises:
            KafkaAwayError: no room in time: the broker takes nothing.
        """

        def report(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                message.set_headers(list(headers))  # a delivery report comes without them (confluent-kafka 2.12)
                self._on_undelivered(message, error)
            elif on_delivered is not None:
                on_delivered(message)

        deadline = time.monotonic() + queue_timeout_s
        while True:
            try:
                self._producer.produce(topic, value, key, headers=list(headers), on_delivery=report)
            except BufferError as error:
                if time.monotonic() > deadline:
                    raise KafkaAwayError(f"Kafka takes no message since {queue_timeout_s:.0f} s") from error
                self._producer.poll(0.1)
            else:
                self._producer.poll(0)
                return

    def poll(self, timeout_s: float = 0.0) -> int:
        """Serves delivery reports; returns how many."""
        return int(self._producer.poll(timeout_s))

    def flush(self, timeout_s: float) -> int:
        """Waits until everything queued is reported or the time is over; returns how many are still open."""
        return int(self._producer.flush(timeout_s))

    def purge(self, *, in_flight: bool = False) -> None:
        """Gives up what waits in the queue (and what is on its way): the next `poll` reports each as undelivered."""
        self._producer.purge(in_queue=True, in_flight=in_flight)

    def pending(self) -> int:
        """Messages queued or in flight."""
        return len(self._producer)


def create_topics(
    bootstrap: str, partitions: int, replication: int, topics: Sequence[Topic] = CATALOGUE, timeout_s: float = 30.0
) -> list[str]:
    """Creates the topics that are missing; returns their names. Existing ones are left as they are.

    Raises:
        KafkaAwayError: the broker does not answer or refuses.
    """
    admin = AdminClient({"bootstrap.servers": bootstrap}, logger=_LIBRDKAFKA)
    try:
        existing = admin.list_topics(timeout=timeout_s).topics
        missing = [
            NewTopic(t.name, num_partitions=partitions, replication_factor=replication, config=dict(t.config))
            for t in topics
            if t.name not in existing
        ]
        if missing:
            for future in admin.create_topics(missing, operation_timeout=timeout_s).values():
                future.result(timeout_s)
    except KafkaException as error:
        raise KafkaAwayError(f"Kafka at {bootstrap}: {error.args[0].str()}") from error
    return [topic.topic for topic in missing]


def require_broker(reader: Consumer, bootstrap: str, timeout_s: float = 5.0) -> None:
    """Proves that the broker answers, for commands that would else wait for ever.

    Raises:
        KafkaAwayError: it does not.
    """
    try:
        reader.list_topics(timeout=timeout_s)
    except KafkaException as error:
        raise KafkaAwayError(f"Kafka at {bootstrap} does not answer: {error.args[0].str()}") from error


def consumer(bootstrap: str, group: str, *, from_start: bool, overrides: Mapping[str, Any] | None = None) -> Consumer:
    """A plain consumer of ours: offsets are committed by hand, aborted transactions are hidden."""
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest" if from_start else "latest",
            **(overrides or {}),
        },
        logger=_LIBRDKAFKA,
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
            else:
                log.warning("kafka_error", code=error.name(), detail=error.str())


def read_to_end(bootstrap: str, topic: str, timeout_s: float = 30.0) -> Iterator[Message]:
    """Yields every message now in a topic, partition by partition order not guaranteed across partitions.

    Raises:
        KafkaAwayError: the end was not reached in time.
    """
    reader = consumer(bootstrap, f"read-to-end-{topic}", from_start=True)
    try:
        ends = _ends(reader, topic, timeout_s)
        open_ends = {p: (low, high) for p, (low, high) in ends.items() if high > low}
        reader.assign([TopicPartition(topic, partition, start) for partition, (start, _) in open_ends.items()])
        deadline = time.monotonic() + timeout_s
        while open_ends:
            if time.monotonic() > deadline:
                raise KafkaAwayError(f"{topic}: end not reached within {timeout_s:.0f} s")
            for message in reader.consume(1000, timeout=0.2):
                if message.error() is None:
                    yield message
            for position in reader.position([TopicPartition(topic, p) for p in open_ends]):
                if position.offset >= open_ends[position.partition][1]:
                    del open_ends[position.partition]
    finally:
        reader.close()


def watermarks(bootstrap: str, topic: str, timeout_s: float = 10.0) -> dict[int, tuple[int, int]]:
    """First and next offset of each partition. Empty when the topic does not exist."""
    reader = consumer(bootstrap, "watermarks", from_start=True)
    try:
        return _ends(reader, topic, timeout_s)
    finally:
        reader.close()


def _ends(reader: Consumer, topic: str, timeout_s: float) -> dict[int, tuple[int, int]]:
    partitions = reader.list_topics(topic, timeout=timeout_s).topics[topic].partitions
    return {p: tuple(reader.get_watermark_offsets(TopicPartition(topic, p), timeout=timeout_s)) for p in partitions}

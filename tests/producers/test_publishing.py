"""Messages on their way to Kafka, to the spill and back, when Kafka or its client fails."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from kernel.kafka.link import LinkWatch
from kernel.kafka.publisher import Headers, OnDelivered, OnUndelivered, Publisher
from kernel.kafka.readers import consumer
from kernel.kafka.topics import create_topics
from kernel.process import Process
from kernel.settings import KafkaSettings
from producers.publishing import SpillingPublisher, opener
from producers.spill import Spill, Spilled
from schemas import topics
from tests.stack.processes import KafkaProcess, kafka_at
from tests.stack.waiting import wait_until

NOBODY = kafka_at("127.0.0.1:1")
TOPIC = topics.FEED_STATUS.name


class FatalOnce(Publisher):
    """librdkafka's client after a fatal error: `produce` raises until another client is made."""

    broken = True

    def publish(
        self,
        topic: str,
        key: bytes,
        value: bytes | None,
        headers: Headers = (),
        *,
        on_delivered: OnDelivered | None = None,
        queue_timeout_s: float = 30.0,
    ) -> None:
        """Raises what librdkafka raises, the first time."""
        if FatalOnce.broken:
            FatalOnce.broken = False
            raise KafkaException(KafkaError(KafkaError._FATAL, "out of sequence", fatal=True))
        super().publish(
            topic, key, value, headers, on_delivered=on_delivered, queue_timeout_s=queue_timeout_s
        )  # fmt: skip


class SlowSpill(Spill):
    """On a busy disk: a millisecond a message."""

    def append(self, message: Spilled) -> bool:
        """Takes its time."""
        threading.Event().wait(0.001)
        return super().append(message)


def spilling(bootstrap: str, folder: Path) -> SpillingPublisher:
    kafka = kafka_at(bootstrap)
    opening = opener(kafka, "test", None, {"log_level": 0})
    return SpillingPublisher("test", opening, kafka, Spill(folder, 1 << 30), lambda _: None)


def kept(folder: Path) -> list[bytes | None]:
    """What a next process would find in the spill."""
    with Spill(folder, 1 << 30) as spill:
        return [message.value for message, _ in spill.waiting()]


def test_a_fatal_error_of_the_client_costs_no_message(tmp_path: Path) -> None:
    FatalOnce.broken = True
    opened: list[Publisher] = []

    def opening(on_undelivered: OnUndelivered) -> Publisher:
        opened.append(FatalOnce(NOBODY, "test", on_undelivered, overrides={"log_level": 0}))
        return opened[-1]

    publisher = SpillingPublisher("test", opening, NOBODY, Spill(tmp_path, 1 << 30), lambda _: None)

    assert publisher.publish(TOPIC, b"k", b"one", ()), "kept, so it counts as published"
    assert publisher.publish(TOPIC, b"k", b"two", ())
    assert publisher.state == "away"
    assert len(opened) == 2, "a new client took the broken one's place"
    publisher.close(0.1)

    assert kept(tmp_path) == [b"one", b"two"]


def test_what_waits_for_kafka_is_spilled_before_anything_newer_however_long_that_takes(tmp_path: Path) -> None:
    opening = opener(NOBODY, "test", None, {"log_level": 0})
    publisher = SpillingPublisher("test", opening, NOBODY, SlowSpill(tmp_path, 1 << 30), lambda _: None)
    for number in range(2_500):
        publisher.publish(TOPIC, b"k", b"%d" % number, ())
    publisher.state = "stuck"  # as when Kafka has just refused one of them

    publisher.publish(TOPIC, b"k", b"newer", ())

    publisher.close(0.1)
    assert kept(tmp_path) == [*(b"%d" % number for number in range(2_500)), b"newer"]


def test_a_key_to_be_forgotten_is_not_spilled_as_an_empty_message(tmp_path: Path) -> None:
    publisher = spilling("127.0.0.1:1", tmp_path)
    publisher.publish(TOPIC, b"k", None, ())

    publisher.close(0.1)

    assert kept(tmp_path) == [None]


def test_a_message_that_kafka_will_never_take_is_not_counted_as_published(tmp_path: Path) -> None:
    publisher = spilling("127.0.0.1:1", tmp_path)

    assert not publisher.publish(TOPIC, b"k", b"x" * (17 * 1024 * 1024), ())

    assert (publisher.lost, publisher.state) == (1, "flowing")
    publisher.close(0.1)
    assert kept(tmp_path) == []


@pytest.mark.stack
def test_why_a_kafka_that_is_reached_takes_nothing_is_told_until_it_does_and_no_message_is_lost(tmp_path: Path) -> None:
    node = KafkaProcess(tmp_path / "own node")
    kafka, process = kafka_at(node.bootstrap), Process("collector")
    watch = LinkWatch(process, "test", node.bootstrap, can_work=True)
    opening = opener(kafka, "test", watch, {"log_level": 0, "topic.metadata.propagation.max.ms": 1_000})
    publisher = SpillingPublisher("test", opening, kafka, Spill(tmp_path, 1 << 30), lambda _: None, watch.refused)

    def says(words: str) -> bool:
        asyncio.run(publisher.pump())
        return words in process.health()["away"].get("kafka", "")

    try:
        publisher.publish(TOPIC, b"k", b"0", ())
        wait_until(lambda: says(f"Kafka has no topic {TOPIC}; run `movers topics create`"), "the missing topic is told")
        create_topics(kafka, [topics.FEED_STATUS])
        asyncio.run(flowing_again(publisher))
        assert not says("Kafka")

        # What is older than a millisecond, as from a machine whose clock is hours behind.
        set_config(node.bootstrap, TOPIC, "message.timestamp.before.max.ms", "1")
        publisher.publish(TOPIC, b"k", b"1", ())
        wait_until(lambda: says(f"Kafka refuses the time of messages for {TOPIC}"), "the wrong clock is told")
        set_config(node.bootstrap, TOPIC, "message.timestamp.before.max.ms", str(2**63 - 1))
        asyncio.run(flowing_again(publisher))
        assert not says("Kafka")

        assert list(dict.fromkeys(read_all(kafka, 2))) == [0, 1]
    finally:
        publisher.close(1.0)
        node.stop()


@pytest.mark.stack
def test_what_is_in_flight_when_kafka_hangs_is_in_the_spill_at_the_close(tmp_path: Path) -> None:
    node = KafkaProcess(tmp_path / "own node")
    try:
        create_topics(kafka_at(node.bootstrap), [topics.FEED_STATUS])
        publisher = spilling(node.bootstrap, tmp_path / "spill")
        publisher.publish(TOPIC, b"k", b"first", ())
        asyncio.run(drain(publisher))
        node.process.send_signal(signal.SIGSTOP)
        for number in range(50):
            publisher.publish(TOPIC, b"k", b"%d" % number, ())
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            asyncio.run(publisher.pump())

        began_s = time.monotonic()
        publisher.close(1.0)

        assert time.monotonic() - began_s < 60, "Kafka would be waited for twice as long"
        assert kept(tmp_path / "spill") == [b"%d" % number for number in range(50)]
    finally:
        node.process.send_signal(signal.SIGCONT)
        node.stop()


@pytest.mark.stack
def test_what_was_in_flight_when_kafka_hangs_reaches_it_before_anything_newer(tmp_path: Path) -> None:
    node = KafkaProcess(tmp_path / "own node")
    kafka = kafka_at(node.bootstrap)
    opening = opener(kafka, "test", None, {"log_level": 0, "delivery.timeout.ms": 2_000, "batch.num.messages": 10})
    publisher = SpillingPublisher("test", opening, kafka, Spill(tmp_path / "spill", 1 << 30), lambda _: None)
    try:
        create_topics(kafka, [topics.FEED_STATUS])
        publisher.publish(TOPIC, b"k", b"0", ())
        asyncio.run(drain(publisher))
        node.process.send_signal(signal.SIGSTOP)
        published = 1
        while publisher.state == "flowing":  # five batches of ten are on their way, the rest waits behind them
            publisher.publish(TOPIC, b"k", b"%d" % published, ())
            published += 1
            asyncio.run(asyncio.sleep(0.02))

        publisher.publish(TOPIC, b"k", b"%d" % published, ())
        node.process.send_signal(signal.SIGCONT)
        asyncio.run(flowing_again(publisher))

        values = read_all(kafka, published + 1)
        assert list(dict.fromkeys(values)) == list(range(published + 1)), "each may come twice, none behind a newer one"
    finally:
        node.process.send_signal(signal.SIGCONT)
        publisher.close(1.0)
        node.stop()


def read_all(kafka: KafkaSettings, distinct: int) -> list[int]:
    """The numbers in the topic, as they stand there, once so many different ones have come."""
    values: list[int] = []
    with closing(consumer(kafka, "test", from_start=True)) as reading:
        reading.subscribe([TOPIC])

        def complete() -> bool:
            if (message := reading.poll(0.1)) is not None:
                values.append(int(message.value() or b""))
            return len(set(values)) == distinct

        wait_until(complete, "every message")
    return values


async def flowing_again(publisher: SpillingPublisher) -> None:
    while publisher.state != "flowing":
        await publisher.pump()
        await asyncio.sleep(0.01)


async def drain(publisher: SpillingPublisher) -> None:
    while publisher.pending:
        await publisher.pump()
        await asyncio.sleep(0.01)


def set_config(bootstrap: str, topic: str, name: str, value: str) -> None:
    """Sets one setting of a topic."""
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    changes = [ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])]
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for done in admin.incremental_alter_configs(changes).values():
        done.result(60)

"""What we rely on of a Kafka, asked of any."""

from __future__ import annotations

import time
from collections.abc import Iterator
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic, ResourceType

from kernel.kafka.publisher import PRODUCER_CONFIG
from kernel.settings import KafkaSettings
from tests.stack.waiting import wait_until

pytestmark = pytest.mark.stack

DAY_MS = 86_400_000
SESSION_S = 200


@pytest.fixture
def admin(kafka: KafkaSettings) -> AdminClient:
    return AdminClient({"bootstrap.servers": kafka.kafka_bootstrap_servers})


@pytest.fixture
def topic(admin: AdminClient) -> Iterator[str]:
    name = f"contract-{uuid4().hex}"
    config = {"cleanup.policy": "delete", "retention.ms": str(3 * DAY_MS), "max.message.bytes": str(16 << 20)}
    admin.create_topics([NewTopic(name, 2, 1, config=config)])[name].result(30)
    yield name
    admin.delete_topics([name])[name].result(30)


def publish(kafka: KafkaSettings, topic: str, *values: bytes, partition: int = 0) -> None:
    errors: list[object] = []
    config = {**PRODUCER_CONFIG, "bootstrap.servers": kafka.kafka_bootstrap_servers}
    producer = Producer(config)
    for value in values:
        producer.produce(
            topic, value, b"k", partition, headers=[("venue", b"kalshi")], on_delivery=lambda e, _: errors.append(e)
        )
    assert producer.flush(30) == 0
    assert errors == [None] * len(values)


def reader(kafka: KafkaSettings, group: str, **more: str | int) -> Consumer:
    config: dict[str, str | int | bool] = {
        "bootstrap.servers": kafka.kafka_bootstrap_servers,
        "group.id": group,
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        **more,
    }
    return Consumer(config)


def test_what_was_acknowledged_comes_back_in_order_with_key_and_headers(kafka: KafkaSettings, topic: str) -> None:
    sent = [b"%d" % number for number in range(500)]
    publish(kafka, topic, *sent)
    consumer = reader(kafka, uuid4().hex)
    consumer.assign([TopicPartition(topic, 0, 0)])
    got = []

    def all_there() -> bool:
        got.extend(consumer.consume(500, timeout=0.5))
        return len(got) >= len(sent)

    wait_until(all_there, "500 messages")
    consumer.close()

    assert [m.value() for m in got] == sent
    assert [m.offset() for m in got] == list(range(500))
    assert {(m.key(), tuple(m.headers() or ())) for m in got} == {(b"k", (("venue", b"kalshi"),))}


def test_a_topic_keeps_the_settings_it_was_made_with(admin: AdminClient, topic: str) -> None:
    resource = ConfigResource(ResourceType.TOPIC, topic)

    def kept() -> bool:
        try:
            config = admin.describe_configs([resource])[resource].result(30)
        except KafkaException as error:  # made, and not yet known to the one who is asked
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise
            return False
        return bool(
            config["retention.ms"].value == str(3 * DAY_MS)
            and config["cleanup.policy"].value == "delete"
            and config["max.message.bytes"].value == str(16 << 20)
        )

    wait_until(kept, "the settings are there")


def test_a_message_of_fifteen_mebibytes_is_taken(kafka: KafkaSettings, topic: str) -> None:
    publish(kafka, topic, b"x" * (15 << 20))

    consumer = reader(kafka, uuid4().hex)
    low, high = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=30)
    consumer.close()
    assert (low, high) == (0, 1)


def test_committed_offsets_are_remembered(kafka: KafkaSettings, topic: str) -> None:
    publish(kafka, topic, b"1", b"2", b"3")
    group = uuid4().hex
    first = reader(kafka, group)
    first.commit(offsets=[TopicPartition(topic, 0, 2)], asynchronous=False)
    first.close()

    second = reader(kafka, group)
    (place,) = second.committed([TopicPartition(topic, 0)], timeout=30)
    second.close()
    assert place.offset == 2


def test_an_offset_is_found_by_time(kafka: KafkaSettings, topic: str) -> None:
    publish(kafka, topic, b"before")
    between_ms = int(time.time() * 1000) + 1
    wait_until(lambda: time.time() * 1000 > between_ms, "a millisecond to pass")
    publish(kafka, topic, b"after")
    consumer = reader(kafka, uuid4().hex)

    (place,) = consumer.offsets_for_times([TopicPartition(topic, 0, between_ms)], timeout=30)

    consumer.close()
    assert place.offset == 1


def test_a_static_member_gets_its_partitions_back_before_its_session_ends(kafka: KafkaSettings, topic: str) -> None:
    publish(kafka, topic, b"1")
    group = uuid4().hex
    member: dict[str, str | int] = {"group.instance.id": "one", "session.timeout.ms": SESSION_S * 1000}
    first = reader(kafka, group, **member)
    first.subscribe([topic])
    wait_until(lambda: first.poll(0.2) is not None, "the first life reads")
    began_s = time.monotonic()

    second = reader(kafka, group, **member)
    second.subscribe([topic])
    wait_until(lambda: second.poll(0.2) is not None, "the second life reads")

    assert time.monotonic() - began_s < SESSION_S
    second.close()
    first.close()


def test_a_topic_made_anew_can_be_told_from_the_old_one(kafka: KafkaSettings, admin: AdminClient) -> None:
    name, ids = f"contract-{uuid4().hex}", []
    for _ in range(2):
        admin.create_topics([NewTopic(name, 1, 1)])[name].result(30)
        wait_until(lambda: name in admin.list_topics(timeout=10).topics, "listed")
        described = admin.describe_topics(TopicCollection([name]))[name].result(30)
        ids.append(str(described.topic_id))
        admin.delete_topics([name])[name].result(30)
        wait_until(lambda: name not in admin.list_topics(timeout=10).topics, "deleted")

    assert ids[0] != ids[1]


def test_partitions_can_be_added(kafka: KafkaSettings, admin: AdminClient, topic: str) -> None:
    publish(kafka, topic, b"1")

    admin.create_partitions([NewPartitions(topic, 3)])[topic].result(30)

    wait_until(lambda: len(admin.list_topics(topic, timeout=10).topics[topic].partitions) == 3, "three partitions")
    publish(kafka, topic, b"2", partition=2)


def test_a_compacted_topic_takes_a_tombstone(kafka: KafkaSettings, admin: AdminClient) -> None:
    name = f"contract-{uuid4().hex}"
    admin.create_topics([NewTopic(name, 1, 1, config={"cleanup.policy": "compact"})])[name].result(30)
    errors: list[object] = []
    producer = Producer({**PRODUCER_CONFIG, "bootstrap.servers": kafka.kafka_bootstrap_servers})

    producer.produce(name, None, b"k", on_delivery=lambda e, _: errors.append(e))

    assert producer.flush(30) == 0
    assert errors == [None]
    admin.delete_topics([name])[name].result(30)

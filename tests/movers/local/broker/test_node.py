"""The Kafka node: messages, transactions, groups, and a kill."""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from kernel.errors import UserError
from movers.local.broker.node import LocalKafka
from tests.stack.processes import JAR_CACHE, KafkaProcess
from tests.stack.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.stack


def create_topic(bootstrap: str, partitions: int = 1) -> str:
    topic = f"t-{uuid.uuid4().hex}"
    admin = AdminClient({"bootstrap.servers": bootstrap})  # must outlive the call
    admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result(60)
    return topic


def read_to_end(bootstrap: str, topic: str, **settings: object) -> list[bytes]:
    """All values of partition 0 up to its last stable offset."""
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": uuid.uuid4().hex, "enable.partition.eof": True, **settings}
    )
    consumer.assign([TopicPartition(topic, 0, 0)])
    values: list[bytes] = []
    deadline_s = time.monotonic() + PATIENCE_S
    try:
        while time.monotonic() < deadline_s:
            message: Message | None = consumer.poll(0.2)
            if message is None:
                continue
            error = message.error()
            if error is None:
                values.append(message.value() or b"")
            elif error.code() == KafkaError._PARTITION_EOF:
                return values
            elif not error.retriable():
                raise KafkaException(error)
    finally:
        consumer.close()
    pytest.fail(f"the end of the topic was not reached; {len(values)} messages read")


def test_messages_come_out_as_they_went_in(kafka_stack: KafkaProcess) -> None:
    topic = create_topic(kafka_stack.bootstrap)
    producer = Producer({"bootstrap.servers": kafka_stack.bootstrap, "compression.type": "zstd"})
    sent = [b"%d" % number for number in range(1000)]
    for value in sent:
        producer.produce(topic, value)

    assert producer.flush(60) == 0
    assert read_to_end(kafka_stack.bootstrap, topic) == sent


def test_a_message_of_15_mib_passes(kafka_stack: KafkaProcess) -> None:
    topic = create_topic(kafka_stack.bootstrap)
    producer = Producer({"bootstrap.servers": kafka_stack.bootstrap, "message.max.bytes": 16 << 20})
    producer.produce(topic, b"x" * (15 << 20))

    assert producer.flush(60) == 0
    assert [len(value) for value in read_to_end(kafka_stack.bootstrap, topic)] == [15 << 20]


def test_readers_see_committed_transactions_only(kafka_stack: KafkaProcess) -> None:
    topic = create_topic(kafka_stack.bootstrap)
    producer = Producer({"bootstrap.servers": kafka_stack.bootstrap, "transactional.id": topic})
    producer.init_transactions(60)
    for value, commit in ((b"1", True), (b"2", False), (b"3", True)):
        producer.begin_transaction()
        producer.produce(topic, value)
        producer.flush(60)
        if commit:
            producer.commit_transaction(60)
        else:
            producer.abort_transaction(60)

    committed = read_to_end(kafka_stack.bootstrap, topic, **{"isolation.level": "read_committed"})
    assert committed == [b"1", b"3"]


def test_unknown_topics_are_not_made_by_the_way(kafka_stack: KafkaProcess) -> None:
    producer = Producer({"bootstrap.servers": kafka_stack.bootstrap, "message.timeout.ms": 2000})
    failures: list[int] = []
    producer.produce("never-made", b"x", on_delivery=lambda error, _message: failures.append(error.code()))
    producer.flush(60)

    assert failures == [KafkaError._UNKNOWN_TOPIC] or failures == [KafkaError._MSG_TIMED_OUT]
    assert "never-made" not in AdminClient({"bootstrap.servers": kafka_stack.bootstrap}).list_topics(timeout=60).topics


def test_the_node_listens_on_the_loopback_address_only(kafka_stack: KafkaProcess) -> None:
    outward = socket.gethostbyname(socket.gethostname())
    if outward.startswith("127."):
        pytest.skip("this machine has no address but the loopback one")
    with socket.socket() as probe:
        probe.settimeout(2)
        assert probe.connect_ex((outward, kafka_stack.kafka.port)) != 0


def test_the_data_folder_is_small(kafka_stack: KafkaProcess) -> None:
    blocks = sum(f.stat().st_blocks for f in kafka_stack.kafka.data_dir.rglob("*") if f.is_file())

    assert blocks * 512 < 80 << 20


@pytest.fixture
def node(tmp_path: Path) -> Iterator[KafkaProcess]:
    """A node of its own, in a folder with a space, a non-ASCII letter and a backslash in its name."""
    node = KafkaProcess(tmp_path / "é \\ folder")
    yield node
    node.stop()


def test_a_killed_node_comes_back_with_every_acknowledged_message(node: KafkaProcess) -> None:
    topic = create_topic(node.bootstrap)
    acknowledged: list[bytes] = []

    def delivered(error: KafkaError | None, message: Message) -> None:
        if error is None:
            acknowledged.append(message.value() or b"")

    # Its complaints about the broker we kill would be noise.
    quiet = {"log_level": 0, "error_cb": lambda _error: None}
    producer = Producer({"bootstrap.servers": node.bootstrap, "enable.idempotence": True, "linger.ms": 1, **quiet})
    for number in range(20_000):
        producer.produce(topic, b"%d" % number, on_delivery=delivered)
        producer.poll(0)
    wait_until(lambda: producer.poll(0.01) >= 0 and len(acknowledged) > 2000, "2000 messages are acknowledged")
    node.kill()
    node.restart()
    assert producer.flush(60) == 0

    values = read_to_end(node.bootstrap, topic)
    assert values == [b"%d" % number for number in range(20_000)]
    assert len(acknowledged) == 20_000


def test_a_folder_in_use_is_one_clear_line(kafka_stack: KafkaProcess) -> None:
    other = LocalKafka(kafka_stack.kafka.data_dir, JAR_CACHE, 1, 2)

    with pytest.raises(UserError, match="is in use by another kafka"):
        other.prepare(lambda _message: None)


def test_an_orphan_on_the_folder_is_noticed(node: KafkaProcess) -> None:
    node.kafka.release()  # as if the process that started it had been killed

    with pytest.raises(UserError, match="is in use by another kafka; stop it first"):
        node.kafka.prepare(lambda _message: None)


def test_a_node_that_never_listens_is_a_timeout(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError, match="did not listen"):
        LocalKafka(tmp_path, JAR_CACHE, 1, 2).wait_ready(0.2)


def test_another_kafka_on_the_chosen_port_is_one_clear_line(kafka_stack: KafkaProcess, tmp_path: Path) -> None:
    """Two stacks that start in the same second may choose the same port; one of them gets it."""
    late = LocalKafka(tmp_path / "late", JAR_CACHE, kafka_stack.kafka.port, 2)
    late.prepare(lambda _message: None)

    with pytest.raises(UserError, match="another Kafka answers at"):
        late.wait_ready(60)
    late.release()


def test_kafka_errors_are_exceptions_of_the_client(kafka_stack: KafkaProcess) -> None:
    topic = create_topic(kafka_stack.bootstrap)
    admin = AdminClient({"bootstrap.servers": kafka_stack.bootstrap})

    with pytest.raises(KafkaException):
        admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(60)

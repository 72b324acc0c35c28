"""Whether a Kafka broker works, not just listens: a message goes through a transaction and a consumer group."""

from __future__ import annotations

import logging
import time
import uuid

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient, NewTopic

TOPIC = "_movers.health"
ATTEMPT_S = 6.0
"""A group that joined while the topic was still being made was once seen to wait a minute; a new one does not."""

_QUIET = {"error_cb": lambda _error: None, "socket.timeout.ms": 10000}
_SILENT = logging.getLogger("movers.local.broker.health.librdkafka")
_SILENT.addFilter(lambda _record: False)  # handlers and propagation are set anew when our logs are set up
"""A broker that comes up makes librdkafka complain; what matters is raised."""


def check_health(bootstrap: str, timeout_s: float) -> None:
    """Returns when a committed message came back through a group; tries again until then. Raises TimeoutError."""
    deadline_s = time.monotonic() + timeout_s
    last: Exception | str = "no answer"
    while time.monotonic() < deadline_s:
        try:
            _round_trip(bootstrap, min(deadline_s, time.monotonic() + ATTEMPT_S))
        except (KafkaException, TimeoutError) as error:
            # The first seconds answer "coordinator load in progress" and the like.
            last = error
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(f"kafka at {bootstrap} is not ready after {timeout_s:.0f} s: {last}")


def cluster_id(bootstrap: str, timeout_s: float = 2.0) -> str | None:
    """The id of the cluster that answers there; None while none does."""
    client = AdminClient({"bootstrap.servers": bootstrap, **_QUIET}, logger=_SILENT)
    try:
        return str(client.list_topics(timeout=timeout_s).cluster_id)
    except KafkaException:
        return None


def _round_trip(bootstrap: str, deadline_s: float) -> None:
    common = {"bootstrap.servers": bootstrap, **_QUIET}
    _create_topic(AdminClient(common, logger=_SILENT))
    consumer = Consumer(
        {
            **common,
            "group.id": "_movers.health",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 50,
            "session.timeout.ms": 6000,
        },
        logger=_SILENT,
    )
    try:
        # The group starts first: on a new node its coordinator takes the longest to come up.
        consumer.subscribe([TOPIC])
        consumer.poll(0)
        stamp = _commit_one(common, deadline_s)
        _await_message(consumer, stamp, deadline_s)
        consumer.commit(asynchronous=False)
    finally:
        consumer.close()


def _commit_one(common: dict[str, object], deadline_s: float) -> bytes:
    stamp = uuid.uuid4().bytes
    producer = Producer({**common, "transactional.id": "movers-health", "linger.ms": 0}, logger=_SILENT)
    producer.init_transactions(_left_s(deadline_s))
    producer.begin_transaction()
    producer.produce(TOPIC, stamp)
    producer.commit_transaction(_left_s(deadline_s))
    return stamp


def _create_topic(admin: AdminClient) -> None:
    # It stays: a topic made anew under the same name would not fit the offsets its group committed before a crash.
    small = {"retention.ms": "3600000", "segment.bytes": "1048576"}
    try:
        admin.create_topics([NewTopic(TOPIC, 1, 1, config=small)])[TOPIC].result(10)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise


def _await_message(consumer: Consumer, stamp: bytes, deadline_s: float) -> None:
    while time.monotonic() < deadline_s:
        message: Message | None = consumer.poll(0.2)
        if message is None or (message.error() and message.error().retriable()):
            continue
        if message.error():
            raise KafkaException(message.error())
        if message.value() == stamp:
            return
    raise TimeoutError("the group did not deliver the message of the transaction")


def _left_s(deadline_s: float) -> float:
    return max(0.5, min(10.0, deadline_s - time.monotonic()))

"""Kafka as we use it: client settings in one place, a publisher that loses nothing, topic creation, plain readers.

Facts: librdkafka's idempotence covers broker retries only; after `delivery.timeout.ms` a message is gone and only the
delivery report says so (confluent-kafka 2.12). Quix partitions by murmur2 while librdkafka's default is CRC32, so the
partitioner is set here for every producer of ours.
"""

from __future__ import annotations

import logging
import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ClusterMetadata,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    NewTopic,
    ResourceType,
)

from kernel.errors import KafkaAwayError, UserError
from kernel.logs import get_logger
from kernel.metrics import BACKLOG
from kernel.process import Process
from kernel.settings import KafkaSettings
from kernel.tls import certificate_trouble
from schemas.topics import CATALOGUE, Topic

log = get_logger(__name__)
_LIBRDKAFKA = logging.getLogger("librdkafka")
"""Where the C library's own lines go: into our logs, not raw onto stderr. Handed over when a client polls."""

Headers = Sequence[tuple[str, bytes]]
OnUndelivered = Callable[[Message, KafkaError, int], None]
"""Hears of a message, why it was not delivered, and its number in the order of publication."""
OnDelivered = Callable[[Message], None]
Place = tuple[str, int]
"""A topic and a partition of it."""

COMING_BACK: Mapping[str, Any] = {"reconnect.backoff.max.ms": 1_000}
"""By default librdkafka waits up to ten seconds before it tries a broker again, each connection for itself, so that one
back after a restart is met late; a second is what Kafka's Java clients wait."""

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

_NOT_KNOWN_YET_PAUSE_S = 0.1

_LOST_LINK = frozenset(
    {KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._RESOLVE, KafkaError._TIMED_OUT}
)
_NOT_LET_IN = frozenset({KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError.SASL_AUTHENTICATION_FAILED})
_LINK_LINE = re.compile(
    r"^(FAIL|ERROR|REQTMOUT|SESSTMOUT|FETCHERR|GETPID|COORD) \[|brokers are down|^Kafka (consumer|producer) error: "
)


def about_the_link(error: KafkaError) -> bool:
    """Whether an error says only that Kafka cannot be reached now: `LinkWatch` tells that, once."""
    return error.code() in _LOST_LINK or error.code() in _NOT_LET_IN


class LinkSilence(logging.Filter):
    """Keeps what client libraries say about lost connections, once a try and client, out of all but a debug log."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is to be shown."""
        return logging.getLogger().isEnabledFor(logging.DEBUG) or not _LINK_LINE.search(record.getMessage())


_LIBRDKAFKA.addFilter(LinkSilence())


def connection_config(kafka: KafkaSettings, client_id: str) -> dict[str, Any]:
    """How any Kafka client of ours gets in, Quix's included: address, protocol, login, certificates."""
    config: dict[str, Any] = {
        "bootstrap.servers": kafka.kafka_bootstrap_servers,
        "client.id": client_id,
        "security.protocol": kafka.kafka_security_protocol.lower(),
    }
    if kafka.kafka_security_protocol.startswith("SASL"):
        config |= {
            "sasl.mechanism": kafka.kafka_sasl_mechanism,
            "sasl.username": kafka.kafka_username,
            "sasl.password": kafka.kafka_password.get_secret_value(),
        }
    if kafka.kafka_security_protocol.endswith("SSL"):
        files = {
            "ssl.ca.location": kafka.kafka_ca_file,
            "ssl.certificate.location": kafka.kafka_certificate_file,
            "ssl.key.location": kafka.kafka_key_file,
        }
        config |= {name: str(path) for name, path in files.items() if path is not None}
        if kafka.kafka_key_file is not None and (password := kafka.kafka_key_password.get_secret_value()):
            config["ssl.key.password"] = password
    return config


def client_config(kafka: KafkaSettings, client_id: str, watch: LinkWatch | None = None) -> dict[str, Any]:
    """Settings that every client of ours begins with: how it gets in, and where its complaints go."""
    told = {"error_cb": lambda _error: None} if watch is None else watch.config()
    return {**connection_config(kafka, client_id), **COMING_BACK, **told, "logger": _LIBRDKAFKA}


class LinkWatch:
    """Tells a process whether a client of its reaches Kafka, from the client's own statistics.

    librdkafka's own errors do not do: it reports that all brokers are down once for each try, and never that one is
    back. Broker states are those of librdkafka's STATISTICS.md; a client without any broker `UP` for `PATIENCE`
    reports in a row (one a second) reaches none, and is back after `STEADY` reports with one: a broker that is starting
    takes a connection and drops it again. Statistics arrive when the client is polled.
    """

    INTERVAL_MS = 1000
    PATIENCE = 3
    STEADY = 2

    def __init__(self, process: Process, client_id: str, where: str, *, can_work: bool = False) -> None:
        self._process = process
        self._client_id = client_id
        self._where = where
        self._can_work = can_work
        self._without = 0
        self._with = 0
        self._refusal = ""

    def config(self) -> dict[str, Any]:
        """librdkafka settings that make a client report here."""
        return {"statistics.interval.ms": self.INTERVAL_MS, "stats_cb": self.statistics, "error_cb": self.error}

    def error(self, error: KafkaError) -> None:
        """An error of the client as a whole; kept to say why Kafka is away."""
        if error.code() in _NOT_LET_IN:
            self._refusal = f"Kafka at {self._where} does not let us in: {_reason(error)}"

    def statistics(self, report: str) -> None:
        """One report of the client."""
        told = orjson.loads(report)
        for topic in told.get("topics", {}).values():
            behind = [partition["consumer_lag"] for partition in topic["partitions"].values()]
            if any(lag >= 0 for lag in behind):  # -1 where it is not a consumer's, or not yet known
                BACKLOG.labels(self._client_id, topic["topic"]).set(sum(lag for lag in behind if lag > 0))
        states = [broker["state"] for broker in told["brokers"].values()]
        if "UP" in states:
            self._with += 1
            if self._without < self.PATIENCE or self._with >= self.STEADY:
                self._without, self._refusal = 0, ""
                self._process.back("kafka", noticed_by=self._client_id)
            return
        self._with = 0
        self._without += 1
        if self._without >= self.PATIENCE:
            detail = self._refusal or f"no broker of {self._where} answers"
            self._process.away("kafka", detail, noticed_by=self._client_id, can_work=self._can_work)


def existing_topics(kafka: KafkaSettings, timeout_s: float = 10.0) -> set[str]:
    """Names of all topics. The question that proves whether we get in.

    Raises:
        UserError: Kafka answers and does not let us in: a wrong password, an unknown CA, an expired certificate.
        KafkaAwayError: it does not answer.
    """
    return set(open_admin(kafka, timeout_s)[1].topics)


def require_topics(kafka: KafkaSettings, topics: Iterable[Topic], timeout_s: float = 10.0) -> None:
    """Proves that Kafka lets us in and that topics exist; for the start of a process.

    Raises:
        UserError: it does not, or one is missing.
        KafkaAwayError: it does not answer.
    """
    existing = existing_topics(kafka, timeout_s)
    missing = [topic.name for topic in topics if topic.name not in existing]
    if missing:
        raise UserError(f"Kafka has no topic {missing[0]}; run `movers topics create`")


def open_admin(kafka: KafkaSettings, timeout_s: float = 10.0) -> tuple[AdminClient, ClusterMetadata]:
    """An admin client that got in, and what it saw.

    Raises:
        UserError: Kafka answers and does not let us in: a wrong password, an unknown CA, an expired certificate.
        KafkaAwayError: it does not answer.
    """
    refusals: list[KafkaError] = []

    def complain(error: KafkaError) -> None:
        if error.code() in _NOT_LET_IN:
            refusals.append(error)

    where = kafka.kafka_bootstrap_servers
    try:
        admin = AdminClient({**client_config(kafka, "movers-admin"), "error_cb": complain})
    except KafkaException as error:  # a certificate or key that cannot be read
        raise UserError(f"Kafka's settings do not do: {_reason(error.args[0])}") from error
    deadline_s = time.monotonic() + timeout_s
    while True:
        try:
            return admin, admin.list_topics(timeout=min(1.0, timeout_s))
        except KafkaException as error:
            admin.poll(0)
            if refusals:
                raise UserError(f"Kafka at {where} does not let us in: {_refusal(kafka, refusals[0])}") from error
            if time.monotonic() > deadline_s:
                raise KafkaAwayError(f"Kafka at {where} does not answer: {error.args[0].str()}") from error


def _refusal(kafka: KafkaSettings, error: KafkaError) -> str:
    first = kafka.kafka_bootstrap_servers.split(",")[0].strip()
    if error.code() == KafkaError._SSL and (trouble := certificate_trouble(first, kafka.kafka_ca_file)):
        return f"its certificate is refused: {trouble}"
    return _reason(error)


def _reason(error: KafkaError) -> str:
    """The part of librdkafka's sentence that a person can act on, without threads, addresses and source lines."""
    text = " ".join(str(error.str()).split())
    text = re.sub(r"^\[thrd:[^\]]*\]: ", "", text)
    text = re.sub(r"^\S+/(bootstrap|\d+|\w+): ", "", text)
    return re.sub(r" ?\(after \d+ms in state \w+(, \d+ identical error\(s\) suppressed)?\)", "", text)


class Publisher:
    """Publishes bytes and accounts for each: delivered, or handed to `on_undelivered` with the reason.

    Args:
        kafka: where, and how we get in.
        client_id: shown in the broker's logs and metrics.
        on_undelivered: called from `poll`/`flush` for each message Kafka did not take within the delivery timeout, with
            its number in the order of publication: reports come out of order.
        watch: who is told whether Kafka is reached.
        overrides: librdkafka settings on top of `PRODUCER_CONFIG`.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        client_id: str,
        on_undelivered: OnUndelivered,
        *,
        watch: LinkWatch | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> None:
        self._producer = Producer({**PRODUCER_CONFIG, **client_config(kafka, client_id, watch), **(overrides or {})})
        self._on_undelivered = on_undelivered
        self._spans: deque[_Span] = deque([_Span(None)])
        self._published = 0

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
        span, number = self._spans[-1], self._published
        self._published += 1

        def report(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                message.set_headers(list(headers))  # a delivery report comes without them (confluent-kafka 2.12)
                self._on_undelivered(message, error, number)
            elif on_delivered is not None:
                on_delivered(message)
            span.open -= 1

        deadline_s = time.monotonic() + queue_timeout_s
        while True:
            try:
                self._producer.produce(topic, value, key, headers=list(headers), on_delivery=report)
            except BufferError as error:
                if time.monotonic() > deadline_s:
                    raise KafkaAwayError(f"Kafka takes no message since {queue_timeout_s:.0f} s") from error
                self._producer.poll(0.1)
            else:
                span.open += 1
                self._producer.poll(0)
                return

    def poll(self, timeout_s: float = 0.0) -> int:
        """Serves delivery reports; returns how many."""
        return int(self._producer.poll(timeout_s))

    def flush(self, timeout_s: float) -> int:
        """Waits until everything queued is reported or the time is over; returns how many are still open."""
        return int(self._producer.flush(timeout_s))

    def purge(self, patience_s: float) -> None:
        """Gives up what waits in the queue and what is on its way, and waits until each is reported as undelivered: for
        as long as reports come, and `patience_s` for the next one."""
        self._producer.purge()
        left, since_s = self.pending(), time.monotonic()
        while left and time.monotonic() - since_s < patience_s:
            if (now_left := self.flush(0.1)) != left:
                left, since_s = now_left, time.monotonic()

    def close(self) -> None:
        """Lets the client go, with what it still holds. Its threads must not outlive the interpreter: at the end of a
        process the C library is taken down under them, and the process dies of SIGSEGV with its work done."""
        del self._producer

    def pending(self) -> int:
        """Messages queued or in flight."""
        return len(self._producer)

    def settled(self, moment_us: int) -> Settled:
        """Notes that all published so far is as old as this moment or older. Returns the newest moment noted of which
        that is reported too, one way or the other. Costs memory for each moment noted and not settled."""
        self._spans.append(_Span(moment_us))
        while self._spans[0].open == 0 and len(self._spans) > 1:
            self._spans.popleft()
        return Settled(self._spans[0].since_us, len(self._spans) - 1)


class Settled(NamedTuple):
    """Until which moment all is reported; None where that is unknown; and how many moments noted later are not."""

    until_us: int | None
    open_moments: int


@dataclass(slots=True)
class _Span:
    """What was published between two moments noted."""

    since_us: int | None
    open: int = 0


def create_topics(kafka: KafkaSettings, topics: Sequence[Topic] = CATALOGUE, timeout_s: float = 30.0) -> list[str]:
    """Creates the topics that are missing; returns their names. One that exists gets what the catalogue sets and nobody
    has set on it: a limit that came with a later version, say. What somebody has set stays.

    Raises:
        UserError: Kafka does not let us in.
        KafkaAwayError: it does not answer, or refuses.
    """
    admin, seen = open_admin(kafka)
    partitions, replication = kafka.kafka_partitions, kafka.kafka_replication
    missing = [
        NewTopic(t.name, num_partitions=partitions, replication_factor=replication, config=dict(t.config))
        for t in topics
        if t.name not in seen.topics
    ]
    made: list[str] = []
    try:
        if missing:
            for name, future in admin.create_topics(missing, operation_timeout=timeout_s).items():
                if _is_made_by_us(future, timeout_s):
                    made.append(name)
        _complete(admin, [t for t in topics if t.name not in made and t.config], timeout_s)
    except KafkaException as error:
        raise KafkaAwayError(f"Kafka at {kafka.kafka_bootstrap_servers}: {error.args[0].str()}") from error
    return made


def _is_made_by_us(future: Future[None], timeout_s: float) -> bool:
    """Waits for a topic to be made. False when another process made it meanwhile: two may start at once, and a topic
    just made is not yet listed by all.

    Raises:
        KafkaException: Kafka refuses.
    """
    try:
        future.result(timeout_s)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
            return False
        raise
    return True


def _complete(admin: AdminClient, topics: Sequence[Topic], timeout_s: float) -> None:
    """Sets on topics that exist what their catalogue entry says and nobody has set.

    Raises:
        KafkaException: Kafka refuses.
    """
    if not topics:
        return
    asked = {ConfigResource(ResourceType.TOPIC, t.name): t for t in topics}
    changes = []
    for resource, entries_now in _settings_of(admin, list(asked), timeout_s).items():
        own = ConfigSource.DYNAMIC_TOPIC_CONFIG.value
        ours = {name for name, entry in entries_now.items() if entry.source == own}
        lacking = {name: value for name, value in asked[resource].config.items() if name not in ours}
        if lacking:
            log.info("topic_completed", topic=resource.name, **lacking)
            entries = [ConfigEntry(n, v, incremental_operation=AlterConfigOpType.SET) for n, v in lacking.items()]
            changes.append(ConfigResource(ResourceType.TOPIC, resource.name, incremental_configs=entries))
    if changes:
        for done in admin.incremental_alter_configs(changes, request_timeout=timeout_s).values():
            done.result(timeout_s)


def _settings_of(
    admin: AdminClient, topics: list[ConfigResource], timeout_s: float
) -> dict[ConfigResource, dict[str, ConfigEntry]]:
    """The settings of topics that exist. The broker that is asked may not know yet one that was just made.

    Raises:
        KafkaException: Kafka refuses.
    """
    deadline_s = time.monotonic() + timeout_s
    while True:
        asked = admin.describe_configs(topics, request_timeout=timeout_s)
        try:
            return {resource: future.result(timeout_s) for resource, future in asked.items()}
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART or time.monotonic() > deadline_s:
                raise
        time.sleep(_NOT_KNOWN_YET_PAUSE_S)


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
    """Yields every message that a topic has now, those of a partition in their order.

    Raises:
        KafkaAwayError: the end was not reached in time.
    """
    reader = consumer(kafka, f"read-to-end-{topic}", from_start=True)
    try:
        ends = _ends(reader, topic, timeout_s)
        open_ends = {p: (low, high) for p, (low, high) in ends.items() if high > low}
        reader.assign([TopicPartition(topic, partition, start) for partition, (start, _) in open_ends.items()])
        deadline_s = time.monotonic() + timeout_s
        while open_ends:
            if time.monotonic() > deadline_s:
                raise KafkaAwayError(f"{topic}: end not reached within {timeout_s:.0f} s")
            for message in reader.consume(1000, timeout=0.2):
                if message.error() is None:
                    yield message
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


def _ends(reader: Consumer, topic: str, timeout_s: float) -> dict[int, tuple[int, int]]:
    partitions = reader.list_topics(topic, timeout=timeout_s).topics[topic].partitions
    return {p: tuple(reader.get_watermark_offsets(TopicPartition(topic, p), timeout=timeout_s)) for p in partitions}

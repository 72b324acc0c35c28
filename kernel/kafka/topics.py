"""Topics as the catalogue declares them: which are there, made where missing, completed where older."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    NewTopic,
    ResourceType,
)

from kernel.errors import KafkaAwayError, UserError
from kernel.kafka.admin import open_admin
from kernel.logs import get_logger
from kernel.settings import KafkaSettings
from schemas.topics import CATALOGUE, Topic

log = get_logger(__name__)

_NOT_KNOWN_YET_PAUSE_S = 0.1


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

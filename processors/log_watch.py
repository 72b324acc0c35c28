"""Whether the log a processor reads is still the log it began to read: its partitions, and its identity.

Clients do not tell: a consumer group learns of new partitions minutes later, and a topic that was deleted and made anew
under its old name looks to it like the old one with other offsets. So the broker is asked, every few seconds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import NewPartitions

from kernel.errors import KafkaAwayError, UserError
from kernel.kafka.admin import open_admin
from kernel.logs import get_logger
from kernel.settings import KafkaSettings

log = get_logger(__name__)

EVERY_S = 2.0
_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Log:
    """A topic as it stands. `identity` is the broker's id of it, shortened; empty where the broker gives none."""

    topic: str
    partitions: int
    identity: str


def look(kafka: KafkaSettings, topic: str) -> Log:
    """The topic as it stands now.

    Raises:
        UserError: there is none.
        KafkaAwayError: the broker does not answer.
    """
    admin, seen = open_admin(kafka, _TIMEOUT_S)
    known = seen.topics.get(topic)
    if known is None or known.error is not None:
        raise UserError(f"topic {topic} is missing; run `movers topics create`")
    try:
        described = admin.describe_topics(TopicCollection([topic]), request_timeout=_TIMEOUT_S)[topic].result()
    except KafkaException as error:
        raise KafkaAwayError(f"Kafka at {kafka.kafka_bootstrap_servers}: {error.args[0].str()}") from error
    return Log(topic, len(known.partitions), _short(described.topic_id))


def grow(kafka: KafkaSettings, prefix: str, partitions: int) -> list[str]:
    """Gives the topics whose names begin so at least so many partitions; returns those that had fewer.

    Raises:
        KafkaAwayError: the broker does not answer or refuses.
    """
    admin, seen = open_admin(kafka, _TIMEOUT_S)
    small = [name for name, t in seen.topics.items() if name.startswith(prefix) and len(t.partitions) < partitions]
    try:
        if small:
            for future in admin.create_partitions([NewPartitions(name, partitions) for name in small]).values():
                future.result(_TIMEOUT_S)
    except KafkaException as error:
        raise KafkaAwayError(f"Kafka at {kafka.kafka_bootstrap_servers}: {error.args[0].str()}") from error
    return small


class LogWatch:
    """Calls back, once, when a log is not what it was. While it is entered, in a thread of its own."""

    def __init__(
        self, kafka: KafkaSettings, begun: Log, on_change: Callable[[Log], None], every_s: float = EVERY_S
    ) -> None:
        self._kafka = kafka
        self._begun = begun
        self._on_change = on_change
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="log-watch", daemon=True)

    def __enter__(self) -> LogWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(_TIMEOUT_S)

    def _watch(self) -> None:
        while not self._stop.wait(self._every_s):
            try:
                now = look(self._kafka, self._begun.topic)
            except (KafkaAwayError, UserError):
                continue  # being made anew, or away: the processor's own client tells that
            if now != self._begun:
                self._on_change(now)
                return


def _short(topic_id: object) -> str:
    """Eight hex digits of the id; nothing when the broker has none to give (all zero)."""
    bits = topic_id.get_most_significant_bits() & (1 << 64) - 1  # type: ignore[attr-defined]
    return f"{bits:016x}"[:8] if bits else ""

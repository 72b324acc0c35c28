"""What the sink cannot use goes to `dead.letters`; too much of it stops the process."""

from __future__ import annotations

import time
from collections.abc import Sequence

from confluent_kafka import KafkaError, Message

from kernel.errors import TooMuchBadInputError, TransientError
from kernel.kafka import Publisher
from kernel.logs import get_logger
from kernel.metrics import BAD_INPUT
from schemas.codec import Codec, SchemaStore
from schemas.events import DeadLetter
from schemas.topics import DEAD_LETTERS
from schemas.units import event_id
from sinks.clickhouse.batch import Rejected

log = get_logger(__name__)

STAGE = "store"
MAX_BAD_SHARE = 0.5
SHARE_MESSAGES = 1_000
"""The share is judged over so many messages: a handful of bad ones after a start proves nothing."""

_FLUSH_S = 30.0


class Rejects:
    """Publishes refused messages and keeps count of their share."""

    def __init__(self, bootstrap: str, schemas: SchemaStore) -> None:
        self._publisher = Publisher(bootstrap, "sink-clickhouse", self._on_undelivered)
        self._codec = Codec(DEAD_LETTERS, schemas, DeadLetter)
        self._undelivered = 0
        self._messages = 0
        self._bad = 0

    def publish(self, rejected: Sequence[Rejected]) -> None:
        """Returns when Kafka has all of them. Publishing one again is harmless: its id is that of its place.

        Raises:
            TransientError: Kafka did not take all; call again.
        """
        self._undelivered = 0
        for reject in rejected:
            letter = _letter(reject)
            headers = [("venue", letter.venue.encode())]
            key = f"{reject.topic}/{reject.partition}/{reject.offset}".encode()
            self._publisher.publish(DEAD_LETTERS.name, key, self._codec.encode(letter), headers)
        if self._publisher.flush(_FLUSH_S) or self._undelivered:
            raise TransientError("Kafka does not take dead letters")
        for reject in rejected:
            BAD_INPUT.labels(STAGE, reject.reason).inc()
        log.warning("messages_refused", count=len(rejected), first=rejected[0].detail, topic=rejected[0].topic)

    def check_share(self, messages: int, bad: int) -> None:
        """Counts a stored batch.

        Raises:
            TooMuchBadInputError: more than `MAX_BAD_SHARE` of the last messages, a thousand or more, were refused.
        """
        self._messages += messages
        self._bad += bad
        if self._messages < SHARE_MESSAGES:
            return
        if self._bad > MAX_BAD_SHARE * self._messages:
            raise TooMuchBadInputError(f"{self._bad} of the last {self._messages} messages could not be stored")
        self._messages = self._bad = 0

    def close(self) -> None:
        """Gives open messages a last chance."""
        self._publisher.flush(5.0)

    def _on_undelivered(self, _message: Message, error: KafkaError) -> None:
        self._undelivered += 1
        log.warning("dead_letter_undelivered", detail=error.str())


def _letter(reject: Rejected) -> DeadLetter:
    return DeadLetter(
        event_id=event_id("dead", STAGE, reject.topic, reject.partition, reject.offset),
        venue=reject.venue,
        stage=STAGE,
        reason=reject.reason,
        detail=reject.detail,
        channel=reject.topic,
        partition=reject.partition,
        offset=reject.offset,
        ts_received_us=time.time_ns() // 1_000,
        body=reject.body,
    )

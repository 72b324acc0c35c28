"""Where a processor puts messages that it cannot use, and when it has had enough of them."""

from __future__ import annotations

from collections import deque

from confluent_kafka import KafkaError, Message

from kernel.clock import Clock
from kernel.errors import BadMessageError, TooMuchBadInputError, TransientError
from kernel.kafka import Publisher
from kernel.logs import get_logger
from kernel.metrics import BAD_INPUT
from schemas.codec import Codec, SchemaStore
from schemas.events import DeadLetter
from schemas.topics import DEAD_LETTERS
from schemas.units import event_id

log = get_logger(__name__)

_FLUSH_S = 30.0
_MAX_DETAIL = 500


class BadInputLimit:
    """Share of bad messages among the last ones; above the limit the process must stop.

    Args:
        max_share: tolerated share, 0 to 1.
        window: how many of the last messages are looked at.
        at_least: how many must have come before the share means anything.
    """

    def __init__(self, max_share: float = 0.5, window: int = 1000, at_least: int = 100) -> None:
        self._max_share = max_share
        self._window = window
        self._at_least = at_least
        self._seen = 0
        self._bad: deque[int] = deque()

    def good(self) -> None:
        """One message was fine."""
        self._seen += 1

    def bad(self) -> None:
        """One message could not be used.

        Raises:
            TooMuchBadInputError: too many of the last ones could not.
        """
        self._seen += 1
        self._bad.append(self._seen)
        while self._bad[0] <= self._seen - self._window:
            self._bad.popleft()
        looked_at = min(self._seen, self._window)
        if looked_at >= self._at_least and len(self._bad) > self._max_share * looked_at:
            raise TooMuchBadInputError(f"{len(self._bad)} of the last {looked_at} messages could not be used")


class DeadLetterBox:
    """Writes to `dead.letters` with a producer of its own and waits until Kafka has the message.

    The key is topic/partition/offset, so that a message met again after a restart gives the same letter.
    """

    def __init__(self, bootstrap: str, store: SchemaStore, stage: str, clock: Clock) -> None:
        self._codec = Codec(DEAD_LETTERS, store, DeadLetter)
        self._publisher = Publisher(bootstrap, f"movers-{stage}-dead-letters", self._undelivered)
        self._stage = stage
        self._clock = clock
        self._failure: KafkaError | None = None

    def put(self, error: BadMessageError, topic: str, partition: int, offset: int, venue: str) -> None:
        """Files a message under its reason. Returns when Kafka has it.

        Raises:
            TransientError: Kafka does not take it; the message must not count as done.
        """
        BAD_INPUT.labels(self._stage, error.reason).inc()
        letter = DeadLetter(
            event_id=event_id("dead", self._stage, topic, partition, offset),
            venue=venue,
            stage=self._stage,
            reason=error.reason,
            detail=error.detail[:_MAX_DETAIL],
            channel=topic,
            partition=partition,
            offset=offset,
            ts_received_us=self._clock.now_us(),
            body=error.body,
        )
        key = f"{topic}/{partition}/{offset}".encode()
        self._publisher.publish(DEAD_LETTERS.name, key, self._codec.encode(letter), [("venue", venue.encode())])
        if self._publisher.flush(_FLUSH_S) or self._failure is not None:
            raise TransientError(f"Kafka does not take a dead letter of {topic}/{partition}/{offset}: {self._failure}")

    def _undelivered(self, message: Message, error: KafkaError) -> None:
        self._failure = error
        log.error("dead_letter_undelivered", key=message.key(), error=error.str())

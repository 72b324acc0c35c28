"""What cannot be used: one form of letter, one way onto `dead.letters`, one rule for too much of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException, Message

from kernel.clock import Clock
from kernel.errors import BadMessageError, KafkaAwayError, TooMuchBadInputError
from kernel.kafka.publisher import Publisher
from kernel.logs import get_logger
from kernel.metrics import BAD_INPUT
from kernel.settings import KafkaSettings
from schemas.codec import Codec, SchemaStore
from schemas.events import DeadLetter
from schemas.topics import DEAD_LETTERS
from schemas.units import event_id

log = get_logger(__name__)

MAX_BODY_BYTES = 256 * 1024
"""So much of a body is kept: Kafka's limit for a message is 16 MiB, and the whole stands where the letter says."""

MAX_DETAIL = 500
_FLUSH_S = 30.0


@dataclass(frozen=True, slots=True)
class Refused:
    """A message of a topic that cannot be used: where it stands, and why."""

    topic: str
    partition: int
    offset: int
    venue: str
    error: BadMessageError

    @property
    def place(self) -> str:
        """topic/partition/offset: its letter's key, the same when it is met again."""
        return f"{self.topic}/{self.partition}/{self.offset}"


def letter_for(stage: str, refused: Refused, now_us: int) -> DeadLetter:
    """The letter of a message; its id is that of its place, so that filing it twice does no harm."""
    return DeadLetter(
        event_id=event_id("dead", stage, refused.topic, refused.partition, refused.offset),
        venue=refused.venue,
        stage=stage,
        reason=refused.error.reason,
        detail=refused.error.detail[:MAX_DETAIL],
        channel=refused.topic,
        partition=refused.partition,
        offset=refused.offset,
        ts_received_us=now_us,
        body=refused.error.body[:MAX_BODY_BYTES],
    )


def letter_for_answer(stage: str, venue: str, channel: str, error: BadMessageError, now_us: int) -> DeadLetter:
    """The letter of something a venue sent; its id is that of its content, since it stands nowhere else."""
    body = error.body[:MAX_BODY_BYTES]
    return DeadLetter(
        event_id=event_id(venue, stage, error.reason, channel.split("?")[0], body.hex()),
        venue=venue,
        stage=stage,
        reason=error.reason,
        detail=error.detail[:MAX_DETAIL],
        channel=channel,
        ts_received_us=now_us,
        body=body,
    )


class DeadLetters:
    """Files messages of topics on `dead.letters` and waits until Kafka has them. One thread."""

    def __init__(self, kafka: KafkaSettings, store: SchemaStore, stage: str, clock: Clock) -> None:
        self._codec = Codec(DEAD_LETTERS, store, DeadLetter)
        self._kafka = kafka
        self._stage = stage
        self._publisher = self._open()
        self._clock = clock
        self._undelivered = 0

    def put(self, refused: Sequence[Refused]) -> None:
        """Files messages under their reasons. Returns when Kafka has all of them.

        Raises:
            TransientError: Kafka did not take all, or the registry does not answer: none counts as filed; call again.
        """
        if self._publisher.broken is not None:
            self._replace_client()
        self._undelivered = 0
        for each in refused:
            letter = letter_for(self._stage, each, self._clock.now_us())
            headers = [("venue", each.venue.encode())]
            try:
                self._publisher.publish(DEAD_LETTERS.name, each.place.encode(), self._codec.encode(letter), headers)
            except KafkaException as error:  # a client that is broken for good, and did not say so before
                self._replace_client()
                raise KafkaAwayError(f"Kafka does not take dead letters: {error.args[0].str()}") from error
        if self._publisher.flush(_FLUSH_S) or self._undelivered:
            raise KafkaAwayError("Kafka does not take dead letters")
        for each in refused:
            BAD_INPUT.labels(self._stage, each.error.reason).inc()
        if refused:
            first = refused[0]
            log.warning("messages_refused", count=len(refused), place=first.place, reason=str(first.error)[:MAX_DETAIL])

    def close(self) -> None:
        """Gives open letters a last chance."""
        self._publisher.flush(5.0)
        self._publisher.close()

    def _replace_client(self) -> None:
        self._publisher.close()
        self._publisher = self._open()

    def _open(self) -> Publisher:
        return Publisher(self._kafka, f"{self._stage}-dead-letters", self._on_undelivered)

    def _on_undelivered(self, message: Message, error: KafkaError, _: int) -> None:
        self._undelivered += 1
        log.warning("dead_letter_undelivered", key=message.key(), detail=error.str())


class BadInputLimit:
    """The share of unusable input; above the limit the process must stop, since going on would publish nonsense.

    Args:
        max_share: tolerated share, 0 to 1 (setting MAX_BAD_SHARE).
        window: how many of the last messages or rows are looked at, at the least.
        at_least: how many must have come before the share means anything.
    """

    def __init__(self, max_share: float, *, window: int = 1000, at_least: int = 100) -> None:
        self._max_share = max_share
        self._window = window
        self._at_least = at_least
        self._parts: deque[tuple[int, int]] = deque()
        self._seen = self._bad = 0

    def saw(self, messages: int, bad: int) -> None:
        """So many came together, of which so many could not be used.

        Raises:
            TooMuchBadInputError: too many of the last ones could not.
        """
        self._parts.append((messages, bad))
        self._seen += messages
        self._bad += bad
        while self._seen - self._parts[0][0] >= self._window:
            messages_before, bad_before = self._parts.popleft()
            self._seen -= messages_before
            self._bad -= bad_before
        if bad and self._seen >= self._at_least and self._bad > self._max_share * self._seen:
            raise TooMuchBadInputError(
                f"{self._bad} of the last {self._seen} could not be used; the reasons are in dead.letters"
            )

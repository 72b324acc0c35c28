"""Gets messages to Kafka, or to a file while Kafka takes nothing, in their order."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, Literal

from confluent_kafka import KafkaError, KafkaException, Message

from kernel import metrics
from kernel.errors import KafkaAwayError, TransientError, UserError
from kernel.kafka.link import LinkWatch, plain_reason
from kernel.kafka.publisher import Headers, OnDelivered, OnUndelivered, Publisher, Settled
from kernel.kafka.topics import existing_topics
from kernel.logs import get_logger
from kernel.settings import KafkaSettings
from producers.spill import Spill, Spilled

log = get_logger(__name__)

State = Literal["flowing", "stuck", "away", "replaying"]
"""flowing: to Kafka. stuck: Kafka has just refused, what is queued is still to be moved to the spill. away: everything
goes to the spill. replaying: the spill goes to Kafka, and everything new behind it."""

OpenPublisher = Callable[[OnUndelivered], Publisher]
OnRefusal = Callable[[str], None]
"""Hears why a Kafka that is reached does not take our messages, and what to do; nothing in it: it takes them again."""

_STAGE = "producer"
_PROBE_EVERY_S = 5.0
_REPLAY_CHUNK = 500
"""Messages at once; one alone after a replay that stopped, so that what Kafka takes does not come again at each try."""
_REPLAY_PATIENCE_S = 30.0
_PURGE_PATIENCE_S = 5.0
"""All that is given up is reported at once; on a busy machine the first report took more than a second."""
_NO_TOPIC = (KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION, KafkaError.UNKNOWN_TOPIC_OR_PART)
_NOT_THAT_TIME = (KafkaError.INVALID_TIMESTAMP, KafkaError.INVALID_RECORD)
"""A record is invalid without a key in a compacted topic, which ours have, and when its time is off by an hour."""
_REFUSED_FOR_GOOD = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG)
"""Because of what the message is. Whatever else Kafka says no to, people can mend: it waits in the spill."""


class SpillingPublisher:
    """A publisher that loses nothing while the process lives or ends in order.

    While Kafka takes nothing, messages go to the spill in their order, and from there to Kafka, before any newer one,
    once it answers again. Call `pump` often. Not thread-safe.

    Args:
        name: whose it is, for logs.
        open_publisher: makes Kafka's client; called again when librdkafka declares the one before broken for good.
        kafka: who is asked whether it is back.
        spill: where undelivered messages are kept.
        on_delivered: told of each delivery that has no callback of its own.
        on_refusal: told when Kafka is there and takes nothing.
    """

    def __init__(
        self,
        name: str,
        open_publisher: OpenPublisher,
        kafka: KafkaSettings,
        spill: Spill,
        on_delivered: OnDelivered,
        on_refusal: OnRefusal = lambda _: None,
    ) -> None:
        self._name = name
        self._open_publisher = open_publisher
        self._publisher = open_publisher(self._undelivered)
        self._kafka = kafka
        self._spill = spill
        self._on_delivered = on_delivered
        self._on_refusal = on_refusal
        self._given_back: list[tuple[int, Spilled]] = []
        self._not_replayed: list[int] = []
        self._replay_chunk_size = _REPLAY_CHUNK
        self._unusable: KafkaError | None = None
        self._probed_s = -_PROBE_EVERY_S
        self._full_told = False
        self.state: State = "away" if spill else "flowing"
        self.lost = 0
        """Messages that neither Kafka nor the spill would ever take."""

    @property
    def pending(self) -> int:
        """Messages on their way to Kafka."""
        return self._publisher.pending()

    def settled(self, moment_us: int) -> Settled:
        """Notes a moment, and says until which one all messages are in Kafka or in the spill."""
        if self.state == "stuck":
            self._give_up()
        return self._publisher.settled(moment_us)

    def publish(
        self, topic: str, key: bytes, value: bytes | None, headers: Headers, on_delivered: OnDelivered | None = None
    ) -> bool:
        """Whether the message is on its way or in the spill. Not so where it is too large, or the spill is full."""
        if self.state == "stuck":
            self._give_up()
        if self.state == "flowing":
            try:
                self._publisher.publish(
                    topic, key, value, headers, on_delivered=on_delivered or self._on_delivered, queue_timeout_s=1.0
                )
                return True
            except TransientError:
                self._give_up()
            except KafkaException as error:
                if self._is_lost(error.args[0], topic):
                    return False
                self._give_up()
        return self._append(Spilled(topic, key, value, tuple(headers)))

    async def pump(self) -> None:
        """Serves delivery reports; gives a stuck queue to the spill; replays the spill when Kafka is back."""
        self._publisher.poll(0)
        if self.state == "stuck" or self._given_back or (self._publisher.broken and self.state == "flowing"):
            self._give_up()
        if self.state == "away" and not self.pending and time.monotonic() - self._probed_s >= _PROBE_EVERY_S:
            self._probed_s = time.monotonic()
            if await asyncio.to_thread(self._kafka_answers):
                await self._replay()

    def close(self, timeout_s: float) -> None:
        """Waits for Kafka to take what is queued, then keeps the rest, also what is in flight, in the spill."""
        if self.state in ("flowing", "stuck"):
            self._publisher.flush(timeout_s)
        if self.pending or self._given_back:
            self._give_up()
        if self._spill:
            log.warning("spilled_at_close", name=self._name, bytes=self._spill.waiting_bytes)
        self._spill.close()
        self._publisher.close()

    # ── to the spill ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _undelivered(self, message: Message, error: KafkaError, number: int) -> None:
        if error.code() in _REFUSED_FOR_GOOD:
            self._lose(error, message.topic())
            return
        self._tells_why(error, message.topic())
        if self.state == "replaying":  # it is in the spill already
            self._not_replayed.append(number)
            return
        if self.state == "flowing":
            log.info("spill_begun", name=self._name, error=error.name())
            self.state = "stuck"
        headers = tuple((name, value) for name, value in message.headers() or ())
        given_back = Spilled(message.topic(), message.key() or b"", message.value(), headers)
        self._given_back.append((number, given_back))

    def _tells_why(self, error: KafkaError, topic: str) -> bool:
        """Whether Kafka says no to what we publish, which only people can mend."""
        if error.code() in _NO_TOPIC:
            self._on_refusal(f"Kafka has no topic {topic}; run `movers topics create`")
        elif error.code() in _NOT_THAT_TIME:
            self._on_refusal(f"Kafka refuses the time of messages for {topic}: are our clock and its own right?")
        elif error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            self._on_refusal(f"Kafka does not let us write to {topic}; give our user the right to WRITE")
        elif error.code() == KafkaError.CLUSTER_AUTHORIZATION_FAILED:
            self._on_refusal("Kafka lets us write nowhere; give our user the right to WRITE to our topics")
        elif error.code() > 0 and not error.fatal():  # the broker's own word; its client's are below 0
            self._on_refusal(f"Kafka refuses messages for {topic}: {plain_reason(error)}")
        else:
            return False
        return True

    def _is_lost(self, error: KafkaError, topic: str) -> bool:
        """Whether what the client refuses at once is lost. Else it is to wait, perhaps for another client."""
        if error.code() in _REFUSED_FOR_GOOD:
            self._lose(error, topic)
            return True
        if not self._tells_why(error, topic):
            self._unusable = error
        return False

    def _give_up(self) -> None:
        """Moves all that the client has to the spill, in the order of its publication. Also what is in flight: what
        Kafka has got of it comes twice then, rather than not at all, or behind what is newer."""
        self.state = "stuck"
        self._publisher.purge(_PURGE_PATIENCE_S)
        for _, message in sorted(self._given_back, key=itemgetter(0)):
            self._append(message)
        self._given_back.clear()
        self._replace_if_broken()
        self.state = "away"

    def _replace_if_broken(self) -> None:
        """Another client takes the place of one that will never publish again and holds nothing any more."""
        error = self._publisher.broken or self._unusable
        if error is None:
            return
        if not self._tells_why(error, ""):
            log.error("kafka_client_broken", name=self._name, error=error.name(), detail=error.str())
        self._publisher.close()
        self._publisher, self._unusable = self._open_publisher(self._undelivered), None

    def _append(self, message: Spilled) -> bool:
        if self._spill.append(message):
            return True
        self.lost += 1
        metrics.BAD_INPUT.labels(_STAGE, "spill_full").inc()
        if not self._full_told:
            self._full_told = True
            log.error("spill_full", name=self._name, bytes=self._spill.waiting_bytes, topic=message.topic)
        return False

    def _lose(self, error: KafkaError, topic: str) -> None:
        """Kafka will never take this message. The venue's data is not at fault, so it is an error of ours."""
        self.lost += 1
        metrics.BAD_INPUT.labels(_STAGE, "kafka_refused").inc()
        log.error("kafka_refused", name=self._name, topic=topic, error=error.name(), detail=error.str())

    # ── back to Kafka ────────────────────────────────────────────────────────────────────────────────────────────────

    def _kafka_answers(self) -> bool:
        try:
            existing_topics(self._kafka, timeout_s=2.0)
        except (KafkaAwayError, UserError):  # a changed password is mended as an absence is: by trying again
            return False
        return True

    async def _replay(self) -> None:
        """The spill to Kafka in order, chunk by chunk; stops at the first message that is not delivered."""
        self._replace_if_broken()
        replayed, began_s = 0, time.monotonic()
        while chunk := self._chunk():
            delivered = await self._replay_chunk([message for message, _ in chunk])
            if delivered:
                self._spill.mark(chunk[delivered - 1][1])
                replayed += delivered
            if delivered < len(chunk):
                self._replay_chunk_size = 1
                return
            self._replay_chunk_size = _REPLAY_CHUNK
        self._spill.finish()
        self.state, self._full_told = "flowing", False
        self._on_refusal("")
        duration_ms = round((time.monotonic() - began_s) * 1000)
        log.info("spill_replayed", name=self._name, messages=replayed, duration_ms=duration_ms)

    async def _replay_chunk(self, chunk: Sequence[Spilled]) -> int:
        """How many of the first are done with: Kafka has them, or will never take them."""
        self.state, self._not_replayed = "replaying", []
        first = self._publisher.published
        handed_over = sum(1 for _ in itertools.takewhile(self._publish_again, chunk))
        deadline = time.monotonic() + _REPLAY_PATIENCE_S
        while self._publisher.pending() and not self._not_replayed and time.monotonic() < deadline:
            self._publisher.poll(0.05)
            await asyncio.sleep(0)
        if self._publisher.pending():
            self._publisher.purge(_PURGE_PATIENCE_S)
        done = 0 if self._publisher.pending() else min([first + handed_over, *self._not_replayed]) - first
        self.state = "away"
        return done

    def _publish_again(self, message: Spilled) -> bool:
        """Whether it is on its way, or lost."""
        try:
            self._publisher.publish(
                message.topic, message.key, message.value, message.headers, on_delivered=self._on_delivered
            )
        except TransientError:
            return False
        except KafkaException as error:
            return self._is_lost(error.args[0], message.topic)
        return True

    def _chunk(self) -> list[tuple[Spilled, int]]:
        return list(itertools.islice(self._spill.waiting(), self._replay_chunk_size))


def opener(
    kafka: KafkaSettings, client_id: str, watch: LinkWatch | None, overrides: dict[str, Any] | None
) -> OpenPublisher:
    """How Kafka's client is made for a collector."""
    return lambda on_undelivered: Publisher(kafka, client_id, on_undelivered, watch=watch, overrides=overrides)

"""A publisher that loses nothing: each message is delivered, or handed back with the reason.

Facts: librdkafka's idempotence covers broker retries only; after `delivery.timeout.ms` a message is gone and only the
delivery report says so (confluent-kafka 2.12). Quix partitions by murmur2 while librdkafka's default is CRC32, so the
partitioner is set here for every producer of ours. A fatal error, after which a client publishes nothing more, comes as
an exception out of whatever call serves reports next, not through `error_cb`: here it is kept in `broken`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from kernel.errors import KafkaAwayError
from kernel.kafka.connection import client_config
from kernel.kafka.link import LinkWatch
from kernel.settings import KafkaSettings

Headers = Sequence[tuple[str, bytes]]
OnUndelivered = Callable[[Message, KafkaError, int], None]
"""Hears of a message, why it was not delivered, and its number in the order of publication."""
OnDelivered = Callable[[Message], None]

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
        self.published = 0
        """Messages so far; each one's number is what this was before it."""
        self.broken: KafkaError | None = None
        """Why this client will never publish again; None: it does."""

    def publish(
        self,
        topic: str,
        key: bytes,
        value: bytes | None,
        headers: Headers = (),
        *,
        on_delivered: OnDelivered | None = None,
        queue_timeout_s: float = 30.0,
    ) -> None:
        """Queues a message; without a value it tells a compacted topic to forget its key. When the queue is full, waits
        for room up to `queue_timeout_s`.

        Raises:
            KafkaAwayError: no room in time: the broker takes nothing.
            KafkaException: the client refuses the message at once, or is broken for good.
        """
        span, number = self._spans[-1], self.published
        self.published += 1

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
                self.poll(0.1)
            else:
                span.open += 1
                self.poll(0)
                return

    def poll(self, timeout_s: float = 0.0) -> int:
        """Serves delivery reports; returns how many."""
        try:
            return int(self._producer.poll(timeout_s))
        except KafkaException as error:
            self._note_broken(error)
            return 0

    def flush(self, timeout_s: float) -> int:
        """Waits until everything queued is reported or the time is over; returns how many are still open."""
        try:
            return int(self._producer.flush(timeout_s))
        except KafkaException as error:
            self._note_broken(error)
            return self.pending()

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

    def _note_broken(self, error: KafkaException) -> None:
        """Raises what is not fatal."""
        if not error.args[0].fatal():
            raise error
        self.broken = error.args[0]


class Settled(NamedTuple):
    """Until which moment all is reported; None where that is unknown; and how many moments noted later are not."""

    until_us: int | None
    open_moments: int


@dataclass(slots=True)
class _Span:
    """What was published between two moments noted."""

    since_us: int | None
    open: int = 0

"""What a collector publishes: on which topic, under which key, with which headers, and what is counted."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any

from confluent_kafka import Message

from kernel import metrics
from kernel.clock import Clock
from kernel.dead_letters import letter_for_answer
from kernel.errors import BadMessageError, KafkaAwayError
from kernel.kafka.link import LinkWatch
from kernel.kafka.publisher import Headers, Settled
from kernel.kafka.topics import require_topics
from kernel.settings import KafkaSettings
from producers.base import Received
from producers.publishing import SpillingPublisher, opener
from producers.shards import Shard
from producers.spill import Spill
from schemas import topics
from schemas.codec import Codec, SchemaStore
from schemas.events import DeadLetter, FeedStatus, Market, RawMessage, Tick
from schemas.topics import Topic
from schemas.units import US_PER_S, event_id

MAX_RAW_BYTES = 15 * 1024 * 1024
"""A larger answer is not kept whole: Kafka's limit for a message is 16 MiB."""

_STAGE = "producer"
_TOPICS = (topics.MARKETS, topics.TICKS, topics.FEED_STATUS, topics.DEAD_LETTERS)


class Outbox:
    """The messages of one collector, over a `SpillingPublisher`. Call `pump` often. Not thread-safe.

    Args:
        shard: whose messages; its venue goes into headers and dead letters.
        kafka: where, and how we get in.
        store: the schema registry.
        spill: where undelivered messages are kept.
        clock: for stamps.
        watch: who is told whether Kafka is reached.
        overrides: librdkafka settings, for tests.
    """

    def __init__(
        self,
        shard: Shard,
        kafka: KafkaSettings,
        store: SchemaStore,
        spill: Spill,
        clock: Clock,
        *,
        watch: LinkWatch | None = None,
        overrides: dict[str, Any] | None = None,
    ) -> None:
        self._venue = venue = shard.venue
        self._clock = clock
        self._kafka = kafka
        self._publisher = SpillingPublisher(
            shard.name,
            opener(kafka, f"producer-{shard.name}", watch, overrides),
            kafka,
            spill,
            self._delivered,
            *([] if watch is None else [watch.refused]),
        )
        self._raw_topic = topics.BY_NAME[topics.raw_topic(venue)]
        self._raw = Codec(self._raw_topic, store, RawMessage)
        self._markets = Codec(topics.MARKETS, store, Market)
        self._ticks = Codec(topics.TICKS, store, Tick)
        self._statuses = Codec(topics.FEED_STATUS, store, FeedStatus)
        self._dead = Codec(topics.DEAD_LETTERS, store, DeadLetter)
        self._headers: dict[str, Headers] = {}
        self._dead_seen: set[str] = set()
        self._lag = metrics.LAG.labels(_STAGE, venue)
        self._newest = metrics.NEWEST_EVENT.labels(_STAGE, venue)
        self._newest_us = 0
        self._ticks_delivered = 0
        self._counted = {t.name: metrics.MESSAGES.labels(_STAGE, t.name) for t in topics.CATALOGUE}
        self.ticks_published = 0
        self.dead_lettered = 0

    @property
    def kafka_away(self) -> bool:
        """Whether messages go to the spill."""
        return self._publisher.state != "flowing"

    @property
    def pending(self) -> int:
        """Messages on their way to Kafka."""
        return self._publisher.pending

    def settled(self, moment_us: int) -> Settled:
        """Notes a moment of the venue, and says until which one all messages would outlive this process."""
        return self._publisher.settled(moment_us)

    def warm_up(self) -> None:
        """Looks up the schema ids and the topics, so that what is missing shows at the start.

        Kafka itself may be away: then the messages are spilled.

        Raises:
            UserError: a schema is not registered, or a topic does not exist.
            TransientError: the registry does not answer.
        """
        with contextlib.suppress(KafkaAwayError):
            require_topics(self._kafka, (self._raw_topic, *_TOPICS), timeout_s=5.0)
        self._statuses.encode(_EMPTY_STATUS)
        self._ticks.encode(_EMPTY_TICK)
        self._dead.encode(_EMPTY_DEAD_LETTER)

    def received(self, received: Received) -> None:
        """A venue's answer or frame as received goes to the raw topic."""
        metrics.ANSWERS.labels(self._venue, received.status or received.kind).inc()
        if len(received.body) > MAX_RAW_BYTES:
            detail = f"{len(received.body)} bytes are more than Kafka takes; the rows in it are used all the same"
            self.refused(BadMessageError("raw_too_large", detail, received.body), received.channel)
            return
        raw = raw_message(self._venue, received)
        # Its own id as key: a listing has one path, and would fill one partition.
        self._send(self._raw_topic, raw.event_id.encode(), self._raw.encode(raw), "")

    def market(self, market: Market) -> None:
        """A market's metadata."""
        self._send(topics.MARKETS, market.market_id.encode(), self._markets.encode(market), market.category)

    def let_go(self, market_id: str, category: str) -> None:
        """Takes back what was told of a market: a message without a value, on which Kafka drops its key."""
        self._send(topics.MARKETS, market_id.encode(), None, category)

    def tick(self, tick: Tick, category: str) -> None:
        """A quote. `category` is empty while the market's metadata is not known."""
        delivered = partial(self._tick_delivered, tick.ts_received_us, tick.ts_event_us)
        sent = self._send(topics.TICKS, tick.market_id.encode(), self._ticks.encode(tick), category, delivered)
        self.ticks_published += sent

    def status(self, status: FeedStatus) -> None:
        """State of the feed."""
        _count_status(status)
        key = f"{status.venue}/{status.shard}".encode()
        self._send(topics.FEED_STATUS, key, self._statuses.encode(status), "")

    def refused(self, error: BadMessageError, channel: str) -> None:
        """Something unusable: counted each time, sent to the dead letters once for the same bytes in a run."""
        metrics.BAD_INPUT.labels(_STAGE, error.reason).inc()
        letter = letter_for_answer(_STAGE, self._venue, channel, error, self._clock.now_us())
        if letter.event_id in self._dead_seen:
            return
        if len(self._dead_seen) >= 100_000:
            self._dead_seen.clear()
        self._dead_seen.add(letter.event_id)
        self.dead_lettered += 1
        self._send(topics.DEAD_LETTERS, channel.encode(), self._dead.encode(letter), "")

    # ── how it gets to Kafka ─────────────────────────────────────────────────────────────────────────────────────────

    async def pump(self) -> None:
        """Serves delivery reports, and looks after what Kafka does not take."""
        await self._publisher.pump()
        self._count_ticks()

    def close(self, timeout_s: float) -> None:
        """Waits for Kafka to take what is queued, then keeps the rest in the spill."""
        self._publisher.close(timeout_s)
        self._count_ticks()

    def _send(
        self,
        topic: Topic,
        key: bytes,
        value: bytes | None,
        category: str,
        delivered: Callable[[Message], None] | None = None,
    ) -> bool:
        headers = self._headers.get(category)
        if headers is None:
            named = [("venue", self._venue.encode())]
            headers = self._headers[category] = [*named, ("category", category.encode())] if category else named
        return self._publisher.publish(topic.name, key, value, headers, delivered)

    def _delivered(self, message: Message) -> None:
        self._counted[message.topic()].inc()

    def _tick_delivered(self, ts_received_us: int, ts_event_us: int, _: Message) -> None:
        self._ticks_delivered += 1
        self._lag.observe(max(0, self._clock.now_us() - ts_received_us) / US_PER_S)
        if ts_event_us > self._newest_us:
            self._newest_us = ts_event_us

    def _count_ticks(self) -> None:
        """Hands on what was counted: a metric for each tick costs as much as its Avro."""
        if self._ticks_delivered:
            self._counted[topics.TICKS.name].inc(self._ticks_delivered)
            self._ticks_delivered = 0
            self._newest.set(self._newest_us / US_PER_S)


def raw_message(venue: str, received: Received) -> RawMessage:
    """An answer or frame as kept on the raw topic."""
    return RawMessage(
        event_id=event_id(venue, received.connection_id, received.sequence),
        venue=venue,
        kind=received.kind,
        channel=received.channel,
        connection_id=received.connection_id,
        sequence=received.sequence,
        errand=received.errand.word,
        promise_s=received.errand.promise_s,
        ts_event_us=received.ts_venue_us,
        age_s=received.age_s,
        ts_asked_us=received.ts_asked_us,
        ts_received_us=received.ts_received_us,
        http_status=received.status,
        content_type=received.content_type,
        body=received.body,
    )


def _count_status(status: FeedStatus) -> None:
    labels = (status.venue, status.shard)
    if status.state == "gap_opened":
        metrics.FEED_IN_GAP.labels(*labels).set(1)
    elif status.state == "gap_closed":
        metrics.FEED_IN_GAP.labels(*labels).set(0)
        metrics.FEED_GAP.labels(*labels).inc(max(0, status.ts_event_us - (status.gap_started_us or 0)) / US_PER_S)
    else:
        metrics.FEED_UP.labels(*labels).set(status.state != "disconnected")
        metrics.FEED_IN_GAP.labels(*labels)  # there from the start, so that a rule can ask for it


_EMPTY_STATUS = FeedStatus(
    event_id="", venue="", shard="", state="connected", ts_event_us=0, ts_received_us=0, detail="",
    markets_tracked=0, markets_stale=0, ticks_published=0, bad_messages=0,
)  # fmt: skip
_EMPTY_TICK = Tick(
    event_id="", venue="", market_id="", token_id="", ts_event_us=0, ts_received_us=0,
    ts_event_basis="received", source="sweep", price_basis="none", market_status="open", heartbeat_s=0, flags=(),
)  # fmt: skip
_EMPTY_DEAD_LETTER = DeadLetter(
    event_id="", venue="", stage="", reason="", detail="", channel="", ts_received_us=0, body=b""
)

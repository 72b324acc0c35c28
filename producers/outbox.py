"""Puts a collector's messages on their topics: keys, headers, counters, and the spill while Kafka is away."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import uuid4

from confluent_kafka import KafkaError, KafkaException, Message
from confluent_kafka.admin import AdminClient

from kernel import metrics
from kernel.clock import Clock
from kernel.dead_letters import letter_for_answer
from kernel.errors import BadMessageError, TransientError, UserError
from kernel.kafka import Headers, Publisher
from kernel.logs import get_logger
from producers.base import Answer
from producers.spill import Spill, Spilled
from schemas import topics
from schemas.codec import Codec, SchemaStore
from schemas.events import DeadLetter, FeedStatus, Market, RawMessage, Tick
from schemas.topics import Topic
from schemas.units import US_PER_S, event_id

log = get_logger(__name__)

MAX_RAW_BYTES = 15 * 1024 * 1024
"""A larger answer is not kept whole: Kafka's limit for a message is 16 MiB."""

_STAGE = "producer"
_PROBE_EVERY_S = 5.0
_TOPICS = tuple(t.name for t in (topics.MARKETS, topics.TICKS, topics.FEED_STATUS, topics.DEAD_LETTERS))
_REPLAY_CHUNK = 500
_REPLAY_PATIENCE_S = 30.0
_REFUSED_FOR_GOOD = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG, KafkaError.TOPIC_AUTHORIZATION_FAILED)


class Outbox:
    """Publishes what one collector has. Nothing is lost while the process lives or ends in order.

    While Kafka takes nothing, messages go to the spill in their order, and from there to Kafka, before any newer one,
    once it answers again. Call `pump` often. Not thread-safe.

    Args:
        venue: goes into headers and dead letters.
        bootstrap: Kafka's addresses.
        store: the schema registry.
        spill: where undelivered messages are kept.
        clock: for stamps.
        overrides: librdkafka settings, for tests.
    """

    def __init__(
        self,
        venue: str,
        bootstrap: str,
        store: SchemaStore,
        spill: Spill,
        clock: Clock,
        overrides: dict[str, Any] | None = None,
    ) -> None:
        self._venue = venue
        self._spill = spill
        self._clock = clock
        self._publisher = Publisher(bootstrap, f"producer-{venue}", self._undelivered, overrides)
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})  # that Kafka is away is told once
        self._raw_topic = topics.BY_NAME[topics.raw_topic(venue)]
        self._raw = Codec(self._raw_topic, store, RawMessage)
        self._markets = Codec(topics.MARKETS, store, Market)
        self._ticks = Codec(topics.TICKS, store, Tick)
        self._statuses = Codec(topics.FEED_STATUS, store, FeedStatus)
        self._dead = Codec(topics.DEAD_LETTERS, store, DeadLetter)
        self._headers: dict[str, Headers] = {}
        self._connection_id = uuid4().hex
        self._sequence = 0
        self._dead_seen: set[str] = set()
        self._away = bool(spill)
        self._give_up = False
        self._replay_failed: bool | None = None
        self._probed_s = -_PROBE_EVERY_S
        self._lag = metrics.LAG.labels(_STAGE, venue)
        self._newest = metrics.NEWEST_EVENT.labels(_STAGE, venue)
        self._newest_us = 0
        self._counted = {t.name: metrics.MESSAGES.labels(_STAGE, t.name) for t in topics.CATALOGUE}
        self.ticks_published = 0
        self.dead_lettered = 0

    @property
    def kafka_away(self) -> bool:
        """Whether messages go to the spill."""
        return self._away

    @property
    def pending(self) -> int:
        """Messages on their way to Kafka."""
        return self._publisher.pending()

    def warm_up(self) -> None:
        """Looks up the schema ids and the topics, so that what is missing shows at the start.

        Kafka itself may be away: then the messages are spilled.

        Raises:
            UserError: a schema is not registered, or a topic does not exist.
            TransientError: the registry does not answer.
        """
        with contextlib.suppress(KafkaException):
            existing = self._admin.list_topics(timeout=5.0).topics
            if missing := [topic for topic in (self._raw_topic.name, *_TOPICS) if topic not in existing]:
                raise UserError(f"Kafka has no topic {missing[0]}; run `movers topics create`")
        self._statuses.encode(_EMPTY_STATUS)
        self._ticks.encode(_EMPTY_TICK)
        self._dead.encode(_EMPTY_DEAD_LETTER)

    # ── what is published ────────────────────────────────────────────────────────────────────────────────────────────

    def answered(self, answer: Answer) -> None:
        """A venue's answer as received goes to the raw topic."""
        sequence, self._sequence = self._sequence, self._sequence + 1
        if len(answer.body) > MAX_RAW_BYTES:
            detail = f"{len(answer.body)} bytes are more than Kafka takes; the rows in it are used all the same"
            self.refused(BadMessageError("raw_too_large", detail, answer.body), answer.channel)
            return
        raw = RawMessage(
            event_id=event_id(self._venue, self._connection_id, sequence),
            venue=self._venue,
            kind="rest",
            channel=answer.channel,
            connection_id=self._connection_id,
            sequence=sequence,
            ts_event_us=answer.ts_event_us,
            ts_received_us=answer.ts_received_us,
            http_status=answer.status,
            content_type=answer.content_type,
            body=answer.body,
        )
        self._send(self._raw_topic, answer.path.encode(), self._raw.encode(raw), "")

    def market(self, market: Market) -> None:
        """A market's metadata."""
        self._send(topics.MARKETS, market.market_id.encode(), self._markets.encode(market), market.category)

    def tick(self, tick: Tick, category: str) -> None:
        """A quote. `category` is empty while the market's metadata is not known."""
        delivered = partial(self._tick_delivered, tick.ts_received_us, tick.ts_event_us)
        self._send(topics.TICKS, tick.market_id.encode(), self._ticks.encode(tick), category, delivered)
        self.ticks_published += 1

    def status(self, status: FeedStatus) -> None:
        """State of the feed."""
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
        """Serves delivery reports; gives a stuck queue to the spill; replays the spill when Kafka is back."""
        self._publisher.poll(0)
        if self._give_up:
            self._empty_queue(in_flight=False)
        if self._away and time.monotonic() - self._probed_s >= _PROBE_EVERY_S:
            self._probed_s = time.monotonic()
            if await asyncio.to_thread(self._kafka_answers):
                await self._replay()

    def close(self, timeout_s: float) -> None:
        """Waits for Kafka to take what is queued, then keeps the rest in the spill."""
        if not self._away and self._publisher.flush(timeout_s):
            self._give_up = True
        if self._give_up:
            self._empty_queue(in_flight=True)
        if self._spill:
            log.warning("spilled_at_close", venue=self._venue, bytes=self._spill.waiting_bytes)
        self._spill.close()

    def _send(
        self, topic: Topic, key: bytes, value: bytes, category: str, delivered: Callable[[Message], None] | None = None
    ) -> None:
        headers = self._headers.get(category)
        if headers is None:
            named = [("venue", self._venue.encode())]
            headers = self._headers[category] = [*named, ("category", category.encode())] if category else named
        if self._give_up:
            self._empty_queue(in_flight=False)  # what waits there is older, so it goes to the spill first
        if not self._away:
            try:
                self._publisher.publish(
                    topic.name, key, value, headers, on_delivered=delivered or self._delivered, queue_timeout_s=1.0
                )
                return
            except TransientError:
                self._empty_queue(in_flight=False)
            except KafkaException as error:
                self._count_lost(error.args[0], topic.name)
                return
        self._spill.append(Spilled(topic.name, key, value, tuple(headers)))

    def _delivered(self, message: Message) -> None:
        self._counted[message.topic()].inc()

    def _tick_delivered(self, ts_received_us: int, ts_event_us: int, _: Message) -> None:
        self._counted[topics.TICKS.name].inc()
        self._lag.observe(max(0, self._clock.now_us() - ts_received_us) / US_PER_S)
        if ts_event_us > self._newest_us:
            self._newest_us = ts_event_us
            self._newest.set(ts_event_us / US_PER_S)

    def _undelivered(self, message: Message, error: KafkaError) -> None:
        if error.code() in _REFUSED_FOR_GOOD:
            self._count_lost(error, message.topic())
            return
        if self._replay_failed is not None:  # it is in the spill already
            self._replay_failed = True
            return
        if not self._away:
            log.error("kafka_away", venue=self._venue, error=error.name(), spill_to="SPILL_DIR")
        self._away = self._give_up = True
        headers = tuple((name, value) for name, value in message.headers() or ())
        self._spill.append(Spilled(message.topic(), message.key() or b"", message.value() or b"", headers))

    def _count_lost(self, error: KafkaError, topic: str) -> None:
        """Kafka will never take this message. The venue's data is not at fault, so it is an error of ours."""
        metrics.BAD_INPUT.labels(_STAGE, "kafka_refused").inc()
        log.error("kafka_refused", venue=self._venue, topic=topic, error=error.name(), detail=error.str())

    def _empty_queue(self, *, in_flight: bool) -> None:
        self._give_up = False
        self._away = True
        self._publisher.purge(in_flight=in_flight)
        self._publisher.flush(1.0)
        self._give_up = False

    def _kafka_answers(self) -> bool:
        try:
            self._admin.list_topics(timeout=2.0)
        except KafkaException:
            return False
        return True

    async def _replay(self) -> None:
        """The spill to Kafka in order, chunk by chunk; stops at the first chunk that is not delivered whole."""
        while self._publisher.pending():  # left-overs in flight from before; they end in the spill or in Kafka
            self._publisher.poll(0.1)
            await asyncio.sleep(0)
        replayed, began_s = 0, time.monotonic()
        while chunk := self._chunk():
            if not await self._replay_chunk(chunk):
                return
            self._spill.mark(chunk[-1][1])
            replayed += len(chunk)
        self._spill.finish()
        self._away = self._give_up = False
        duration_ms = round((time.monotonic() - began_s) * 1000)
        log.info("spill_replayed", venue=self._venue, messages=replayed, duration_ms=duration_ms)

    async def _replay_chunk(self, chunk: list[tuple[Spilled, int]]) -> bool:
        """Whether all of it was delivered."""
        self._replay_failed = False
        deadline = time.monotonic() + _REPLAY_PATIENCE_S
        try:
            for message, _ in chunk:
                self._publisher.publish(
                    message.topic, message.key, message.value, message.headers, on_delivered=self._delivered
                )
            while self._publisher.pending() and not self._replay_failed and time.monotonic() < deadline:
                self._publisher.poll(0.05)
                await asyncio.sleep(0)
            if self._publisher.pending() or self._replay_failed:
                self._publisher.purge()
                self._publisher.flush(1.0)
                return False
            return True
        except TransientError:
            return False
        finally:
            self._replay_failed = None

    def _chunk(self) -> list[tuple[Spilled, int]]:
        chunk: list[tuple[Spilled, int]] = []
        for item in self._spill.waiting():
            chunk.append(item)
            if len(chunk) >= _REPLAY_CHUNK:
                break
        return chunk


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

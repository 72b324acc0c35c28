"""The sink: Kafka to ClickHouse, in batches, each event stored once.

One turn of the loop: take what Kafka has (up to `BATCH_MESSAGES`, at most `BATCH_WAIT_S`), decode it, record the
offsets as pending, ask Kafka whether the partitions are still ours, insert table by table, record the offsets in the
store's fence, commit them to Kafka. Nothing is kept between turns, so a crash at any point means: carry out what is
pending (`takeover.py`), read on after the fence. Ticks that were published twice are recognised by `SeenTicks`.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from kernel.clock import SystemClock
from kernel.dead_letters import BadInputLimit, DeadLetters
from kernel.errors import KafkaAwayError, PermanentError, TransientError
from kernel.kafka.link import LinkWatch, about_the_link
from kernel.kafka.readers import Place, consumer
from kernel.kafka.topics import require_topics
from kernel.logs import get_logger
from kernel.metrics import LAG, MESSAGES, NEWEST_EVENT
from kernel.process import Process, Stopped, living
from kernel.reader_watch import ReaderWatch
from kernel.schema_registry import SchemaRegistry
from kernel.settings import Settings
from schemas.events import Tick
from schemas.topics import ALERTS, BARS, FEED_STATUS, MARKETS, MOVES, TICKS
from schemas.units import US_PER_S
from sinks.clickhouse.batch import Batch, Reader
from sinks.clickhouse.grading import Grading
from sinks.clickhouse.insert import insert_batch
from sinks.clickhouse.log_ends import TopicFacts, Topics
from sinks.clickhouse.pending import Pending
from sinks.clickhouse.ranking import Ranking
from sinks.clickhouse.room import Room
from sinks.clickhouse.seen import SeenTicks
from sinks.clickhouse.store import Store
from sinks.clickhouse.takeover import Takeover

log = get_logger(__name__)

GROUP = "clickhouse-sink"
TOPICS = (MARKETS, TICKS, MOVES, BARS, ALERTS, FEED_STATUS)

BATCH_MESSAGES = 10_000
BATCH_WAIT_S = 0.3
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0

_CONSUMER_CONFIG: dict[str, Any] = {
    # A static member: a sink that was killed and started again on its machine gets its partitions back at once, instead
    # of waiting for the session of the dead one to end. A second one on the same machine fences the first.
    "group.instance.id": f"{GROUP}-{socket.gethostname()}",
    "session.timeout.ms": 10_000,
    "heartbeat.interval.ms": 2_000,
    # We say where to read, always. An offset that Kafka does not have is an error here, never a jump to elsewhere.
    "auto.offset.reset": "error",
    # A leader learns of new partitions from its metadata, by default after five minutes.
    "topic.metadata.refresh.interval.ms": 5_000,
    # A batch is gathered for longer than this. To answer each message at once cost the broker a seventh of its work (33
    # and 28 % of a core at 2,000 ticks a second).
    "fetch.min.bytes": 1 << 20,
    "fetch.wait.max.ms": 100,
    # What librdkafka fetches ahead while a batch is being stored.
    "queued.max.messages.kbytes": 32_768,
    "queued.min.messages": 20_000,
}

# The group has put this member out for good: another one has its name. `error.fatal()` is False for the first two.
_PUT_OUT = frozenset({KafkaError._FATAL, KafkaError._FENCED, KafkaError.FENCED_INSTANCE_ID})
# The group has gone on without this member, or is just sharing the partitions out anew.
_LEFT_BEHIND = frozenset(
    {
        *(KafkaError.ILLEGAL_GENERATION, KafkaError.UNKNOWN_MEMBER_ID, KafkaError.REBALANCE_IN_PROGRESS),
        *(KafkaError._ASSIGNMENT_LOST, KafkaError.STALE_MEMBER_EPOCH),
    }
)
# The position is none that Kafka has: it deleted what was there, or lost its newest data.
_OFF_THE_LOG = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError._LOG_TRUNCATION, KafkaError.OFFSET_OUT_OF_RANGE})

T = TypeVar("T")


class _Reassigned(Exception):
    """The partitions changed while a batch waited: it may belong to another sink now, so it is dropped."""


def run(settings: Settings) -> None:
    """Stores until SIGTERM or SIGINT; returns after the batch at hand is stored and its offsets are committed.

    Raises:
        UserError: the tables are missing, a password is wrong, a topic was made anew, the metrics port is taken.
        TooMuchBadInputError: most messages cannot be used.
    """
    with living("sink-clickhouse", settings.process) as process:
        Sink(settings, process).run()


class Sink:
    """The loop and what it holds. One thread."""

    def __init__(self, settings: Settings, process: Process) -> None:
        self._kafka = settings.kafka
        self._process = process
        self._store = Store(settings.clickhouse)
        self._registry = SchemaRegistry.of(settings.kafka)
        self._dead_letters = DeadLetters(self._kafka, self._registry, "store", SystemClock())
        self._limit = BadInputLimit(settings.process.max_bad_share)
        self._reader = Reader(self._registry, TOPICS)
        self._ranking = Ranking(self._store, settings.rules)
        self._grading = Grading(self._store)
        self._seen = SeenTicks()
        self._room = Room(self._store)
        process.add_facts(self._room.facts)
        self._topics = Topics(self._kafka, [t.name for t in TOPICS])
        self._reader_watch = ReaderWatch(self._kafka, "store")
        self._takeover = Takeover(self._store, self._reader, self._dead_letters, self._kafka)
        self._consumer = self._new_consumer()
        self._names = [t.name for t in TOPICS]
        self._assigned: list[Place] = []
        self._epochs: dict[Place, str] = {}
        self._positions: dict[Place, int] = {}
        self._known: dict[str, TopicFacts] = {}
        self._pending = Pending("", 0)
        self._reassigned = False
        self._waiting = False

    def _new_consumer(self) -> Consumer:
        watch = LinkWatch(self._process, GROUP, self._kafka.kafka_bootstrap_servers)
        return consumer(self._kafka, GROUP, from_start=True, watch=watch, overrides=_CONSUMER_CONFIG)

    def run(self) -> None:
        """Turns the loop until stopped."""
        self._process.until(lambda: require_topics(self._kafka, TOPICS))
        self._subscribe()
        log.info("sink_started", topics=self._names)
        try:
            while not self._process.stopping.is_set():
                try:
                    self._turn()
                except _Reassigned:
                    log.info("batch_dropped", reason="partitions changed")
        except Stopped:
            log.info("batch_dropped", reason="stopping while waiting")
        finally:
            self._close()

    def _turn(self) -> None:
        messages = self._consumer.consume(BATCH_MESSAGES, timeout=BATCH_WAIT_S)
        self._notice(self._topics.news())
        if self._reader_watch.finds_it_stuck(self._positions):
            self._read_with_another_client()
        if self._reassigned:
            # Whatever came in this call may belong to positions that no longer hold; it is read again.
            self._refuse_put_out(messages)
            self._until_done(self._take_positions)
            return
        if not self._reader_watch.finds_it_outside(kafka_away=self._process.misses("kafka")):
            self._process.beat()
        self._room.look()
        batch = self._until_done(lambda: self._reader.read(self._expected(messages)))
        if batch.offsets:
            self._store_batch(batch)

    def _expected(self, messages: list[Message]) -> list[Message]:
        self._refuse_put_out(messages)
        good = []
        for message in messages:
            error = message.error()
            if error is None:
                position = self._positions.get((message.topic(), message.partition()))
                if position is not None and message.offset() >= position:
                    good.append(message)
                continue
            if not about_the_link(error):
                log.warning("kafka_error", code=error.name(), detail=error.str())
            if error.code() in _OFF_THE_LOG:
                self._reassigned = True
        return good

    @staticmethod
    def _refuse_put_out(messages: list[Message]) -> None:
        for message in messages:
            error = message.error()
            if error is not None and (error.fatal() or error.code() in _PUT_OUT):
                raise PermanentError(f"Kafka put this sink out: {error.str()}")

    def _store_batch(self, batch: Batch) -> None:
        started_s = time.monotonic()
        if batch.rejected:
            self._until_done(lambda: self._dead_letters.put(batch.rejected))
        # Only the question is repeated: `new_ones` itself must see each batch once.
        fresh = self._seen.new_ones(batch.ticks, lambda late: self._until_done(lambda: self._store.stored_ticks(late)))
        skipped = frozenset(place for place, is_fresh in zip(batch.tick_places, fresh, strict=True) if not is_fresh)
        self._pending = replace(
            self._pending, number=self._pending.number + 1, spans=batch.spans(self._epochs), skipped=skipped
        )
        self._until_done(lambda: self._store.record(self._pending))
        # Only now, and after the record: a successor that has the partitions by then finds it.
        self._until_done(self._confirm_membership)
        insert_batch(self._store, batch, self._pending, self._until_done)
        self._measure_lag(tick for tick, is_fresh in zip(batch.ticks, fresh, strict=True) if is_fresh)
        self._turn_minute(batch)
        self._until_done(lambda: self._store.store_fences(batch.offsets, self._epochs, batch.leader_epochs))
        self._commit(batch)
        log.debug(
            "batch_stored",
            messages=batch.messages,
            ticks=len(batch.ticks),
            known_ticks=len(skipped),
            rejected=len(batch.rejected),
            duration_ms=round((time.monotonic() - started_s) * 1000),
        )
        self._limit.saw(batch.messages, len(batch.rejected))

    def _confirm_membership(self) -> None:
        """Asks Kafka, by a commit of where we stand, whether the partitions are still ours.

        Raises:
            KafkaAwayError: no answer.
            PermanentError: another member has our name.
            _Reassigned: the group went on without us.
        """
        places = [TopicPartition(*place, offset) for place, offset in self._positions.items()]
        try:
            self._consumer.commit(offsets=places, asynchronous=False)
        except KafkaException as error:
            code = error.args[0].code()
            if code in _PUT_OUT:
                raise PermanentError(f"Kafka put this sink out: {error.args[0].str()}") from error
            if code in _LEFT_BEHIND:
                self._reassigned = True
                raise _Reassigned from error
            raise KafkaAwayError(f"Kafka does not take a position: {error.args[0].str()}") from error

    def _measure_lag(self, ticks: Iterable[Tick]) -> None:
        now_us = time.time_ns() // 1_000
        by_venue: dict[str, list[Tick]] = {}
        for tick in ticks:
            by_venue.setdefault(tick.venue, []).append(tick)
        for venue, its_ticks in by_venue.items():
            LAG.labels("store", venue).observe_all([(now_us - tick.ts_received_us) / US_PER_S for tick in its_ticks])
            NEWEST_EVENT.labels("store", venue).set(max(tick.ts_event_us for tick in its_ticks) / US_PER_S)

    def _turn_minute(self, batch: Batch) -> None:
        if batch.moves:
            newest_us = max(move.ts_event_us for move in batch.moves)
            self._until_done(lambda: self._ranking.advance(newest_us))
            self._until_done(lambda: self._grading.advance(newest_us))

    def _commit(self, batch: Batch) -> None:
        for (topic, partition), offset in batch.offsets.items():
            self._positions[topic, partition] = offset + 1
        for topic, count in batch.counts.items():
            MESSAGES.labels("store", topic).inc(count)
        # Kafka's copy of the position is for lag displays only; the store's decides. So its loss is not an error.
        done = [TopicPartition(topic, partition, offset + 1) for (topic, partition), offset in batch.offsets.items()]
        try:
            self._consumer.commit(offsets=done, asynchronous=not self._process.stopping.is_set())
        except KafkaException as error:
            log.warning("commit_failed", detail=str(error))

    def _subscribe(self) -> None:
        self._consumer.subscribe(self._names, on_assign=self._on_assign, on_revoke=self._on_revoke)

    def _on_assign(self, reader: Consumer, partitions: list[TopicPartition]) -> None:
        # Only noted: the positions come from the store, and waiting for it inside this callback would block Kafka.
        reader.assign([])
        self._reader_watch.joined()
        self._assigned = [(p.topic, p.partition) for p in partitions]
        self._positions = {}
        self._reassigned = True

    def _on_revoke(self, reader: Consumer, _partitions: list[TopicPartition]) -> None:
        reader.unassign()
        self._assigned = []
        self._positions = {}
        self._reassigned = True

    def _notice(self, topics: Mapping[str, TopicFacts]) -> None:
        """A topic made anew, or with more partitions: neither does the client take up by itself, or not always."""
        before, self._known = self._known, {**self._known, **topics}
        changed = {name: now for name, now in topics.items() if name in before and now != before[name]}
        made_anew = [name for name, now in changed.items() if now.topic_id != before[name].topic_id]
        for name, now in changed.items():
            event = "topic_made_anew" if name in made_anew else "partitions_added"
            log.warning(event, topic=name, partitions=now.partitions, before=before[name].partitions)
        if made_anew:
            # A client that has read the old topic may never read the new one (librdkafka 2.12.1).
            self._read_with_another_client()
        elif changed:
            self._share_out_anew()

    def _read_with_another_client(self) -> None:
        self._consumer.close()
        self._consumer = self._new_consumer()
        self._assigned, self._positions, self._reassigned = [], {}, True
        self._subscribe()

    def _share_out_anew(self) -> None:
        """Makes the group share its partitions out again: a member that asks for something else has it do so.

        A static member that comes back gets the assignment of before, and nobody of the group looks whether there are
        more partitions by now. The order of the names is what the broker sees as something else.
        """
        self._names = [*self._names[1:], self._names[0]]
        self._subscribe()

    def _take_positions(self) -> None:
        if not self._assigned:
            self._reassigned = False
            return
        is_first = not self._known
        self._notice(self._topics.look())
        if not self._assigned:
            raise _Reassigned
        existing = {(name, number) for name, facts in self._known.items() for number in range(facts.partitions)}
        if not existing.issuperset(self._assigned) or (is_first and existing != set(self._assigned)):
            # An assignment from before there were as many, or fewer. Where other sinks have the rest it costs a moment.
            log.info("sharing_out_anew", assigned=len(self._assigned), existing=len(existing))
            self._share_out_anew()
            raise _Reassigned
        positions = self._takeover.positions(self._consumer, self._assigned, self._known)
        self._positions, self._epochs = positions.offsets, positions.epochs
        self._confirm_membership()
        self._pending = self._takeover.finish_pending(positions)
        self._seen.restart(self._store.newest_ticks())
        self._reassigned = False
        places = [TopicPartition(*place, offset) for place, offset in positions.offsets.items()]
        self._consumer.assign(places)
        self._consumer.resume(places)  # a partition that was paused when it was taken away comes back paused
        log.info("positions_taken", partitions=len(positions.offsets))

    def _until_done(self, step: Callable[[], T]) -> T:
        """Repeats a step while what it needs is away. Kafka is polled meanwhile, paused: memory stays bounded."""
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                result = step()
            except TransientError as error:
                self._waiting = True
                self._process.away(error.need, str(error), noticed_by="sink")
                self._wait(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            else:
                if self._waiting:
                    self._process.back(noticed_by="sink")
                    self._waiting = False
                    self._consumer.resume(self._consumer.assignment())
                return result

    def _wait(self, pause_s: float) -> None:
        was_reassigned = self._reassigned
        assigned = self._consumer.assignment()
        if assigned:
            self._consumer.pause(assigned)
        deadline_s = time.monotonic() + pause_s
        while (left_s := deadline_s - time.monotonic()) > 0:
            if self._process.stopping.is_set():
                raise Stopped
            message = self._consumer.poll(min(left_s, 0.2))
            if message is not None and message.error() is None:
                # Fetched before the pause took hold: go back to it.
                self._consumer.seek(TopicPartition(message.topic(), message.partition(), message.offset()))
            self._process.beat()
        if self._reassigned and not was_reassigned:
            raise _Reassigned

    def _close(self) -> None:
        self._consumer.close()
        self._reader_watch.close()
        self._topics.close()
        self._dead_letters.close()
        self._registry.close()
        self._store.close()
        log.info("sink_stopped")

"""The sink: Kafka to ClickHouse, in batches, each event stored once.

One turn of the loop: take what Kafka has (up to `BATCH_MESSAGES`, at most `BATCH_WAIT_S`), decode it, insert it table
by table, record the offsets in the store's fence, commit them to Kafka. Nothing is kept between turns, so a crash at
any point means: read on after the fence. What was inserted after the last fence comes again and is recognised, ticks by
`SeenTicks`, all else by the tables' own replacing keys.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from kernel.clock import SystemClock
from kernel.dead_letters import BadInputLimit, DeadLetters
from kernel.errors import PermanentError, TransientError
from kernel.kafka import LinkWatch, consumer
from kernel.logs import get_logger
from kernel.metrics import LAG, MESSAGES, NEWEST_EVENT, ROWS
from kernel.process import Process, Stopped, living
from kernel.schema_registry import SchemaRegistry
from kernel.settings import Settings
from schemas.events import Tick
from schemas.topics import ALERTS, BARS, FEED_STATUS, MARKETS, MOVES, TICKS
from schemas.units import US_PER_S
from sinks.clickhouse import rows as to
from sinks.clickhouse.batch import Batch, Reader
from sinks.clickhouse.fence import starting_offsets, topic_epochs
from sinks.clickhouse.ranking import Ranking
from sinks.clickhouse.seen import SeenTicks
from sinks.clickhouse.store import Store

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
    # What librdkafka fetches ahead while a batch is being stored.
    "queued.max.messages.kbytes": 32_768,
    "queued.min.messages": 20_000,
}

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
        self._bootstrap = settings.kafka.kafka_bootstrap_servers
        self._process = process
        self._store = Store(settings.clickhouse)
        self._registry = SchemaRegistry(settings.kafka.schema_registry_url)
        self._dead_letters = DeadLetters(self._bootstrap, self._registry, "store", SystemClock())
        self._limit = BadInputLimit(settings.process.max_bad_share)
        self._reader = Reader(self._registry, TOPICS)
        self._ranking = Ranking(self._store, settings.rules)
        self._seen = SeenTicks()
        watch = LinkWatch(process, GROUP, self._bootstrap)
        self._consumer: Consumer = consumer(
            self._bootstrap, GROUP, from_start=True, overrides={**_CONSUMER_CONFIG, **watch.config()}
        )
        self._epochs: dict[str, str] = {}
        self._positions: dict[tuple[str, int], int] = {}
        self._reassigned = False
        self._waiting = False

    def run(self) -> None:
        """Turns the loop until stopped."""
        self._consumer.subscribe([t.name for t in TOPICS], on_assign=self._on_assign, on_revoke=self._on_revoke)
        log.info("sink_started", topics=[t.name for t in TOPICS])
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
        if self._reassigned:
            # Whatever came in this call may belong to positions that no longer hold; it is read again.
            self._until_done(self._take_positions)
            return
        self._process.beat()
        batch = self._until_done(lambda: self._reader.read(self._expected(messages)))
        if batch.offsets:
            self._store_batch(batch)

    def _expected(self, messages: list[Message]) -> list[Message]:
        good = []
        for message in messages:
            error = message.error()
            if error is None:
                position = self._positions.get((message.topic(), message.partition()))
                if position is not None and message.offset() >= position:
                    good.append(message)
            elif error.fatal():
                raise PermanentError(f"Kafka put this sink out: {error.str()}")
            else:
                log.warning("kafka_error", code=error.name(), detail=error.str())
        return good

    def _store_batch(self, batch: Batch) -> None:
        started_s = time.monotonic()
        if batch.rejected:
            self._until_done(lambda: self._dead_letters.put(batch.rejected))
        # Only the question is repeated: `new_ones` itself must see each batch once.
        fresh = self._seen.new_ones(batch.ticks, lambda late: self._until_done(lambda: self._store.stored_ticks(late)))
        self._insert(to.MARKETS, [to.market_row(m) for m in batch.markets], batch)
        self._insert(to.MARKET_TOKENS, [row for m in batch.markets for row in to.market_token_rows(m)], batch)
        ticks = zip(batch.ticks, batch.tick_places, fresh, strict=True)
        self._insert(to.SNAPSHOTS, [to.tick_row(tick, *place) for tick, place, is_fresh in ticks if is_fresh], batch)
        self._measure_lag(tick for tick, is_fresh in zip(batch.ticks, fresh, strict=True) if is_fresh)
        self._insert(to.OHLCV_1M, [to.bar_row(bar) for bar in batch.bars], batch)
        self._insert(to.MOVERS_LATEST, to.newest_move_rows(batch.moves), batch)
        self._insert(to.ALERTS, [to.alert_row(alert) for alert in batch.alerts], batch)
        self._insert(to.FEED_STATUS, [to.feed_status_row(status) for status in batch.statuses], batch)
        self._turn_minute(batch)
        self._until_done(lambda: self._store.store_fences(batch.offsets, self._epochs))
        self._commit(batch)
        log.debug(
            "batch_stored",
            messages=batch.messages,
            ticks=len(batch.ticks),
            known_ticks=fresh.count(False),
            rejected=len(batch.rejected),
            duration_ms=round((time.monotonic() - started_s) * 1000),
        )
        self._limit.saw(batch.messages, len(batch.rejected))

    def _insert(self, table: to.Table, rows: list[to.Row], batch: Batch) -> None:
        if rows:
            token = f"{table.name}:{len(rows)}:{batch.token(self._epochs)}"
            self._until_done(lambda: self._store.insert(table, rows, token))
            ROWS.labels(table.name).inc(len(rows))

    def _measure_lag(self, ticks: Iterable[Tick]) -> None:
        now_us = time.time_ns() // 1_000
        by_venue: dict[str, list[Tick]] = {}
        for tick in ticks:
            by_venue.setdefault(tick.venue, []).append(tick)
        for venue, its_ticks in by_venue.items():
            lag = LAG.labels("store", venue)
            for tick in its_ticks:
                lag.observe((now_us - tick.ts_received_us) / US_PER_S)
            NEWEST_EVENT.labels("store", venue).set(max(tick.ts_event_us for tick in its_ticks) / US_PER_S)

    def _turn_minute(self, batch: Batch) -> None:
        if batch.moves:
            newest_us = max(move.ts_event_us for move in batch.moves)
            self._until_done(lambda: self._ranking.advance(newest_us))

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

    def _on_assign(self, reader: Consumer, partitions: list[TopicPartition]) -> None:
        # Only noted here: the positions come from the store, and waiting for it inside this callback would block Kafka.
        reader.assign(partitions)
        if partitions:
            reader.pause(partitions)
        self._reassigned = True

    def _on_revoke(self, _reader: Consumer, _partitions: list[TopicPartition]) -> None:
        self._positions = {}
        self._reassigned = True

    def _take_positions(self) -> None:
        partitions = self._consumer.assignment()
        if not partitions:
            self._reassigned = False
            return
        self._epochs = topic_epochs(self._bootstrap, [t.name for t in TOPICS])
        fences = self._store.fences(self._epochs)
        positions = starting_offsets(self._consumer, partitions, fences)
        self._seen.restart(self._store.newest_ticks())
        self._reassigned = False
        self._positions = positions
        places = [TopicPartition(topic, partition, offset) for (topic, partition), offset in positions.items()]
        self._consumer.assign(places)
        self._consumer.resume(places)
        log.info("positions_taken", partitions=len(places), fenced=sum(1 for key in positions if key in fences))

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
        self._dead_letters.close()
        self._registry.close()
        self._store.close()
        log.info("sink_stopped")

"""The sink: Kafka to ClickHouse, in batches, each event stored once.

One turn of the loop: take what Kafka has (up to `BATCH_MESSAGES`, at most `BATCH_WAIT_S`), decode it, record the
offsets as pending, ask Kafka whether the partitions are still ours, insert table by table, record the offsets in the
store's fence, commit them to Kafka. Nothing is kept between turns, so a crash at any point means: carry out what is
pending (`takeover.py`), read on after the fence. Ticks that were published twice are recognised by `SeenTicks`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar

from kernel.clock import SystemClock
from kernel.dead_letters import BadInputLimit, DeadLetters
from kernel.errors import TransientError
from kernel.kafka.topics import require_topics
from kernel.logs import get_logger
from kernel.metrics import LAG, MESSAGES, NEWEST_EVENT
from kernel.process import Process, Stopped, living
from kernel.schema_registry import SchemaRegistry
from kernel.settings import Settings
from schemas.events import Tick
from schemas.topics import ALERTS, BARS, FEED_STATUS, MARKETS, MOVES, TICKS
from schemas.units import US_PER_S
from sinks.clickhouse.arrivals import Arrivals
from sinks.clickhouse.batch import Batch, Reader
from sinks.clickhouse.corroboration import Corroboration
from sinks.clickhouse.grading import Grading
from sinks.clickhouse.insert import insert_batch
from sinks.clickhouse.membership import Membership, Reassigned
from sinks.clickhouse.pending import Pending
from sinks.clickhouse.ranking import Ranking
from sinks.clickhouse.room import Room
from sinks.clickhouse.seen import SeenTicks
from sinks.clickhouse.store import Store
from sinks.clickhouse.takeover import Takeover

log = get_logger(__name__)

TOPICS = (MARKETS, TICKS, MOVES, BARS, ALERTS, FEED_STATUS)

BATCH_MESSAGES = 10_000
BATCH_WAIT_S = 0.3
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0

T = TypeVar("T")


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
        self._corroboration = Corroboration(self._store)
        self._seen = SeenTicks()
        self._room = Room(self._store)
        process.add_facts(self._room.facts)
        takeover = Takeover(self._store, self._reader, self._dead_letters, self._kafka)
        self._membership = Membership(self._kafka, process, [t.name for t in TOPICS], takeover)
        self._arrivals = Arrivals(self._store, self._membership)
        self._pending = Pending("", 0)
        self._waiting = False

    def run(self) -> None:
        """Turns the loop until stopped."""
        self._process.until(lambda: require_topics(self._kafka, TOPICS))
        self._membership.subscribe()
        log.info("sink_started", topics=[t.name for t in TOPICS])
        try:
            while not self._process.stopping.is_set():
                try:
                    self._turn()
                except Reassigned:
                    log.info("batch_dropped", reason="partitions changed")
        except Stopped:
            log.info("batch_dropped", reason="stopping while waiting")
        finally:
            self._close()

    def _turn(self) -> None:
        messages = self._membership.read(BATCH_MESSAGES, BATCH_WAIT_S)
        if self._membership.reassigned:
            # Whatever came in this call is read again.
            self._until_done(lambda: self._membership.take_positions(self._begin_anew))
            return
        if not self._membership.is_outside():
            self._process.beat()
        self._room.look()
        batch = self._until_done(lambda: self._reader.read(self._membership.expected(messages)))
        if batch.offsets:
            self._store_batch(batch)
        self._judge(batch)

    def _begin_anew(self, claim: Pending) -> None:
        """Other partitions are ours from now on: what a batch is told by is what the store has of them.

        Raises:
            StoreAwayError: no answer.
        """
        self._pending = claim
        self._seen.restart(self._store.newest_ticks())

    def _store_batch(self, batch: Batch) -> None:
        started_s = time.monotonic()
        if batch.rejected:
            self._until_done(lambda: self._dead_letters.put(batch.rejected))
        # Only the question is repeated: `new_ones` itself must see each batch once.
        fresh = self._seen.new_ones(batch.ticks, lambda late: self._until_done(lambda: self._store.stored_ticks(late)))
        skipped = frozenset(place for place, is_fresh in zip(batch.tick_places, fresh, strict=True) if not is_fresh)
        self._pending = replace(
            self._pending, number=self._pending.number + 1, spans=batch.spans(self._membership.epochs), skipped=skipped
        )
        self._until_done(lambda: self._store.record(self._pending))
        # Only now, and after the record: a successor that has the partitions by then finds it.
        self._until_done(self._membership.confirm)
        insert_batch(self._store, batch, self._pending, self._until_done)
        self._measure_lag(tick for tick, is_fresh in zip(batch.ticks, fresh, strict=True) if is_fresh)
        if newest_us := _newest_us(batch):
            self._until_done(lambda: self._ranking.advance(max(newest_us.values())))
        self._until_done(lambda: self._store.store_fences(batch.offsets, self._membership.epochs, batch.leader_epochs))
        for topic, count in batch.counts.items():
            MESSAGES.labels("store", topic).inc(count)
        self._membership.commit(batch.offsets)
        log.debug(
            "batch_stored",
            messages=batch.messages,
            ticks=len(batch.ticks),
            known_ticks=len(skipped),
            rejected=len(batch.rejected),
            duration_ms=round((time.monotonic() - started_s) * 1000),
        )
        self._limit.saw(batch.messages, len(batch.rejected))

    def _measure_lag(self, ticks: Iterable[Tick]) -> None:
        now_us = time.time_ns() // 1_000
        by_venue: dict[str, list[Tick]] = {}
        for tick in ticks:
            by_venue.setdefault(tick.venue, []).append(tick)
        for venue, its_ticks in by_venue.items():
            LAG.labels("store", venue).observe_all([(now_us - tick.ts_received_us) / US_PER_S for tick in its_ticks])
            NEWEST_EVENT.labels("store", venue).set(max(tick.ts_event_us for tick in its_ticks) / US_PER_S)

    def _judge(self, batch: Batch) -> None:
        """What is told of a moment's alerts once all ticks up to it are stored."""
        newest_us = _newest_us(batch)
        arrived_us = self._until_done(lambda: self._arrivals.advance(newest_us))
        if arrived_us is not None:
            self._until_done(lambda: self._grading.advance(arrived_us))
            self._until_done(lambda: self._corroboration.advance(arrived_us))

    def _until_done(self, step: Callable[[], T]) -> T:
        """Repeats a step while what it needs is away. Kafka is polled meanwhile, paused: memory stays bounded."""
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                result = step()
            except TransientError as error:
                self._waiting = True
                self._process.away(error.need, str(error), noticed_by="sink")
                self._membership.wait(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            else:
                if self._waiting:
                    self._process.back(noticed_by="sink")
                    self._waiting = False
                    self._membership.resume()
                return result

    def _close(self) -> None:
        self._membership.close()
        self._dead_letters.close()
        self._registry.close()
        self._store.close()
        log.info("sink_stopped")


def _newest_us(batch: Batch) -> dict[str, int]:
    """Venue time of the newest of a batch's moves, of each venue that has any."""
    newest: dict[str, int] = {}
    for move in batch.moves.values():
        newest[move.venue] = max(move.ts_event_us, newest.get(move.venue, 0))
    return newest

"""Everything that leans on Quix Streams' private methods, in one place, pinned to one version.

`tests/processors/test_quix_inside.py` fails when the library is another one, so that this is read again first.

**Batches.** Quix takes one message at a time through a chain of closures, and keeps its state in a transaction that
is asked for each value: some 80 us a message. Here up to `BATCH` messages that have come are taken at once, states are
kept in a `Memory`, and written when a checkpoint begins: it flushes sinks first, so ours is one. Nothing else is done
meanwhile, so checkpoints are made often, each a short one, and at moments when nobody waits. What is made goes to
the client that Quix's producer wraps, which costs half; Quix learns of what was not delivered, and fails for it at the
next checkpoint, before offsets are committed. All else stays Quix's: groups and assignment, recovery, changelogs, the
order of a checkpoint.

**Offsets.** Quix takes a group's committed offsets as they are. They can be wrong in three ways, and each ended badly:
below the first message that Kafka still has (Quix refuses to start, for ever, or throws the state away), beyond the
last one (Kafka came back without its newest data; the client starts at the very beginning), and none at all.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, KafkaError, Message, TopicPartition
from quixstreams import Application
from quixstreams.kafka.exceptions import KafkaConsumerException
from quixstreams.models import Topic
from quixstreams.sinks.base import BaseSink
from quixstreams.state.manager import DEFAULT_STATE_STORE_NAME
from quixstreams.state.recovery import ChangelogProducer

from kernel.kafka.readers import Place, offsets_since, partition_ends
from kernel.logs import get_logger
from kernel.metrics import LOST
from kernel.reader_watch import ReaderWatch
from processors.client import Client, Failures
from processors.memory import OFTEN, Memory, Open
from processors.values import Values, ending
from processors.worker import Worker

log = get_logger(__name__)

QUIX_VERSION = "3.28.1"

BATCH = 500

SOON_S = 0.25
"""So long after the last checkpoint the next one is made, if no message waits. While there is a backlog Quix's own
interval holds: the rarer they are, the fewer times a market's state is written."""

READ_AGAIN_S = 600
"""How far back a log that was cut is read again. Kafka loses what it had not yet written to disk: seconds."""

Ends = tuple[int, int]
"""First offset that Kafka has of a partition, and the next one that it will give."""

STOPS_WITHIN_S = 5.0
"""Told to stop, a processor waits so long for Kafka to take what it has made; what it does not is made again from the
last checkpoint. The supervisor waits 20 s for it to end."""

_SLICE_S = 0.5
"""So long at most Python hears of no signal: the client waits outside of it."""

_TIMEOUT_S = 30
_FAMILY = "default"


class ReaderStuckError(Exception):
    """The client reads nothing of a partition that has more, and will not begin again by itself."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where to read a partition on; `lost` messages were deleted unread, `cut` says that the log lost its end."""

    offset: int
    lost: int = 0
    cut: bool = False


def read_on(committed: int, low: int, high: int, recent: int, *, was_cut: bool) -> Position:
    """Where a partition is read on.

    Args:
        committed: the group's offset; negative when it has none.
        low, high: first offset that Kafka has, and next one that it will give.
        recent: offset of the first message of the last `READ_AGAIN_S`.
        was_cut: it is known that the log lost its end, even if it has grown again since.
    """
    if committed < 0:
        return Position(low)
    if committed < low:
        return Position(low, lost=low - committed)
    if committed > high or was_cut:
        return Position(max(low, min(recent, committed)), cut=True)
    return Position(committed)


def flushed(flush: Callable[[float], int], stopping: threading.Event, timeout_s: float) -> int:
    """Waits until Kafka has all that was made, as `flush` does but in slices; told to stop, `STOPS_WITHIN_S` longer at
    most. Returns how many messages it has not taken.

    Args:
        flush: of the client; takes seconds.
        stopping: set when told to stop.
        timeout_s: in all; negative: for ever.
    """
    began_s, told_s, left = time.monotonic(), None, 0
    while left := flush(_SLICE_S):
        now_s = time.monotonic()
        if stopping.is_set():
            told_s = now_s if told_s is None else told_s
        is_over = 0 <= timeout_s <= now_s - began_s
        if is_over or (told_s is not None and now_s - told_s >= STOPS_WITHIN_S):
            break
    return left


class _AtCheckpoint(BaseSink):  # type: ignore[misc]  # Quix ships no types
    """A sink, because a checkpoint flushes its sinks before it writes states: that is when ours are handed over."""

    def __init__(self, flush: Callable[[], None]) -> None:
        super().__init__()
        self._flush = flush

    def flush(self) -> None:
        self._flush()

    def add(self, **_: Any) -> None:
        """Nothing is added: no message passes through the dataframe."""


class ProcessorApplication(Application):  # type: ignore[misc]  # Quix ships no types
    """An application that works in batches, and puts its group's offsets right before it reads.

    `was_cut`: set it before `run` when the log is known to have lost its end.
    """

    was_cut = False

    def prepare(self, work: Worker, source: Topic, watch: ReaderWatch, stopping: threading.Event) -> None:
        """Wires it: what is done with the messages of a topic, who looks whether they come, and what ends it."""
        self._work = work
        self._stopping = stopping
        self._reader_watch = watch
        self._positions: dict[Place, int] = {}
        self.stage = work.stage.name
        frame = self.dataframe(source)
        frame.register_store()
        frame.sink(_AtCheckpoint(self._hand_over))
        self._stream = frame.stream_id
        self._store = self._state_manager.get_store(self._stream, DEFAULT_STATE_STORE_NAME)
        self._memories: dict[int, tuple[object, Memory]] = {}
        self._assignments = 0
        self._flush_in_slices(self._producer._producer)
        report = Failures(self._producer._on_delivery).report
        self._publish = Client(_client(self._producer).produce, report, self._producer.produce).publish

    def _setup_signal_handlers(self) -> None:
        """Signals stay the process's: a handler of this application would outlive it, and stop nothing any more."""

    def _flush_in_slices(self, producer: Any) -> None:
        flush, always_s, stopping = producer.flush, producer._flush_timeout, self._stopping
        producer.flush = lambda timeout=None: flushed(flush, stopping, always_s if timeout is None else timeout)

    def _process_message(self, _dataframes: object) -> None:
        """Takes what has come: called by Quix's loop in place of its own, between which it makes checkpoints."""
        if self._stopping.is_set():  # told before Quix's loop had begun, which forgets that
            self.stop()
            return
        self._producer.poll(0)
        if self._reader_watch.finds_it_stuck(self._positions):
            raise ReaderStuckError
        assignments = self._assignments
        first = self._consumer.poll(self._config.consumer_poll_timeout)
        if first is None:
            self._run_tracker.set_message_consumed(False)
            self._checkpoint_if_due()
            return
        batch = [first, *self._consumer.consume(BATCH - 1, timeout=0)]
        if assignments != self._assignments:
            # Some were given out before partitions changed hands and some after; all are read again.
            self._rewind(batch)
            return
        self._take(batch)
        self._run_tracker.set_message_consumed(True)
        self._producer._broker_available()
        self._consumer._broker_available()
        if len(batch) < BATCH:
            self._checkpoint_if_due()

    def _checkpoint_if_due(self) -> None:
        context = self._processing_context
        if time.monotonic() - context.checkpoint._created_at >= SOON_S:
            context.commit_checkpoint(force=True)

    def _take(self, batch: Sequence[Message]) -> None:
        """Nothing of a batch counts that fails in the middle: then no checkpoint is made of it."""
        lasts: dict[int, Message] = {}
        for message in batch:
            if message.error() is not None:
                raise KafkaConsumerException(error=message.error())
            lasts[message.partition()] = message
        states = {partition: (self._memory(partition), self._opener(partition)) for partition in lasts}
        self._work.take(batch, states.__getitem__, self._publish)
        for partition, message in lasts.items():
            self._processing_context.store_offset(message.topic(), partition, message.offset())
            self._positions[message.topic(), partition] = message.offset() + 1

    def _memory(self, partition: int) -> Memory:
        """The memory of a partition as it is assigned now: whoever gets it again begins with an empty one."""
        store_partition = self._store.partitions[partition]
        known = self._memories.get(partition)
        if known is None or known[0] is not store_partition:
            known = (store_partition, Memory(self._work.stage, partial(_stored, store_partition)))
            self._memories[partition] = known
            store_partition._changelog_producer = _Changelog(store_partition._changelog_producer)
        return known[1]

    def _opener(self, partition: int) -> Open:
        """Opens markets' states in the transaction of the checkpoint that is being made."""
        transaction = self._processing_context.checkpoint.get_store_transaction(
            stream_id=self._stream, partition=partition, store_name=DEFAULT_STATE_STORE_NAME
        )
        store, cache = transaction._partition, transaction._update_cache
        if store.uses_ttl_stamps or store._ttl_stamped_reads_unflagged:  # begun by a version that used Quix's `ttl`
            return lambda key, published_ms: transaction.as_state(prefix=key, timestamp=published_ms)
        stored = store.get_or_create_column_family(_FAMILY).get
        changed = partial(setattr, cache, "_empty", False)
        return Values(cache._updated[_FAMILY], cache._deleted[_FAMILY], stored, changed).open

    def _hand_over(self) -> None:
        """At the checkpoint: lets time pass, and gives all that changed to Quix's transactions."""
        for partition, (store_partition, memory) in list(self._memories.items()):
            if self._store.partitions.get(partition) is not store_partition:
                del self._memories[partition]
                continue
            open_state = self._opener(partition)
            memory.look_at_stored(self._work.on_time, open_state)
            if self._work.on_time is not None:
                memory.let_time_pass(self._work.on_time, open_state, self._publish)
            memory.write(open_state)

    def _rewind(self, batch: Sequence[Message]) -> None:
        firsts: dict[tuple[str, int], int] = {}
        for message in batch:
            if message.error() is None:
                firsts.setdefault((message.topic(), message.partition()), message.offset())
        ours = {(tp.topic, tp.partition) for tp in self._consumer.assignment()}
        for (topic, partition), offset in firsts.items():
            if (topic, partition) in ours:
                self._consumer.seek(TopicPartition(topic, partition, offset))

    def _on_revoke(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        self._changes_hands()
        super()._on_revoke(consumer, partitions)

    def _on_lost(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        self._changes_hands()
        super()._on_lost(consumer, partitions)

    def _changes_hands(self) -> None:
        self._assignments += 1
        self._positions.clear()

    def _on_assign(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        self._reader_watch.joined()
        self._changes_hands()
        ends = {(tp.topic, tp.partition): self._ends(tp) for tp in partitions}
        data = self._topic_manager.non_changelog_topics
        self._put_right([tp for tp in partitions if tp.topic in data], ends)
        for tp in partitions:
            if tp.topic not in data:
                # Paused until Quix seeks them; without an offset the client would look for one and find none.
                tp.offset = OFFSET_BEGINNING
        with _told(self._consumer, ends):
            super()._on_assign(consumer, partitions)

    def _ends(self, of: TopicPartition) -> Ends:
        return partition_ends(self._consumer, TopicPartition(of.topic, of.partition), _TIMEOUT_S)

    def _put_right(self, partitions: Sequence[TopicPartition], ends: Mapping[Place, Ends]) -> None:
        if not partitions:
            return
        reader = self._consumer
        since_ms = int((time.time() - READ_AGAIN_S) * 1000)
        moved = []
        for tp in reader.committed(list(partitions), timeout=_TIMEOUT_S):
            low, high = ends[tp.topic, tp.partition]
            recent = high
            if self.was_cut or tp.offset > high:
                asked = TopicPartition(tp.topic, tp.partition, since_ms)
                found = offsets_since(reader, [asked], _TIMEOUT_S)[0].offset
                recent = found if found >= 0 else high
            to = read_on(tp.offset, low, high, recent, was_cut=self.was_cut)
            self._positions[tp.topic, tp.partition] = to.offset
            if to.offset != tp.offset:
                moved.append(TopicPartition(tp.topic, tp.partition, to.offset))
                self._tell(tp, to)
        if moved:
            reader.commit(offsets=moved, asynchronous=False)
        self.was_cut = False

    def _tell(self, tp: TopicPartition, to: Position) -> None:
        place = {"stage": self.stage, "topic": tp.topic, "partition": tp.partition}
        if to.lost:
            LOST.labels(self.stage, tp.topic).inc(to.lost)
            log.error("messages_lost", **place, lost=to.lost, from_offset=tp.offset, read_on_at=to.offset)
        elif to.cut:
            log.error("log_was_cut", **place, committed=tp.offset, read_again_from=to.offset)


@contextmanager
def _told(consumer: Any, ends: Mapping[Place, Ends]) -> Iterator[None]:
    """Tells Quix the ends of partitions that are known.

    It asks once they are read, one after the other. A broker answers a connection in order, and there a fetch waits
    half a second for messages: two questions a partition kept everything waiting for four seconds of four partitions.
    """
    ask = consumer.get_watermark_offsets

    def answer(of: TopicPartition, timeout: float | None = None, cached: bool = False) -> Ends:
        return ends.get((of.topic, of.partition)) or ask(of, timeout, cached)

    consumer.get_watermark_offsets = answer
    try:
        yield
    finally:
        del consumer.get_watermark_offsets


def _client(producer: Any) -> Any:
    """Kafka's own client, which a producer of Quix's wraps twice."""
    return producer._producer._producer


class _Changelog(ChangelogProducer):  # type: ignore[misc]  # Quix ships no types
    """Hands what a checkpoint changed to the client that Quix's producer wraps, and tells Quix how far it got."""

    def __init__(self, of: Any) -> None:
        super().__init__(of._changelog_name, of._partition, of._producer, of._migration_producer)
        self._place = (of._changelog_name, of._partition)
        self._produce = _client(of._producer).produce

    def produce(self, key: bytes, value: bytes | None = None, headers: Any = None, **more: Any) -> None:
        """As Quix's; by position, see `Client`."""
        if more:
            super().produce(key, value, headers, **more)
            return
        try:
            self._produce(self._changelog_name, value, key, self._partition, self._delivered, None, 0, headers)
        except BufferError:
            super().produce(key, value, headers)

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self._producer._tp_offsets[self._place] = message.offset()
        else:
            self._producer._on_delivery(error, message)


def _stored(store_partition: Any, after: bytes, count: int) -> list[bytes]:
    """`processors.memory.Stored`, of a partition of Quix's. Read in one go: no iterator may outlive its partition."""
    end = ending(OFTEN)
    first = after + end + b"\0" if after else b""
    keys = (key for key, _ in store_partition.iter_items(lower_bound=first))
    return [key.removesuffix(end) for key in islice((key for key in keys if key.endswith(end)), count)]


def says_log_was_cut(error: BaseException) -> bool:
    """Whether a consumer stopped because its position is not in the log any more."""
    if not isinstance(error, KafkaConsumerException):
        return False
    return bool(
        error.code in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._LOG_TRUNCATION)
    )


def says_no_right_to_read(error: BaseException) -> bool:
    """Whether a consumer stopped because Kafka does not let us read any more."""
    return isinstance(error, KafkaConsumerException) and error.code in (
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
    )

"""Taking partitions over: where each is read on, what its predecessor left unfinished, what had got lost meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import uuid4

from confluent_kafka import Consumer

from kernel.dead_letters import DeadLetters, Refused
from kernel.errors import BadMessageError
from kernel.kafka.readers import Place
from kernel.logs import get_logger
from kernel.metrics import LOST, SET_BACK
from kernel.settings import KafkaSettings
from sinks.clickhouse.batch import Reader
from sinks.clickhouse.fence import Positions, in_force, positions
from sinks.clickhouse.insert import insert_batch
from sinks.clickhouse.log_ends import TopicFacts, ends, read_range
from sinks.clickhouse.pending import Pending, unfinished
from sinks.clickhouse.store import Store

log = get_logger(__name__)


class Takeover:
    """The steps of a sink that got partitions. Each may be repeated from its start."""

    def __init__(self, store: Store, reader: Reader, dead_letters: DeadLetters, kafka: KafkaSettings) -> None:
        self._store = store
        self._reader = reader
        self._dead_letters = dead_letters
        self._kafka = kafka
        self._told: set[tuple[Place, str, int]] = set()

    def positions(self, consumer: Consumer, places: Sequence[Place], facts: Mapping[str, TopicFacts]) -> Positions:
        """Where each place is read on; losses are told.

        Raises:
            KafkaAwayError, StoreAwayError: no answer.
        """
        topic_ids = {name: fact.topic_id for name, fact in facts.items()}
        fences = in_force(self._store.fences(list(facts)), topic_ids)
        found = positions(ends(consumer, self._kafka, places, fences), fences, topic_ids)
        for place, (first, last) in found.lost.items():
            detail = f"offsets {first} to {last} were deleted by Kafka before they were stored"
            if self._tell(place, first, "lost_in_kafka", detail, found.epochs[place]):
                LOST.labels("store", place[0]).inc(last - first + 1)
                log.error("messages_lost", topic=place[0], partition=place[1], first=first, last=last)
        for place, stored_to in found.set_back.items():
            read_from = found.offsets[place]
            detail = f"Kafka no longer has what is stored up to offset {stored_to}; read again from {read_from}"
            if self._tell(place, stored_to, "kafka_set_back", detail, found.epochs[place]):
                SET_BACK.labels("store", place[0]).inc()
                log.error(
                    "kafka_set_back", topic=place[0], partition=place[1], stored_to=stored_to, read_from=read_from
                )
        return found

    def finish_pending(self, found: Positions) -> Pending:
        """Claims the places, carries out what predecessors had begun, and moves `found` on behind it.

        To be called only after Kafka has confirmed that the places are ours. Returns our claim.

        Raises:
            KafkaAwayError, StoreAwayError, RegistryAwayError: no answer.
        """
        known = self._store.pendings()
        claim = Pending(uuid4().hex, max((p.generation for p in known), default=0) + 1)
        self._store.owner = claim.owner
        self._store.record(claim)
        begun_anew = {place: found.offsets[place] - 1 for place in found.set_back if found.offsets[place]}
        if begun_anew:
            self._store.store_fences(begun_anew, found.epochs, {})
        # Asked again, now that the claim stands: a predecessor may have gone on until it did.
        fences = self._store.fences(sorted({topic for topic, _ in found.offsets}))
        stored_to = {fence.place: fence.last_offset for fence in fences if found.epochs.get(fence.place) == fence.epoch}
        todo = unfinished(self._store.pendings(), stored_to, found.epochs, found.offsets)
        if todo:
            self._store.stop_inserts([pending.owner for pending in todo])
        for pending in todo:
            self._finish(pending, found)
        return claim

    def _finish(self, pending: Pending, found: Positions) -> None:
        messages = read_range(self._kafka, {place: (span.first, span.last) for place, span in pending.spans.items()})
        batch = self._reader.read(messages)
        if batch.rejected:
            self._dead_letters.put(batch.rejected)
        insert_batch(self._store, batch, pending, lambda step: step(), again=True)
        offsets = {place: span.last for place, span in pending.spans.items()}
        epochs = {place: span.epoch for place, span in pending.spans.items()}
        self._store.store_fences(offsets, epochs, batch.leader_epochs)
        for place in found.offsets.keys() & offsets.keys():
            found.offsets[place] = max(found.offsets[place], offsets[place] + 1)
        log.info("pending_finished", owner=pending.owner, messages=batch.messages, left_out=len(pending.skipped))

    def _tell(self, place: Place, offset: int, reason: str, detail: str, epoch: str) -> bool:
        """Files what was lost, once; True when it had not been told yet."""
        if (place, epoch, offset) in self._told:
            return False
        self._dead_letters.put([Refused(*place, offset, "", BadMessageError(reason, detail))])
        self._told.add((place, epoch, offset))
        return True

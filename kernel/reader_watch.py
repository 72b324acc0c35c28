"""Watches a reader from outside: what it has read of each partition against what Kafka has to give."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from concurrent.futures import Future
from typing import Any

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from kernel.kafka.connection import client_config
from kernel.kafka.readers import Place
from kernel.logs import get_logger
from kernel.metrics import STALLED
from kernel.settings import KafkaSettings
from kernel.stall import Joining, Stall

log = get_logger(__name__)

LOOK_AGAIN_S = 3.0
_TIMEOUT_S = 10.0


class ReaderWatch:
    """Tells and counts the partitions of a reader that stand still; another client is the reader's affair."""

    def __init__(self, kafka: KafkaSettings, stage: str) -> None:
        # Level 4: without the client's remark, at each end, that a background queue was not empty.
        self._admin = AdminClient({**client_config(kafka, f"{stage}-reader-watch"), "log_level": 4})
        self._stage = stage
        self._stall = Stall()
        self._joining = Joining(time.monotonic())
        self._told_outside = False
        self._asked: dict[TopicPartition, Future[Any]] = {}
        self._asked_s = float("-inf")
        self._next_offsets: dict[Place, int] = {}

    def finds_it_stuck(self, positions: Mapping[Place, int]) -> bool:
        """Whether any partition stands still before messages that Kafka has. Never waits; to be asked at each turn.

        Args:
            positions: the next offset to be read, of each partition the reader has now.
        """
        ends = self._ends(positions)
        stuck = self._stall.stuck(ends, positions, time.monotonic())
        for place in stuck:
            topic, partition = place
            STALLED.labels(self._stage, topic).inc()
            log.error(
                "reader_stuck",
                stage=self._stage,
                topic=topic,
                partition=partition,
                at=positions[place],
                kafka_has_to=ends[place],
            )
        return bool(stuck)

    def joined(self) -> None:
        """The group has answered the reader."""
        self._joining.joined = True

    def finds_it_outside(self, *, kafka_away: bool) -> bool:
        """Whether the group never answered the reader and never will: its client sleeps, and only another process
        helps, since closing a client waits for its threads. Told once."""
        outside = self._joining.in_vain(time.monotonic(), kafka_away=kafka_away)
        if outside and not self._told_outside:
            self._told_outside = True
            log.error("reader_outside_its_group", stage=self._stage)
        return outside

    def close(self) -> None:
        """Lets its client go, for the reason of `Publisher.close`. It is asked no more."""
        del self._admin

    def _ends(self, places: Collection[Place]) -> dict[Place, int]:
        """The next offset Kafka will give out of each place, as it last answered; nothing before that."""
        if not all(future.done() for future in self._asked.values()):
            return self._next_offsets
        if self._asked:
            self._next_offsets = {
                (at.topic, at.partition): future.result().offset
                for at, future in self._asked.items()
                if future.exception() is None
            }
        self._asked = {}
        if places and time.monotonic() - self._asked_s > LOOK_AGAIN_S:
            self._asked_s = time.monotonic()
            latest = {TopicPartition(*at): OffsetSpec.latest() for at in places}
            self._asked = self._admin.list_offsets(latest, request_timeout=_TIMEOUT_S)
        return self._next_offsets

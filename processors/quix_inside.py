"""Everything that leans on Quix Streams' private methods, in one place, pinned to one version.

`tests/processors/test_quix_inside.py` fails when the library is another one, so that this is read again first.

Quix takes a group's committed offsets as they are. They can be wrong in three ways, and each ended badly: below the
first message that Kafka still has (Quix refuses to start, for ever, or throws the state away), beyond the last one
(Kafka came back without its newest data; the client starts at the very beginning), and none at all.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, KafkaError, TopicPartition
from quixstreams import Application
from quixstreams.kafka.exceptions import KafkaConsumerException

from kernel.logs import get_logger
from kernel.metrics import LOST

log = get_logger(__name__)

QUIX_VERSION = "3.28.1"

READ_AGAIN_S = 600
"""How far back a log that was cut is read again. Kafka loses what it had not yet written to disk: seconds."""

_TIMEOUT_S = 30


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


class ProcessorApplication(Application):  # type: ignore[misc]  # Quix ships no types
    """An application that puts its group's offsets right before it reads.

    `was_cut`: set it before `run` when the log is known to have lost its end.
    """

    stage = ""
    was_cut = False

    def _on_assign(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        data = self._topic_manager.non_changelog_topics
        self._put_right([tp for tp in partitions if tp.topic in data])
        for tp in partitions:
            if tp.topic not in data:
                # Paused until Quix seeks them; without an offset the client would look for one and find none.
                tp.offset = OFFSET_BEGINNING
        super()._on_assign(consumer, partitions)

    def _put_right(self, partitions: Sequence[TopicPartition]) -> None:
        if not partitions:
            return
        reader = self._consumer
        since_ms = int((time.time() - READ_AGAIN_S) * 1000)
        moved = []
        for tp in reader.committed(list(partitions), timeout=_TIMEOUT_S):
            low, high = reader.get_watermark_offsets(TopicPartition(tp.topic, tp.partition), timeout=_TIMEOUT_S)
            recent = high
            if self.was_cut or tp.offset > high:
                asked = TopicPartition(tp.topic, tp.partition, since_ms)
                found = reader.offsets_for_times([asked], timeout=_TIMEOUT_S)[0].offset
                recent = found if found >= 0 else high
            to = read_on(tp.offset, low, high, recent, was_cut=self.was_cut)
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


def says_log_was_cut(error: BaseException) -> bool:
    """Whether a consumer stopped because its position is not in the log any more."""
    if not isinstance(error, KafkaConsumerException):
        return False
    return bool(
        error.code in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._LOG_TRUNCATION)
    )

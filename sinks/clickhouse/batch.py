"""Messages to one batch: decoded events by kind, what had to be refused, and the offsets all of them cover."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Message

from kernel.dead_letters import Refused
from kernel.errors import BadMessageError
from schemas.codec import Codec, SchemaStore, UndecodableError
from schemas.events import Alert, Bar, FeedStatus, Market, Move, Tick
from schemas.topics import ALERTS, BARS, FEED_STATUS, MARKETS, MOVES, TICKS, Topic
from sinks.clickhouse.checks import check_storable


@dataclass(slots=True)
class Batch:
    """What one turn of the sink's loop stores.

    `tick_places` are (partition, offset) of `ticks`. `offsets` holds the last offset by (topic, partition), `first`
    the first one; `counts` the messages by topic.
    """

    markets: list[Market] = field(default_factory=list)
    ticks: list[Tick] = field(default_factory=list)
    tick_places: list[tuple[int, int]] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    statuses: list[FeedStatus] = field(default_factory=list)
    rejected: list[Refused] = field(default_factory=list)
    first: dict[tuple[str, int], int] = field(default_factory=dict)
    offsets: dict[tuple[str, int], int] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def messages(self) -> int:
        """Messages in the batch, refused ones included."""
        return self.counts.total()

    def token(self, epochs: Mapping[str, str]) -> str:
        """Names exactly this batch: every topic, its epoch, partition, first and last offset.

        Without the last offset a longer batch from the same start would be taken for this one, and dropped.
        """
        parts = [
            f"{topic}@{epochs[topic]}/{partition}:{self.first[topic, partition]}-{last}"
            for (topic, partition), last in sorted(self.offsets.items())
        ]
        return ",".join(parts)


class Reader:
    """Decodes messages of the sink's topics."""

    def __init__(self, schemas: SchemaStore, topics: Sequence[Topic]) -> None:
        self._codecs: dict[str, Codec[Any]] = {t.name: Codec(t, schemas, t.event) for t in topics}

    def read(self, messages: Sequence[Message]) -> Batch:
        """One batch from messages of our topics, in order. What cannot be decoded or stored is in `rejected`.

        Raises:
            TransientError: the schema registry does not answer; nothing is lost by calling again.
        """
        batch = Batch()
        lists: Mapping[str, list[Any]] = {
            MARKETS.name: batch.markets,
            TICKS.name: batch.ticks,
            MOVES.name: batch.moves,
            BARS.name: batch.bars,
            ALERTS.name: batch.alerts,
            FEED_STATUS.name: batch.statuses,
        }
        for message in messages:
            topic, partition, offset = message.topic(), message.partition(), message.offset()
            batch.first.setdefault((topic, partition), offset)
            batch.offsets[topic, partition] = offset
            batch.counts[topic] += 1
            try:
                # A tombstone of a compacted topic has no value: nothing to store, and no harm in it.
                if (value := message.value()) is None:
                    continue
                event = self._codecs[topic].decode(value)
                check_storable(event)
            except UndecodableError as error:
                batch.rejected.append(_refused(message, "undecodable", str(error)))
            except BadMessageError as error:
                batch.rejected.append(_refused(message, error.reason, error.detail))
            else:
                lists[topic].append(event)
                if topic == TICKS.name:
                    batch.tick_places.append((partition, offset))
        return batch


def _refused(message: Message, reason: str, detail: str) -> Refused:
    venue = dict(message.headers() or ()).get("venue") or b""
    return Refused(
        message.topic(),
        message.partition(),
        message.offset(),
        venue.decode("utf-8", "replace"),
        BadMessageError(reason, detail, message.value() or b""),
    )

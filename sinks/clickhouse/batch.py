"""Messages to one batch: decoded events by kind, what had to be refused, and the offsets all of them cover."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from confluent_kafka import Message

from kernel.dead_letters import Refused
from kernel.errors import BadMessageError
from kernel.kafka.readers import Place
from schemas.codec import Codec, SchemaStore, UndecodableError
from schemas.events import Alert, Bar, FeedStatus, Market, Move, Tick
from schemas.topics import ALERTS, BARS, FEED_STATUS, MARKETS, MOVES, TICKS, Topic
from sinks.clickhouse.checks import check_storable
from sinks.clickhouse.rows import keep_newest


class Span(NamedTuple):
    """Offsets of one place, both included, in one epoch of its topic."""

    epoch: str
    first: int
    last: int


@dataclass(slots=True)
class Batch:
    """What one turn of the sink's loop stores.

    `tick_places` are (partition, offset) of `ticks`; `moves` the newest of each token. `offsets` holds the last offset
    of each place, `first` the first one, `leader_epochs` the leader's epoch of the last; `counts` messages by topic.
    """

    markets: list[Market] = field(default_factory=list)
    ticks: list[Tick] = field(default_factory=list)
    tick_places: list[tuple[int, int]] = field(default_factory=list)
    moves: dict[str, Move] = field(default_factory=dict)
    bars: list[Bar] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    statuses: list[FeedStatus] = field(default_factory=list)
    rejected: list[Refused] = field(default_factory=list)
    first: dict[Place, int] = field(default_factory=dict)
    offsets: dict[Place, int] = field(default_factory=dict)
    leader_epochs: dict[Place, int] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def messages(self) -> int:
        """Messages in the batch, refused ones included."""
        return self.counts.total()

    def spans(self, epochs: Mapping[Place, str]) -> dict[Place, Span]:
        """The offsets that the batch covers."""
        return {place: Span(epochs[place], self.first[place], last) for place, last in self.offsets.items()}


def insert_token(table: str, topic: str, spans: Mapping[Place, Span]) -> str:
    """Names exactly the rows of a table that come from the spans of a topic.

    Without the last offset a longer batch from the same start would be taken for this one, and dropped.
    """
    parts = [
        f"{partition}@{span.epoch}:{span.first}-{span.last}"
        for (name, partition), span in sorted(spans.items())
        if name == topic
    ]
    return f"{table}/{topic}/{','.join(parts)}"


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
        takes: Mapping[str, Callable[[Any], object]] = {
            MARKETS.name: batch.markets.append,
            TICKS.name: batch.ticks.append,
            # Here and not when rows are made: the older ones of thousands need not be kept until then.
            MOVES.name: partial(keep_newest, batch.moves),
            BARS.name: batch.bars.append,
            ALERTS.name: batch.alerts.append,
            FEED_STATUS.name: batch.statuses.append,
        }
        kinds = {name: (codec.decode, takes[name]) for name, codec in self._codecs.items()}
        last: dict[Place, Message] = {}
        for message in messages:
            place = (topic := message.topic(), message.partition())
            if place not in last:
                batch.first[place] = message.offset()
            last[place] = message
            decode, take = kinds[topic]
            try:
                # A tombstone of a compacted topic has no value: nothing to store, and no harm in it.
                if (value := message.value()) is None:
                    continue
                event = decode(value)
                check_storable(event)
            except UndecodableError as error:
                batch.rejected.append(_refused(message, "undecodable", str(error)))
            except BadMessageError as error:
                batch.rejected.append(_refused(message, error.reason, error.detail))
            else:
                take(event)
                if topic == TICKS.name:
                    batch.tick_places.append((message.partition(), message.offset()))
        batch.counts.update([message.topic() for message in messages])
        for place, message in last.items():
            batch.offsets[place] = message.offset()
            batch.leader_epochs[place] = -1 if (epoch := message.leader_epoch()) is None else epoch
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

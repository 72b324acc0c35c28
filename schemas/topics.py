"""The topic catalogue: every topic of ours, its key, schema, clean-up and retention, declared once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas import events

VENUES = ("polymarket", "kalshi")
"""Venues with a raw topic. `producers.registry` says how each is collected."""

DAY_MS = 86_400_000
GIB = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One topic. `subject_file` names `avro/<subject_file>.v1.avsc`; `config` are Kafka topic settings."""

    name: str
    subject_file: str
    event: type[events.Event]
    key: str
    config: Mapping[str, str] = field(default_factory=dict)

    @property
    def subject(self) -> str:
        """Registry subject by TopicNameStrategy."""
        return f"{self.name}-value"


def _delete_after(days: int, partition_bytes: int, **extra: str) -> dict[str, str]:
    """Whichever comes first: the age, or a partition's size. A disk is full sooner than a fortnight is over."""
    limits = {"retention.ms": str(days * DAY_MS), "retention.bytes": str(partition_bytes)}
    return {"cleanup.policy": "delete", **limits, **extra}


def raw_topic(venue: str) -> str:
    """Name of the topic with a venue's answers as received."""
    return f"raw.{venue}"


def _raw(venue: str) -> Topic:
    return Topic(
        name=raw_topic(venue),
        subject_file="raw",
        event=events.RawMessage,
        key="event_id",
        # A page of a venue's list can be several MB before compression, and all pages of a day fill a laptop's disk.
        config=_delete_after(3, 2 * GIB, **{"compression.type": "zstd", "max.message.bytes": str(16 * 1024 * 1024)}),
    )


LET_GO_TOLD_DAYS = 7
"""Days for which `markets` tells that a market has left, by a message without a value. A reader that was away for
longer may have missed it, and reads the topic anew."""

MARKETS = Topic(
    name="markets",
    subject_file="markets",
    event=events.Market,
    key="market_id",
    # The newest of each key, until its collector lets it go, long after its end (producers/letting_go.py). The limit in
    # bytes is for the day when even so there are too many: it takes the oldest first, also of markets that trade.
    config={
        "cleanup.policy": "compact,delete",
        "retention.ms": "-1",
        "retention.bytes": str(4 * GIB),
        "delete.retention.ms": str(LET_GO_TOLD_DAYS * DAY_MS),
    },
)
TICKS = Topic(
    name="ticks",
    subject_file="ticks",
    event=events.Tick,
    key="market_id",
    # Both venues at full size write 25 GB a day; the store keeps the days, the topic what is needed to catch up.
    config=_delete_after(14, 8 * GIB),
)
MOVES = Topic(name="moves", subject_file="moves", event=events.Move, key="market_id", config=_delete_after(2, 4 * GIB))
BARS = Topic(name="bars", subject_file="bars", event=events.Bar, key="market_id", config=_delete_after(14, 2 * GIB))
ALERTS = Topic(name="alerts", subject_file="alerts", event=events.Alert, key="market_id", config=_delete_after(30, GIB))
FEED_STATUS = Topic(
    name="feed.status",
    subject_file="feed_status",
    event=events.FeedStatus,
    key="venue/shard",
    config={**_delete_after(7, GIB // 4), "cleanup.policy": "compact,delete"},
)
DEAD_LETTERS = Topic(
    name="dead.letters",
    subject_file="dead_letters",
    event=events.DeadLetter,
    key="topic/partition/offset or channel",
    config=_delete_after(14, GIB),
)

CATALOGUE: tuple[Topic, ...] = (
    *(_raw(venue) for venue in VENUES),
    MARKETS,
    TICKS,
    MOVES,
    BARS,
    ALERTS,
    FEED_STATUS,
    DEAD_LETTERS,
)
"""All topics, in the order an event meets them."""

BY_NAME: Mapping[str, Topic] = {topic.name: topic for topic in CATALOGUE}

"""The topic catalogue: every topic of ours, its key, schema, clean-up and retention, declared once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas import events

VENUES = ("polymarket", "kalshi")
"""Venues with a raw topic. `producers.registry` says how each is collected."""

DAY_MS = 86_400_000
RAW_PARTITION_BYTES = 2 * 1024**3
TICKS_PARTITION_BYTES = 8 * 1024**3


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


def _delete_after(days: int, **extra: str) -> dict[str, str]:
    return {"cleanup.policy": "delete", "retention.ms": str(days * DAY_MS), **extra}


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
        config=_delete_after(
            3,
            **{
                "compression.type": "zstd",
                "max.message.bytes": str(16 * 1024 * 1024),
                "retention.bytes": str(RAW_PARTITION_BYTES),
            },
        ),
    )


MARKETS = Topic(
    name="markets",
    subject_file="markets",
    event=events.Market,
    key="market_id",
    config={"cleanup.policy": "compact"},
)
TICKS = Topic(
    name="ticks",
    subject_file="ticks",
    event=events.Tick,
    key="market_id",
    # Both venues at full size write 25 GB a day; the store keeps the days, the topic what is needed to catch up.
    config=_delete_after(14, **{"retention.bytes": str(TICKS_PARTITION_BYTES)}),
)
MOVES = Topic(name="moves", subject_file="moves", event=events.Move, key="market_id", config=_delete_after(2))
BARS = Topic(name="bars", subject_file="bars", event=events.Bar, key="market_id", config=_delete_after(14))
ALERTS = Topic(name="alerts", subject_file="alerts", event=events.Alert, key="market_id", config=_delete_after(30))
FEED_STATUS = Topic(
    name="feed.status",
    subject_file="feed_status",
    event=events.FeedStatus,
    key="venue/shard",
    config={"cleanup.policy": "compact,delete", "retention.ms": str(7 * DAY_MS)},
)
DEAD_LETTERS = Topic(
    name="dead.letters",
    subject_file="dead_letters",
    event=events.DeadLetter,
    key="topic/partition/offset or channel",
    config=_delete_after(14),
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

"""What was before this process: the markets told so far, and until when somebody collected."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import KafkaException

from kernel.errors import TransientError
from kernel.kafka.readers import read_to_end
from kernel.logs import get_logger
from kernel.settings import KafkaSettings
from producers.shards import Shard
from producers.tracked import Told
from schemas import topics
from schemas.codec import Codec, SchemaStore, UndecodableError
from schemas.events import FeedStatus, Market

log = get_logger(__name__)

READ_WITHIN_S = 60.0
"""So long without a message, and the past is taken for unreadable."""
_HANDS_FULL, _BEGUN = "full", "begun"


@dataclass(frozen=True, slots=True)
class Before:
    """What is left of the process before.

    `markets` by id as they were last told. `until_us` (venue's clock): until when the venue was seen, by the mark on
    this machine's disk or, without one, by what was said of the feed; None when it never was, on a first start.
    `hands_full`: it was seen with messages that neither Kafka nor the spill had, and did not live to tell.
    `promise_s`: what its ticks promised at last; 0 where that is not known. `begun`: nobody had seen all of it yet, so
    what the venue tells of the time before is still to be told.
    """

    markets: dict[str, Told] = field(default_factory=dict)
    until_us: int | None = None
    hands_full: bool = False
    promise_s: int = 0
    begun: bool = False


def read_before(shard: Shard, kafka: KafkaSettings, store: SchemaStore, seen: SeenUntil) -> Before:
    """From Kafka's compacted topics, and the mark on this machine's disk. Blocks; takes seconds for a large venue.

    What cannot be read is as if it had not been: everything is told anew then.
    """
    markets: dict[str, Told] = {}
    mark = seen.read()
    until_us, begun = (None, False) if mark is None else (mark.until_us, mark.begun)
    try:
        venue = ("venue", shard.venue.encode())
        codec = Codec(topics.MARKETS, store, Market)
        for message in read_to_end(kafka, topics.MARKETS.name, READ_WITHIN_S):
            if venue in (message.headers() or ()):
                if (value := message.value()) is None:  # let go, long after its end
                    markets.pop((message.key() or b"").decode(errors="replace"), None)
                    continue
                with contextlib.suppress(UndecodableError):
                    market = codec.decode(value)
                    if shard.owns(market.market_id, market.category):
                        markets[market.market_id] = Told.of(market)
        if until_us is None:  # the mark knows better: what was said of the feed may be said before a whole sweep
            statuses = list(_statuses(shard, kafka, store))
            until_us, begun = seen_until_us(statuses), only_begun(statuses)
    except (TransientError, KafkaException) as error:
        log.warning("past_unreadable", shard=shard.name, error=str(error))
    return Before(markets, until_us, begun=begun) if mark is None else Before(markets, **mark._asdict())


def seen_until_us(statuses: Iterable[FeedStatus]) -> int | None:
    """Until when the venue was surely seen, by what was said of the feed; None when it never was.

    Only who had an answer says `connected` or `gap_closed`. All else can be said by a process that never had one, by
    its own clock, and must not make the time before it seen. A gap that was not closed goes on from its begin.
    """
    until_us: int | None = None
    open_since_us: int | None = None
    for status in statuses:
        if status.state == "gap_opened":
            started_us = status.gap_started_us or status.ts_event_us
            open_since_us = started_us if open_since_us is None else min(open_since_us, started_us)
        elif status.state == "gap_closed":
            until_us, open_since_us = status.ts_event_us, None
        elif status.state == "connected":
            until_us = status.ts_event_us
    return until_us if open_since_us is None else open_since_us


def only_begun(statuses: Iterable[FeedStatus]) -> bool:
    """Whether what was said of the feed is of first looks alone, none of which became a whole sweep."""
    words = [status.state for status in statuses if status.state in ("connected", "gap_opened", "gap_closed")]
    return words[:1] == ["gap_opened"] and "gap_closed" not in words


def _statuses(shard: Shard, kafka: KafkaSettings, store: SchemaStore) -> Iterator[FeedStatus]:
    key = f"{shard.venue}/{shard.label}".encode()
    codec = Codec(topics.FEED_STATUS, store, FeedStatus)
    for message in read_to_end(kafka, topics.FEED_STATUS.name, READ_WITHIN_S):
        if message.key() == key:
            with contextlib.suppress(UndecodableError):
                yield codec.decode(message.value())


class Mark(NamedTuple):
    """Until when, by the venue's clock, what a collector saw was in safe hands (Kafka's or the spill's); what its ticks
    promised, 0 where that is not known; and whether it had more in its own for longer than a moment. `begun`: it is the
    very first answer of all, and nobody has seen the whole venue yet."""

    until_us: int
    promise_s: int = 0
    hands_full: bool = False
    begun: bool = False


class SeenUntil:
    """The mark of this machine's collector on disk. Outlives kill -9."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "seen_until"

    def read(self) -> Mark | None:
        """The mark; None when there is none. One of an earlier version has no promise."""
        try:
            until, *rest = self._path.read_text("ascii").split()
            promises = [int(word) for word in rest if word not in (_HANDS_FULL, _BEGUN)]
            promise_s = promises[0] if promises else 0
            return Mark(int(until), promise_s=promise_s, hands_full=_HANDS_FULL in rest, begun=_BEGUN in rest)
        except (OSError, ValueError):
            return None

    def write(self, mark: Mark) -> None:
        """Moves the mark. A disk that is full costs the mark only."""
        fresh = self._path.with_suffix(".new")
        words = [_HANDS_FULL] * mark.hands_full + [_BEGUN] * mark.begun
        with contextlib.suppress(OSError):
            fresh.write_text(" ".join((str(mark.until_us), str(mark.promise_s), *words)), "ascii")
            fresh.replace(self._path)

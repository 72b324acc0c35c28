"""What a collector says of its feed on `feed.status`: of the whole shard, and of each connection of its streams."""

from __future__ import annotations

from collections.abc import Sequence

from kernel.clock import Clock
from kernel.logs import get_logger
from producers.feed_state import Change, FeedState
from producers.journal import Journal
from producers.outbox import Outbox
from producers.shards import Shard
from producers.streamed import ALL_STREAMS
from producers.tracked import Tracked
from producers.venue_clock import VenueClock
from schemas.events import FeedStatus
from schemas.units import US_PER_S, event_id
from schemas.words import FeedWord

log = get_logger(__name__)

SAY_EVERY_S = 60.0
"""Wall seconds after which the state is said again: who was killed said nothing."""

STOPPED = "the collector was stopped"
"""What the last word of a collector says that was told to end."""

_NAMED_IN_A_STATUS = 500


class Statuses:
    """Publishes and logs each change of `state`. A gap is noted for the markets too, whose next ticks are flagged."""

    def __init__(
        self,
        shard: Shard,
        tracked: Tracked,
        venue_clock: VenueClock,
        outbox: Outbox,
        clock: Clock,
        journal: Journal,
        max_skew_s: float,
    ) -> None:
        self.state = FeedState()
        self._shard, self._tracked, self._venue_clock = shard, tracked, venue_clock
        self._outbox, self._clock, self._journal = outbox, clock, journal
        self._max_skew_us = max_skew_s * US_PER_S
        self._said_s = clock.monotonic_s()
        self._stream_gaps: dict[tuple[str, int], int] = {}

    def tell(self, changes: Sequence[Change], venue_us: int | None = None) -> None:
        """Changes go to `feed.status` and the log; `venue_us`: the time there, before its clock was ever read."""
        received_us = self._clock.now_us()
        now_us = self._venue_clock.now_us(received_us) if venue_us is None else venue_us
        self._said_s = self._clock.monotonic_s() if changes else self._said_s
        skew_us = self._venue_clock.skew_us
        skewed = skew_us is not None and abs(skew_us) > self._max_skew_us
        for number, change in enumerate(changes):
            if change.state == "gap_opened":
                self._journal.note("gap", at_us=now_us, until_told=True)
                self._tracked.gap_began(now_us, until_told=True)
            elif change.state == "gap_closed":
                self._journal.note("gap_over")
                self._tracked.gap_over()
            detail = f"{change.detail}; clock skew {skew_us} us" if skewed else change.detail
            log.info("feed_status", venue=self._shard.venue, shard=self._shard.label, state=change.state, detail=detail)
            status = FeedStatus(
                event_id=event_id(self._shard.venue, self._shard.label, change.state, now_us, detail),
                venue=self._shard.venue,
                shard=self._shard.label,
                state=change.state,
                ts_event_us=now_us,
                ts_received_us=received_us + number,  # readers ask which was said last
                detail=detail,
                markets_tracked=len(self._tracked),
                markets_stale=self._tracked.stale(now_us),
                ticks_published=self._outbox.ticks_published,
                bad_messages=self._outbox.dead_lettered,
                gap_started_us=change.gap_started_us,
                clock_skew_us=skew_us,
            )
            self._outbox.status(status)

    def tell_again(self) -> None:
        """How things stand, when nothing has been said of it for long."""
        if self.state.state is not None and self._clock.monotonic_s() - self._said_s >= SAY_EVERY_S:
            self.tell([Change(self.state.state, "as before")])

    def tell_of_stream(
        self, connection: str, word: FeedWord, detail: str, since_us: int | None, market_ids: Sequence[str]
    ) -> None:
        """How one connection is doing. It is told under a shard of its own, with the markets that it concerns.

        `since_us` is by our clock. It is told by the venue's, as that ran when the gap was first told, so that its end
        names the same begin.
        """
        began_us = None
        if since_us is not None:
            gap = connection, since_us
            began_us = self._stream_gaps.setdefault(gap, self._venue_clock.now_us(since_us))
            if word == "gap_closed":
                del self._stream_gaps[gap]
        received_us = self._clock.now_us()
        now_us = self._venue_clock.now_us(received_us)
        log.info("stream_status", venue=self._shard.venue, connection=connection, state=word, detail=detail)
        shard = f"{self._shard.label}/{connection}"
        status = FeedStatus(
            event_id=event_id(self._shard.venue, shard, word, now_us, detail),
            venue=self._shard.venue,
            shard=shard,
            state=word,
            ts_event_us=now_us,
            ts_received_us=received_us,
            detail=detail,
            markets_tracked=0,  # they are counted by the collector's own statuses
            # What no connection serves is polled as all that is not streamed, and its promise is kept.
            markets_stale=len(market_ids) if word == "gap_opened" and connection != ALL_STREAMS else 0,
            ticks_published=0,
            bad_messages=0,
            gap_started_us=began_us,
            market_ids=tuple(market_ids[:_NAMED_IN_A_STATUS]),
        )
        self._outbox.status(status)

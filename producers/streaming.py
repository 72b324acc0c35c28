"""Streams beside the jobs that poll: what is followed, held against witnesses, looked up, and told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from kernel.clock import Clock
from kernel.errors import PermanentError, TransientError
from kernel.logs import get_logger
from producers.base import Collector, Errand, Streaming
from producers.intake import Intake, Tally
from producers.journal import Journal
from producers.shards import Shard
from producers.streamed import Out, Streamed, Tell
from producers.streams import KEPT_RANK, Streams
from producers.tracked import Tracked
from producers.venue_clock import VenueClock
from producers.witnesses import Witnesses

log = get_logger(__name__)

_FOLLOW_S: Final = 3.0
_LEASES_S: Final = 4.0
_FLUSH_S: Final = 0.1
_FORGET_S: Final = 600.0
_WEIGH_S: Final = 0.5
_HOT_AUDIT_S: Final = 4.0
_AUDIT_S: Final = 20.0
_HOTTEST: Final = 200
_SLICE: Final = 1_000
"""So many markets are handled before a frame may come in between."""

_LOOKUPS: Final = 50
_LOOKUP_AFTER_S: Final = (0.5, 10.0, 60.0)
"""A venue's REST learns of a new or ended market somewhat later than its stream tells of it."""

_REMEMBERED: Final = 20_000


def most_followed(streaming: Streaming | None) -> int:
    """How many markets the streams may want to know of, busiest first."""
    return 0 if streaming is None else int(streaming.places * KEPT_RANK)


class StreamJobs:
    """What runs beside the polling jobs when a venue is streamed.

    Args:
        collector: the venue; its streaming must not be None.
        promise_s: venue seconds within which sweeps come round.
        tell: for `feed.status`.
    """

    def __init__(
        self,
        collector: Collector,
        streaming: Streaming,
        shard: Shard,
        tracked: Tracked,
        venue_clock: VenueClock,
        intake: Intake,
        out: Out,
        clock: Clock,
        promise_s: Callable[[], int],
        tell: Tell,
        journal: Journal | None = None,
    ) -> None:
        self._venue, self._feed, self._reader = collector.venue, collector.feed, collector.reader
        self._streaming, self._tracked, self._venue_clock = streaming, tracked, venue_clock
        self._intake, self._clock, self._promise_s = intake, clock, promise_s
        self._listener = Streamed(
            shard, streaming.sockets, tracked, venue_clock, out, clock, promise_s, tell, self._heard_news, journal
        )
        self.streams = Streams(
            streaming.sockets, self._listener, clock, connections=streaming.connections, places=streaming.places,
            continuity=self._listener.continuity, journal=journal,
        )  # fmt: skip
        intake.beside_streams = self._listener.witnessed
        self._witnesses = (
            None if streaming.witness is None
            else Witnesses(streaming.witness, streaming.witness_connections, self._listener.saw, clock)
        )  # fmt: skip
        self._audited = 0
        self._news: dict[str, tuple[float, int]] = {}
        """Venue's id of a market → when it is to be looked up (our monotonic clock), and how often it was."""

    async def run(self) -> None:
        """Everything, until cancelled. A venue whose time does not run as ours is a tape: swept, not streamed."""
        while not self._venue_clock.runs_as_ours or not len(self._tracked):
            await self._clock.sleep(0.2)
        async with asyncio.TaskGroup() as group:
            group.create_task(self.streams.run())
            if self._witnesses is not None:
                group.create_task(self._witnesses.run())
                group.create_task(self._every(_WEIGH_S, self._weigh))
            group.create_task(self._every(_FOLLOW_S, self._follow))
            group.create_task(self._every(_LEASES_S, self._lease))
            group.create_task(self._every(_FLUSH_S, self._flush))
            group.create_task(self._every(_FORGET_S, self._forget))
            group.create_task(self._every(_HOT_AUDIT_S, self._audit_hottest))
            group.create_task(self._every(_AUDIT_S, self._audit))
            group.create_task(self._every(_LOOKUP_AFTER_S[0], self._look_up))

    def flush(self) -> None:
        """All raw frames that wait go out: the end has come."""
        self._listener.flush(ending=True)

    def health(self) -> Mapping[str, Any]:
        """What /health shows of the streams."""
        continuity = self.streams.continuity
        return {
            "streams_open": self.streams.opened,
            "stream_tokens": len(continuity.tokens),
            "stream_tokens_waiting": continuity.waiting,
            "stream_ticks": self._listener.ticks,
            "witness_agreed": continuity.agreed,
            "witness_contradicted": continuity.contradicted,
            "stream_tokens_frozen": continuity.frozen,
            "witness_streams_open": 0 if self._witnesses is None else self._witnesses.opened,
            "witness_messages_missed": 0 if self._witnesses is None else self._witnesses.missed,
        }

    # ── each of the small jobs ───────────────────────────────────────────────────────────────────────────────────────

    async def _every(self, seconds: float, once: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await once()
            except (TransientError, PermanentError) as error:
                log.info("stream_job_failed", venue=self._venue, error=str(error))
            await self._clock.sleep(seconds)

    async def _follow(self) -> None:
        """The busiest markets are streamed; places are kept up to date as they change."""
        sockets = self._streaming.sockets
        busiest = self._tracked.busiest(most_followed(self._streaming))
        tokens = [sockets.token_of(known.token_id) for known in busiest if known.token_id]
        self.streams.follow(tokens)
        if self._witnesses is not None:
            self._witnesses.follow(tokens)

    async def _lease(self) -> None:
        for some in _slices(self.streams.shown_tokens(), _SLICE):
            self._listener.renew_leases(some)
            await asyncio.sleep(0)

    async def _forget(self) -> None:
        """A venue lists tens of thousands of new markets a day: what is over does not stay in memory."""
        for some in _slices(self._listener.remembered(), _SLICE):
            self._listener.forget_ended(some)
            await asyncio.sleep(0)

    async def _weigh(self) -> None:
        self._listener.weigh()

    async def _flush(self) -> None:
        self._listener.flush()

    async def _audit_hottest(self) -> None:
        """The markets that matter most are held against the live book every few seconds."""
        await self._ask([known.token_id for known in self._tracked.busiest(_HOTTEST) if known.token_id])

    async def _audit(self) -> None:
        """All that is streamed is, some by some, as far as the venue's limits allow."""
        tokens = [self._streaming.sockets.token_id(token) for token in self.streams.continuity.tokens]
        if len(tokens) > self._streaming.audited:
            start, most = self._audited % len(tokens), self._streaming.audited
            tokens = (tokens + tokens)[start : start + most]
            self._audited = start + most
        await self._ask(tokens)

    async def _ask(self, token_ids: Sequence[str]) -> None:
        known = (self._tracked.last_shown(token_id) for token_id in token_ids)
        ids = [self._reader.hot_id(shown.market_id, shown.token_id) for shown in known if shown is not None]
        tally = Tally()
        async for page in self._feed.hot(ids, Errand("hot", self._promise_s())):
            async with self._intake.in_order:
                self._intake.take(page, tally)
            await asyncio.sleep(0)

    def _heard_news(self, venue_market_id: str) -> None:
        """Announcements come many times over; each market is looked up for the first only."""
        if venue_market_id in self._news:
            return
        self._news[venue_market_id] = (self._clock.monotonic_s() + _LOOKUP_AFTER_S[0], 0)
        if len(self._news) > _REMEMBERED:
            del self._news[next(iter(self._news))]

    async def _look_up(self) -> None:
        """What has happened to a market is read from its row, which is the truth about it."""
        now_s = self._clock.monotonic_s()
        due = [name for name, (at_s, _) in self._news.items() if at_s <= now_s][:_LOOKUPS]
        for name in due:
            tries = self._news[name][1] + 1
            after_s = _LOOKUP_AFTER_S[tries] if tries < len(_LOOKUP_AFTER_S) else float("inf")
            self._news[name] = (now_s + after_s, tries)
        if not due:
            return
        tally = Tally()
        async for page in self._feed.lookup(due, Errand("lookup")):
            async with self._intake.in_order:
                self._intake.take(page, tally)


def _slices(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]

"""A collector's jobs, each again when it is due: crawl the metadata, sweep all prices, poll the busiest markets."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from kernel.clock import Clock
from kernel.errors import PermanentError, TransientError
from kernel.logs import get_logger
from kernel.settings import CollectorSettings
from producers.base import Collector, TradedSince
from producers.before import Before
from producers.feed_state import SWEEP, Change
from producers.histories import Backfill
from producers.intake import Intake
from producers.journal import Journal
from producers.limits import backoff_s
from producers.outbox import Outbox
from producers.rhythm import Rhythm
from producers.rounds import CRAWL, HOT, Rounds
from producers.shards import Shard
from producers.statuses import STOPPED, Statuses
from producers.streaming import StreamJobs, most_followed
from producers.takeover import Takeover
from producers.tracked import Tracked
from producers.venue_clock import VenueClock
from schemas.units import US_PER_S

log = get_logger(__name__)

_TRADES = "trades"
_LEAST_PAUSE_S = 0.05
_STANDSTILL_PAUSE_S = 0.1
_IDLE_S = 0.2
_TRADES_EVERY_S = 2.0


class Jobs:
    """What a collector does when, over its feed, reader and outbox.

    Intervals are seconds of the venue's time, which is ours unless the venue is a simulator that plays a tape faster
    and says so: then it is asked more often in the same measure. `first_seen`: see `Takeover`.
    """

    def __init__(
        self,
        collector: Collector,
        settings: CollectorSettings,
        max_bad_share: float,
        outbox: Outbox,
        clock: Clock,
        shard: Shard | None = None,
        *,
        first_seen: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._shard = own = shard or Shard(collector.venue)
        self._venue, self._feed, self._traded_since = collector.venue, collector.feed, collector.traded_since
        self._settings, self._outbox, self._clock = settings, outbox, clock
        busiest = max(settings.collector_hot_markets, most_followed(collector.streaming))
        began_us, max_skew_s = clock.now_us(), settings.collector_max_skew_s
        self.tracked = tracked = Tracked(busiest=busiest)
        self.venue_clock = venue_clock = VenueClock(max_skew_s, began_us)
        self._journal = journal = Journal(outbox.received, clock.now_us)
        journal.note("began", shard=[own.category, own.number, own.of], skew_s=max_skew_s, at_us=began_us)
        intake = Intake(own, collector.reader, tracked, venue_clock, outbox, journal)
        most = settings.collector_history_markets
        backfill = Backfill(collector.histories, collector.reader, tracked, outbox, most)
        self._rhythm = rhythm = Rhythm(settings.collector_price_interval)
        self._statuses = statuses = Statuses(own, tracked, venue_clock, outbox, clock, journal, max_skew_s)
        self._state = statuses.state
        self._takeover = takeover = Takeover(tracked, statuses, rhythm, clock, journal, first_seen)
        self.rounds = Rounds(
            collector, settings, max_bad_share, own, intake, backfill, tracked, venue_clock, clock, journal, rhythm,
            statuses, takeover, busiest,
        )  # fmt: skip
        self._crawl_tried = asyncio.Event()
        self._stopped_us: int | None = None
        self.streaming: StreamJobs | None = None
        if collector.streaming is not None:
            self.streaming = StreamJobs(
                collector, collector.streaming, own, tracked, venue_clock, intake, outbox, clock,
                lambda: rhythm.heartbeat_s, statuses.tell_of_stream, journal,
            )  # fmt: skip

    async def remember(self, before: Before) -> None:
        """Begins where the process before ended."""
        await self._takeover.remember(before)
        self.rounds.expect(len(self.tracked))

    def loops(self) -> list[Coroutine[Any, Any, None]]:
        """The jobs that the settings ask for."""
        hot = [self.hot_polls()] if self._settings.collector_hot_markets else []
        streams = [] if self.streaming is None else [self.streaming.run()]
        trades = [] if self._traded_since is None else [self.trade_polls(self._traded_since)]
        return [self.crawls(), self.sweeps(), *hot, *streams, *trades]

    # ── the jobs, each for ever ──────────────────────────────────────────────────────────────────────────────────────

    async def crawls(self) -> None:
        """Metadata: at once, then at its interval."""
        while True:
            while not await self._attempt(CRAWL, self.rounds.crawl):
                self._crawl_tried.set()
                await self._clock.sleep(self._retry_s(CRAWL))
            self._crawl_tried.set()
            self._statuses.tell([Change(self._state.state or "connected", "markets synchronised")])
            await self._venue_seconds(self._settings.collector_market_interval)

    async def sweeps(self) -> None:
        """All prices, again and again. The first crawl shows them too, so sweeps begin when it is done, or fails."""
        await self._crawl_tried.wait()
        while True:
            began_s = self._clock.monotonic_s()
            if await self._attempt(SWEEP, self.rounds.sweep):
                pause_s = self._pause_s(self._clock.monotonic_s() - began_s)
            else:
                pause_s = self._retry_s(SWEEP)
            await self._clock.sleep(pause_s)

    async def hot_polls(self) -> None:
        """Prices of the busiest markets, more often, from the first that are known on."""
        while True:
            # A venue whose time moves only with the sweeps has nothing new in between.
            if self.venue_clock.lockstep or not self.tracked.busiest(1):
                await self._clock.sleep(_IDLE_S)
                continue
            began_s = self._clock.monotonic_s()
            if await self._attempt(HOT, self.rounds.hot_poll):
                spent_s = self._clock.monotonic_s() - began_s
                pause_s = self._settings.collector_hot_interval / self.venue_clock.pace - spent_s
            else:
                pause_s = self._retry_s(HOT)
            await self._clock.sleep(max(pause_s, self._least_pause_s()))

    async def trade_polls(self, traded_since: TradedSince) -> None:
        """Markets that have traded are read again within seconds: one call tells which, for all markets.

        As streams, only of a venue whose time runs as ours.
        """
        while True:
            if not self.venue_clock.runs_as_ours or not len(self.tracked):
                await self._clock.sleep(_IDLE_S)
                continue
            done = await self._attempt(_TRADES, lambda: self.rounds.trade_poll(traded_since))
            await self._clock.sleep(_TRADES_EVERY_S if done else self._retry_s(_TRADES))

    async def close(self) -> None:
        """Says good-bye and closes the connections. What passes from here on nobody watches."""
        self._stopped_us = self._now_us()
        if self.streaming is not None:
            self.streaming.flush()
        self._journal.flush()
        self._statuses.tell([Change("disconnected", STOPPED)])
        await self._feed.close()

    # ── when it is due again ─────────────────────────────────────────────────────────────────────────────────────────

    def _now_us(self) -> int:
        return self.venue_clock.now_us(self._clock.now_us())

    async def _attempt(self, job: str, once: Callable[[], Awaitable[None]]) -> bool:
        """Whether one round of a job was done in full. Only nonsense input goes through."""
        try:
            await once()
        except (TransientError, PermanentError) as error:
            log.warning("job_failed", venue=self._venue, job=job, error=str(error))
            self._statuses.tell(self._state.failed(job, str(error)))
            return False
        self._statuses.tell(self._state.succeeded(job))
        return True

    def _pause_s(self, spent_s: float) -> float:
        """Wall seconds to wait after a sweep that took so long."""
        least_s = self._settings.collector_min_pause_s
        if self.venue_clock.lockstep:
            # A tape that is held or over does not need asking a thousand times a second.
            return max(least_s, _STANDSTILL_PAUSE_S) if self._rhythm.stands_still else least_s
        return max(least_s, self._settings.collector_price_interval / self.venue_clock.pace - spent_s)

    async def _venue_seconds(self, seconds: float) -> None:
        """Waits so long by the venue's clock, which may change its pace meanwhile."""
        began_us = self._now_us()
        while (left_s := seconds - (self._now_us() - began_us) / US_PER_S) > 0:
            await self._clock.sleep(min(0.5, max(_LEAST_PAUSE_S, left_s / self.venue_clock.pace)))

    def _retry_s(self, job: str) -> float:
        """Wall seconds to wait after a job failed."""
        return max(self._least_pause_s(), backoff_s(self._state.failures(job), None, 0))

    def _least_pause_s(self) -> float:
        return max(self._settings.collector_min_pause_s, _LEAST_PAUSE_S)

    # ── how it goes ──────────────────────────────────────────────────────────────────────────────────────────────────

    def watch(self) -> None:
        """Notices a gap while a sweep is late; says now and then how things stand, changed or not."""
        self._journal.flush()
        self._takeover.wait_for_an_answer()
        self._statuses.tell(self._state.watch(self._now_us(), self._rhythm.due_s))
        self._statuses.tell_again()

    @property
    def seen_until_us(self) -> int | None:
        """Until when the venue has been watched without a gap; None before the first whole sweep: who ends before it
        leaves the time before him as unseen as he found it."""
        known = self._state.has_swept and not self._state.gap_open
        return (self._stopped_us or self._now_us()) if known else None

    @property
    def promise_s(self) -> int:
        """What whoever comes next owes."""
        return math.ceil(self._rhythm.due_s)

    def health(self) -> Mapping[str, Any]:
        """What /health shows of the collector. May be asked from another thread: it walks over nothing that may change
        meanwhile."""
        return {
            "venue": self._venue,
            "shard": self._shard.label,
            "feed": self._state.state or "starting",
            "markets_tracked": len(self.tracked),
            "markets_held": self.tracked.held,
            "markets_ended": self.tracked.ended,
            "dates_disbelieved": self.venue_clock.disbelieved,
            "last_sweep_age_s": self.rounds.last_sweep_age_s,
            "sweep_promise_s": math.ceil(self._rhythm.promise_s),
            "pace": self.venue_clock.pace,
            "lockstep": self.venue_clock.lockstep,
            "kafka_away": self._outbox.kafka_away,
            **({} if self.streaming is None else self.streaming.health()),
        }

"""The three jobs of a collector: crawl the metadata, sweep all prices, poll the busiest markets."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any

from kernel import metrics
from kernel.clock import Clock
from kernel.dead_letters import BadInputLimit
from kernel.errors import PermanentError, TooMuchBadInputError, TransientError
from kernel.logs import get_logger
from kernel.settings import CollectorSettings
from producers.base import Answer, Collector, Mapped, Moment, Page
from producers.feed_state import GAP_PROMISES, Change, FeedState
from producers.limits import backoff_s
from producers.outbox import Outbox
from producers.rhythm import Rhythm
from producers.venue_clock import VenueClock
from schemas.events import FeedStatus
from schemas.units import US_PER_S, event_id
from schemas.words import TickSource

log = get_logger(__name__)

SHARD = "all"
_MIN_ROWS_TO_JUDGE = 20
_LEAST_PAUSE_S = 0.05
_IDLE_S = 0.2
_LOOKUPS_A_CRAWL = 2_000
_LOOKUP_TRIES = 3


class Jobs:
    """What a collector does, over its feed, catalogue and outbox.

    Intervals are seconds of the venue's time; `VenueClock` turns them into ours, so a simulated venue that plays a
    tape faster is asked more often in the same measure.
    """

    def __init__(
        self, collector: Collector, settings: CollectorSettings, max_bad_share: float, outbox: Outbox, clock: Clock
    ) -> None:
        self._venue = collector.venue
        self._feed = collector.feed
        self._catalog = collector.catalog
        self._tracked = collector.catalog.tracked
        self._settings = settings
        self._max_bad_share = max_bad_share
        self._outbox = outbox
        self._clock = clock
        self._venue_clock = VenueClock(believe_stepped=collector.on_loopback)
        self._state = FeedState()
        self._crawled = asyncio.Event()
        self._skewed = False
        self._skew_us: int | None = None
        self._last_sweep_s: float | None = None
        self._sweep_rhythm = Rhythm(settings.collector_price_interval)
        self._hot_rhythm = Rhythm(settings.collector_hot_interval)
        self._unfound: Counter[str] = Counter()

    def loops(self) -> list[Coroutine[Any, Any, None]]:
        """The jobs that the settings ask for."""
        hot = [self.hot_polls()] if self._settings.collector_hot_markets else []
        return [self.crawls(), self.sweeps(), *hot]

    # ── the jobs, each for ever ──────────────────────────────────────────────────────────────────────────────────────

    async def crawls(self) -> None:
        """Metadata: at once, then at its interval."""
        while True:
            while not await self._attempt("sync_markets", self.crawl):
                await self._clock.sleep(self._retry_s("sync_markets"))
            self._crawled.set()
            self._tell([Change(self._state.state or "connected", "markets synchronised")])
            await self._venue_seconds(self._settings.collector_market_interval)

    async def sweeps(self) -> None:
        """All prices, from the end of the first crawl on."""
        await self._crawled.wait()
        while True:
            began_s = self._clock.monotonic_s()
            if await self._attempt("sync_prices", self.sweep):
                spent_s = self._clock.monotonic_s() - began_s
                pause_s = self._venue_clock.pause_s(
                    self._settings.collector_price_interval, spent_s, self._settings.collector_min_pause
                )
            else:
                pause_s = self._retry_s("sync_prices")
            await self._clock.sleep(pause_s)

    async def hot_polls(self) -> None:
        """Prices of the busiest markets, more often."""
        while True:
            # A venue whose time moves only with the sweeps has nothing new in between.
            if not self._venue_clock.learned or self._venue_clock.stepped:
                await self._clock.sleep(_IDLE_S)
                continue
            began_s = self._clock.monotonic_s()
            if await self._attempt("hot", self.hot_poll):
                spent_s = self._clock.monotonic_s() - began_s
                pause_s = self._settings.collector_hot_interval / self._venue_clock.pace - spent_s
            else:
                pause_s = self._retry_s("hot")
            await self._clock.sleep(max(pause_s, self._least_pause_s()))

    async def close(self) -> None:
        """Says good-bye and closes the connections."""
        self._tell([Change("disconnected", "the collector was stopped")])
        await self._feed.close()

    # ── one round of each ────────────────────────────────────────────────────────────────────────────────────────────

    async def crawl(self) -> None:
        """One crawl of all metadata; then asks after the markets that are no longer listed."""
        began_s = self._clock.monotonic_s()
        tally = _Tally()
        self._tracked.begin_crawl()
        async for page in self._feed.crawl():
            self._learn(page, tally)
            await asyncio.sleep(0)
        self._judge(tally, "sync_markets")
        missing = self._tracked.vanished(_LOOKUPS_A_CRAWL)
        if missing:
            await self._look_up(missing, tally)
        log.info("markets_synced", **self._summary(tally, began_s), vanished=len(missing))

    async def sweep(self) -> None:
        """One sweep of all prices."""
        began_s = self._clock.monotonic_s()
        tally = _Tally()
        first_us: int | None = None
        seen: set[str] = set()
        async for page in self._feed.sweep():
            if first_us is None:
                first_us = self._now_us(page.answer)
                self._venue_clock.sweep_began(first_us, page.answer.asked_s, page.answer.received_s)
            self._publish_ticks(page, self._moment(page.answer, "sweep", self._sweep_rhythm.heartbeat_s), tally, seen)
            await asyncio.sleep(0)
        self._judge(tally, "sync_prices")
        if first_us is not None:
            self._swept(first_us, self._clock.monotonic_s() - began_s)
        log.info("sweep_done", **self._summary(tally, began_s), pace=round(self._venue_clock.pace, 2))

    async def hot_poll(self) -> None:
        """One poll of the busiest markets."""
        ids = self._catalog.hot_ids(self._settings.collector_hot_markets)
        began_s = self._clock.monotonic_s()
        tally = _Tally()
        first_us: int | None = None
        async for page in self._feed.hot(ids):
            first_us = self._now_us(page.answer) if first_us is None else first_us
            self._publish_ticks(page, self._moment(page.answer, "hot", self._hot_rhythm.heartbeat_s), tally, set())
            await asyncio.sleep(0)
        self._judge(tally, "hot")
        if first_us is not None:
            took_s = (self._clock.monotonic_s() - began_s) * self._venue_clock.pace
            self._hot_rhythm.came_round(first_us, took_s, disturbed=self._state.failures("hot") > 0)

    # ── what happens to a page ───────────────────────────────────────────────────────────────────────────────────────

    def _learn(self, page: Page, tally: _Tally) -> None:
        moment = self._moment(page.answer, "sweep", 0)
        mapped = self._catalog.learn(page, moment)
        for market in mapped.events:
            if self._tracked.changed(market):
                self._outbox.market(market)
                tally.published += 1
        self._account(page, mapped, tally)

    def _publish_ticks(self, page: Page, moment: Moment, tally: _Tally, seen: set[str]) -> None:
        mapped = self._catalog.ticks(page, moment)
        hot_rests_us = int(GAP_PROMISES * self._hot_rhythm.promise_s * US_PER_S)
        for tick in mapped.events:
            if tick.market_id in seen:
                tally.skipped["listed_twice"] += 1
                continue
            seen.add(tick.market_id)
            reason = self._tracked.admit(tick, hot_rests_us=hot_rests_us)
            if reason:
                tally.skipped[reason] += 1
            else:
                self._outbox.tick(tick, self._tracked.category(tick.market_id))
                tally.published += 1
        self._account(page, mapped, tally)

    async def _look_up(self, ids: Sequence[str], tally: _Tally) -> None:
        """Markets that a whole crawl did not meet: mostly closed since. Their last state goes out."""
        found: set[str] = set()
        async for page in self._feed.lookup(ids):
            self._learn(page, tally)
            self._publish_ticks(page, self._moment(page.answer, "sweep", 0), tally, found)
        unmet = [i for i in ids if not self._tracked.met(self._catalog.market_id(i))]
        self._unfound = Counter({i: self._unfound[i] + 1 for i in unmet})
        gone = [i for i, tries in self._unfound.items() if tries >= _LOOKUP_TRIES]
        for venue_market_id in gone:
            self._tracked.forget(self._catalog.market_id(venue_market_id))
        if gone:
            log.warning("markets_unknown_to_venue", venue=self._venue, count=len(gone), example=gone[0])

    def _account(self, page: Page, mapped: Mapped[Any], tally: _Tally) -> None:
        for error in mapped.bad:
            self._outbox.refused(error, page.answer.channel)
        for reason, count in mapped.left_out.items():
            metrics.BAD_INPUT.labels("producer", reason).inc(count)
            tally.skipped[reason] += count
        tally.pages += 1
        tally.rows += mapped.rows
        tally.bad += len(mapped.bad)

    def _judge(self, tally: _Tally, job: str) -> None:
        """Stops everything when most rows are unusable: the venue has changed its format, or it is another server."""
        try:
            BadInputLimit(self._max_bad_share, at_least=_MIN_ROWS_TO_JUDGE).saw(tally.rows, tally.bad)
        except TooMuchBadInputError as error:
            detail = f"{job}: {error}"
            self._tell([Change("disconnected", detail)])
            raise TooMuchBadInputError(f"{self._venue} {detail}") from error

    # ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _moment(self, answer: Answer, source: TickSource, heartbeat_s: int) -> Moment:
        """When a page was true. Without a Date it is taken as of its arrival, and flagged, since nothing tells."""
        if answer.date_us is not None:
            self._venue_clock.observe(answer.date_us, answer.received_s)
        self._check_skew(answer)
        return Moment(
            ts_event_us=answer.ts_received_us if answer.ts_event_us is None else answer.ts_event_us,
            ts_received_us=answer.ts_received_us,
            ts_event_basis="received" if answer.ts_event_us is None else "http_date",
            source=source,
            heartbeat_s=heartbeat_s,
            flags=("clock_skew",) if self._skewed or answer.date_us is None else (),
        )

    def _check_skew(self, answer: Answer) -> None:
        self._skew_us = None if answer.date_us is None else answer.ts_received_us - answer.date_us
        skewed = self._skew_us is not None and abs(self._skew_us) > self._settings.collector_max_skew_s * US_PER_S
        if skewed != self._skewed:
            self._skewed = skewed
            log.warning("clock_skew" if skewed else "clock_skew_over", venue=self._venue, skew_us=self._skew_us)

    def _now_us(self, answer: Answer) -> int:
        return answer.ts_received_us if answer.date_us is None else answer.date_us

    def _swept(self, began_us: int, spent_s: float) -> None:
        """Takes note of a whole sweep."""
        self._tell(self._state.swept(began_us, self._sweep_rhythm.promise_s))
        disturbed = self._state.failures("sync_prices") > 0
        self._sweep_rhythm.came_round(began_us, spent_s * self._venue_clock.pace, disturbed=disturbed)
        self._last_sweep_s = self._clock.monotonic_s()

    async def _venue_seconds(self, seconds: float) -> None:
        """Waits so long by the venue's clock."""
        began_us = self._venue_clock.now_us(self._clock.monotonic_s())
        while True:
            now_us = self._venue_clock.now_us(self._clock.monotonic_s())
            left_s = seconds if now_us is None or began_us is None else seconds - (now_us - began_us) / US_PER_S
            if left_s <= 0:
                return
            await self._clock.sleep(min(0.5, max(0.05, left_s / self._venue_clock.pace)))

    def _retry_s(self, job: str) -> float:
        """Wall seconds to wait after a job failed."""
        return max(self._least_pause_s(), backoff_s(self._state.failures(job), None, 0))

    def _least_pause_s(self) -> float:
        return max(self._settings.collector_min_pause, _LEAST_PAUSE_S)

    # ── how it goes ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _attempt(self, job: str, once: Callable[[], Awaitable[None]]) -> bool:
        """Whether one round of a job was done in full. Only nonsense input goes through."""
        try:
            await once()
        except (TransientError, PermanentError) as error:
            log.warning("job_failed", venue=self._venue, job=job, error=str(error))
            self._tell(self._state.failed(job, str(error)))
            return False
        self._tell(self._state.succeeded(job))
        return True

    def watch(self) -> None:
        """Notices a gap while a sweep is late."""
        now_us = self._venue_clock.now_us(self._clock.monotonic_s())
        if now_us is not None:
            self._tell(self._state.watch(now_us, self._sweep_rhythm.promise_s))

    def health(self) -> Mapping[str, Any]:
        """What /health shows beside the heartbeat."""
        age_s = None if self._last_sweep_s is None else round(self._clock.monotonic_s() - self._last_sweep_s, 1)
        return {
            "venue": self._venue,
            "state": self._state.state or "starting",
            "markets_tracked": len(self._tracked),
            "last_sweep_age_s": age_s,
            "pace": round(self._venue_clock.pace, 2),
            "stepped": self._venue_clock.stepped,
            "kafka_away": self._outbox.kafka_away,
        }

    def _tell(self, changes: Sequence[Change]) -> None:
        """Changes go to `feed.status` and the log."""
        received_us = self._clock.now_us()
        now_us = self._venue_clock.now_us(self._clock.monotonic_s()) or received_us
        for change in changes:
            detail = f"{change.detail}; clock skew {self._skew_us} us" if self._skewed else change.detail
            log.info("feed_status", venue=self._venue, state=change.state, detail=detail)
            status = FeedStatus(
                event_id=event_id(self._venue, SHARD, change.state, now_us, detail),
                venue=self._venue,
                shard=SHARD,
                state=change.state,
                ts_event_us=now_us,
                ts_received_us=received_us,
                detail=detail,
                markets_tracked=len(self._tracked),
                markets_stale=self._tracked.stale(now_us, GAP_PROMISES),
                ticks_published=self._outbox.ticks_published,
                bad_messages=self._outbox.dead_lettered,
                gap_started_us=change.gap_started_us,
                clock_skew_us=self._skew_us,
            )
            self._outbox.status(status)

    def _summary(self, tally: _Tally, began_s: float) -> dict[str, Any]:
        return {
            "venue": self._venue,
            "duration_ms": round((self._clock.monotonic_s() - began_s) * 1000),
            "pages": tally.pages,
            "rows": tally.rows,
            "published": tally.published,
            "bad": tally.bad,
            "skipped": dict(tally.skipped),
        }


class _Tally:
    """Counts of one round."""

    def __init__(self) -> None:
        self.pages = self.rows = self.bad = self.published = 0
        self.skipped: Counter[str] = Counter()

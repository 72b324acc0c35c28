"""The three jobs of a collector: crawl the metadata, sweep all prices, poll the busiest markets."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any

from kernel.clock import Clock
from kernel.dead_letters import BadInputLimit
from kernel.errors import PermanentError, TooMuchBadInputError, TransientError
from kernel.logs import get_logger
from kernel.settings import CollectorSettings
from producers.base import Collector, Errand, Page, Received, TradedSince
from producers.before import Before
from producers.feed_state import GAP_PROMISES, SWEEP, Change, FeedState
from producers.histories import Backfill
from producers.intake import Intake, Tally
from producers.journal import Journal
from producers.limits import backoff_s
from producers.outbox import Outbox
from producers.rhythm import Rhythm
from producers.shards import Shard
from producers.streamed import ALL_STREAMS
from producers.streaming import StreamJobs, most_followed
from producers.tracked import Tracked
from producers.venue_clock import VenueClock
from producers.wholeness import Wholeness
from schemas.events import FeedStatus
from schemas.times import is_ahead
from schemas.units import US_PER_S, event_id
from schemas.words import FeedWord

log = get_logger(__name__)

CRAWL, HOT, TRADES = "sync_markets", "hot", "trades"
SAY_EVERY_S = 60.0
"""Wall seconds after which the state is said again: who was killed said nothing."""

ANSWER_WITHIN_S = 10.0
"""Wall seconds after its start in which a collector waits for a first answer, before it says that it is blind."""

STOPPED = "the collector was stopped"
"""What the last word of a collector says that was told to end."""

_MIN_ROWS_TO_JUDGE = 20
_LEAST_PAUSE_S = 0.05
_STANDSTILL_PAUSE_S = 0.1
_IDLE_S = 0.2
_LOOKUPS_A_CRAWL = _LOOKUPS_A_SWEEP = 2_000
_LOOKUP_TRIES = 3
_NAMED_IN_A_STATUS = 500
_TRADES_EVERY_S = 2.0
_RESCUED_A_SWEEP = 20_000
_SAMPLE = 200


class Jobs:
    """What a collector does, over its feed, reader and outbox.

    Intervals are seconds of the venue's time, which is ours unless the venue is a simulator that plays a tape faster
    and says so: then it is asked more often in the same measure.

    `first_seen` is told the venue's time of the very first answer, of a venue that nobody watched before, and is done
    before anything of that answer is published.
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
        self._shard = shard or Shard(collector.venue)
        self._venue = collector.venue
        self._feed = collector.feed
        self._reader = collector.reader
        self._settings = settings
        self._max_bad_share = max_bad_share
        self._outbox = outbox
        self._clock = clock
        self._busiest = max(settings.collector_hot_markets, most_followed(collector.streaming))
        self.tracked = Tracked(busiest=self._busiest)
        began_us = clock.now_us()
        self.venue_clock = VenueClock(settings.collector_max_skew_s, began_us)
        self._journal = journal = Journal(outbox.received, clock.now_us)
        own = self._shard
        journal.note(
            "began", shard=[own.category, own.number, own.of], skew_s=settings.collector_max_skew_s, at_us=began_us
        )
        self.intake = Intake(own, collector.reader, self.tracked, self.venue_clock, outbox, journal)
        most = settings.collector_history_markets
        self._backfill = Backfill(collector.histories, collector.reader, self.tracked, outbox, most)
        self._state = FeedState()
        self._crawl_tried = asyncio.Event()
        self._last_sweep_s: float | None = None
        self._last_sweep_us = 0
        self._stands_still = False
        self._rhythm = Rhythm(settings.collector_price_interval)
        self._whole = {job: Wholeness() for job in (CRAWL, SWEEP)}
        self._unfound: Counter[str] = Counter()
        self._traded_since, self._traded_us = collector.traded_since, 0
        self._absent_since_us: int | None = None
        self._first_seen, self._is_first = first_seen, False
        self._began_us, self._began_s = began_us, clock.monotonic_s()
        self._blind_told_us: int | None = None
        self._stopped_us: int | None = None
        self._ended_early = False
        self._promised_before_s = 0.0
        self._owed_s = 0
        self._said_s = clock.monotonic_s()
        self._stream_gaps: dict[tuple[str, int], int] = {}
        self.streaming: StreamJobs | None = None
        if collector.streaming is not None:
            self.streaming = StreamJobs(
                collector, collector.streaming, self._shard, self.tracked, self.venue_clock, self.intake, outbox, clock,
                lambda: self._promise_s, self._tell_of_stream, journal,
            )  # fmt: skip

    async def remember(self, before: Before) -> None:
        """Begins where the process before ended: what it told is not told again, and the time between is a gap."""
        watched_until_us = 0 if before.begun else before.until_us or 0
        self._journal.note(
            "remember",
            markets=len(before.markets),
            watched_until_us=watched_until_us,
            safe_until_us=before.until_us,
        )
        for number, told in enumerate(before.markets.values()):
            self.tracked.restore(told, before.until_us, before.promise_s)
            if number % 1_000 == 0:
                await asyncio.sleep(0)
        for whole in self._whole.values():
            whole.was_whole(len(self.tracked))
        self._began_us, self._began_s = self._clock.now_us(), self._clock.monotonic_s()
        self._absent_since_us = before.until_us
        self._ended_early = before.hands_full or before.begun
        self._is_first = before.until_us is None
        self._promised_before_s = before.promise_s or self._settings.collector_price_interval
        self._owed_s = before.promise_s
        if self._owed_s:
            self._journal.note("promise", s=self._owed_s)
        self.tracked.watched_until_us = watched_until_us

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
            while not await self._attempt(CRAWL, self.crawl):
                self._crawl_tried.set()
                await self._clock.sleep(self._retry_s(CRAWL))
            self._crawl_tried.set()
            self._tell([Change(self._state.state or "connected", "markets synchronised")])
            await self._venue_seconds(self._settings.collector_market_interval)

    async def sweeps(self) -> None:
        """All prices, again and again. The first crawl shows them too, so sweeps begin when it is done, or fails."""
        await self._crawl_tried.wait()
        while True:
            began_s = self._clock.monotonic_s()
            if await self._attempt(SWEEP, self.sweep):
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
            if await self._attempt(HOT, self.hot_poll):
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
            done = await self._attempt(TRADES, lambda: self.trade_poll(traded_since))
            await self._clock.sleep(_TRADES_EVERY_S if done else self._retry_s(TRADES))

    async def close(self) -> None:
        """Says good-bye and closes the connections. What passes from here on nobody watches."""
        self._stopped_us = self._now_us()
        if self.streaming is not None:
            self.streaming.flush()
        self._journal.flush()
        self._tell([Change("disconnected", STOPPED)])
        await self._feed.close()

    # ── one round of each ────────────────────────────────────────────────────────────────────────────────────────────

    async def crawl(self) -> None:
        """One crawl of all metadata, with the quotes in it; then asks after the markets that are no longer listed."""
        began_s = self._clock.monotonic_s()
        tally = Tally()
        async for page in self._feed.crawl(Errand("crawl", self._promise_s)):
            await self._introduce(page, tally)
            await asyncio.sleep(0)
        self._judge(tally, CRAWL)
        await self._prove_whole(CRAWL, tally, self.tracked.vanished)
        missing = self.tracked.vanished(_LOOKUPS_A_CRAWL)
        if missing:
            await self._look_up(missing, tally)
        self._backfill.over()
        log.info(
            "markets_synced", **self._summary(tally, began_s), vanished=len(missing), histories=self._backfill.told
        )

    async def sweep(self) -> None:
        """One sweep of all prices. Markets that it does not come to, or no longer lists, are asked for by name."""
        began_s, began_us = self._clock.monotonic_s(), self._now_us() - US_PER_S  # Dates are cut to seconds
        tally = Tally()
        first_us: int | None = None
        try:
            async for page in self._feed.sweep(Errand("sweep", self._promise_s)):
                as_of_us = await self._take(page, tally)
                first_us = as_of_us if first_us is None else first_us
                await asyncio.sleep(0)
            self._judge(tally, SWEEP)
            await self._prove_whole(SWEEP, tally, lambda count: self._unseen_since(began_us, count))
        except (TransientError, PermanentError):
            await self._rescue(began_us, tally)
            raise
        await self._ask_after_unlisted(began_us, tally)
        if first_us is not None:
            self._swept(first_us, self._clock.monotonic_s() - began_s)
        log.info("sweep_done", **self._summary(tally, began_s), pace=self.venue_clock.pace)

    async def hot_poll(self) -> None:
        """One poll of the busiest markets. What they promise is the next sweep: a market may cool down before."""
        busiest = self.tracked.busiest(self._settings.collector_hot_markets)
        ids = [self._reader.hot_id(known.market_id, known.token_id) for known in busiest]
        tally = Tally()
        async for page in self._feed.hot(ids, Errand("hot", self._promise_s)):
            await self._take(page, tally)
            await asyncio.sleep(0)
        self._judge(tally, HOT)

    async def trade_poll(self, traded_since: TradedSince) -> None:
        """The rows of all markets that have traded since the poll before."""
        errand = Errand("hot", self._promise_s)
        traded, newest_us = await traded_since(self._traded_us or self._now_us(), errand)
        async for page in self._feed.hot(traded, errand):
            await self._take(page, Tally())
            await asyncio.sleep(0)
        self._traded_us = newest_us

    async def _look_up(self, ids: Sequence[str], tally: Tally) -> None:
        """Markets that a whole crawl did not meet: mostly closed since. Their last state goes out."""
        async for page in self._feed.lookup(ids, Errand("lookup")):
            await self._take(page, tally)
        unmet = [i for i in ids if not self.tracked.met(self._reader.market_id(i))]
        self._unfound = Counter({i: self._unfound[i] + 1 for i in unmet})
        gone = [i for i, tries in self._unfound.items() if tries >= _LOOKUP_TRIES]
        for venue_market_id in gone:
            market_id = self._reader.market_id(venue_market_id)
            self._journal.note("forget", market=market_id)
            self.tracked.forget(market_id)
        if gone:
            log.warning("markets_unknown_to_venue", venue=self._venue, count=len(gone), example=gone[0])

    async def _ask_after_unlisted(self, began_us: int, tally: Tally) -> None:
        """Open markets that a whole listing left out: mostly their trading is over. Their last tick promises a sweep,
        and the next crawl may be a quarter of an hour away. A busy one may have been shown by a book meanwhile, which
        does not say that trading is over."""
        doubtful = (*self.tracked.unseen_since(began_us, _LOOKUPS_A_SWEEP), *self.tracked.busiest(self._busiest))
        ids = list({known.venue_market_id: None for known in doubtful if known.market_id not in tally.markets})
        if not ids:
            return
        try:
            async for page in self._feed.lookup(ids, Errand("lookup", self._promise_s)):
                await self._take(page, tally)
                await asyncio.sleep(0)
        except (TransientError, PermanentError) as error:  # the next sweep asks again
            log.info("unlisted_unanswered", venue=self._venue, count=len(ids), error=str(error))

    async def _rescue(self, began_us: int, tally: Tally) -> None:
        """After a listing broke off: the markets that it did not come to, those unseen the longest first."""
        unseen = self.tracked.unseen_since(began_us, _RESCUED_A_SWEEP)
        if not unseen:
            return
        ids = [self._reader.hot_id(known.market_id, known.token_id) for known in unseen if known.token_id]
        try:
            async for page in self._feed.hot(ids, Errand("hot", self._promise_s)):
                await self._take(page, tally)
                await asyncio.sleep(0)
        except (TransientError, PermanentError) as error:
            log.info("rescue_failed", venue=self._venue, error=str(error))
        seen = sum(known.seen_us >= began_us for known in unseen)
        log.info("rescued", venue=self._venue, unseen=len(unseen), seen=seen)

    async def _prove_whole(self, job: str, tally: Tally, missing: Callable[[int], list[str]]) -> None:
        """A listing that ended in order but shows far fewer markets than the one before was cut, unless most of the
        missing have really ended: some of them are asked for by name.

        Raises:
            TransientError: it was cut.
        """
        whole, listed = self._whole[job], len(tally.markets)
        if whole.is_short(listed):
            sample = missing(_SAMPLE)
            async for page in self._feed.lookup(sample, Errand("lookup")):
                await self._take(page, tally)
            still_open = sum(self.tracked.is_open(self._reader.market_id(each)) for each in sample)
            if not sample or still_open * 2 > len(sample):
                raise TransientError(f"{job}: the listing ended after {listed} markets, {whole.expected} before")
        whole.was_whole(listed)

    def _unseen_since(self, moment_us: int, count: int) -> list[str]:
        return [known.venue_market_id for known in self.tracked.unseen_since(moment_us, count)]

    def _judge(self, tally: Tally, job: str) -> None:
        """Stops everything when most rows are unusable: the venue has changed its format, or it is another server."""
        try:
            BadInputLimit(self._max_bad_share, at_least=_MIN_ROWS_TO_JUDGE).saw(tally.rows, tally.bad)
        except TooMuchBadInputError as error:
            detail = f"{job}: {error}"
            self._tell([Change("disconnected", detail)])
            raise TooMuchBadInputError(f"{self._venue} {detail}") from error

    async def _introduce(self, page: Page, tally: Tally) -> None:
        """A page of a crawl to the intake. Markets that matter wait for their history: after their first tick it is
        late. Whatever arrives meanwhile waits behind them."""
        async with self.intake.in_order:
            self._look_back(page)
            read = self.intake.read(page, tally)
            waiting = self._backfill.wanted(read)
            first = {shown.market_id for shown, _ in waiting}
            self.intake.admit(read, [state for state in read.states if state[0].market_id not in first], tally)
            if waiting:
                past = await self._backfill.ask(waiting, read.moment.as_of_us)
                self.intake.admit(read, waiting, tally, past)

    async def _take(self, page: Page, tally: Tally) -> int:
        """A page to the intake, behind those that arrived before it; as of when it was."""
        async with self.intake.in_order:
            self._look_back(page)
            return self.intake.take(page, tally).as_of_us

    def _look_back(self, page: Page) -> None:
        if not self._unanswered:
            return
        first_us, since_us, blind_us = _said_us(page.received), self._absent_since_us, self._blind_told_us
        self._absent_since_us, self._is_first = None, False
        self._state.answered()
        goes_on = blind_us is not None and blind_us <= first_us
        if blind_us is not None and not goes_on:  # it was told by our clock, which is ahead of the venue's
            self._tell(self._state.mistimed(), self._clock.now_us())
        if since_us is None:
            self._first_seen(self._began_us if goes_on else first_us)
        if goes_on:
            return
        if since_us is None:
            self._tell(self._state.begins(first_us), first_us)
        elif blind_us is not None or self._is_gap(since_us, first_us):
            self._tell(self._state.was_away(since_us, first_us), first_us)
        else:
            # The first sweep is still due by what was promised before.
            self._state.took_over(since_us, self._promised_before_s)

    @property
    def _unanswered(self) -> bool:
        """Whether nothing that can be used has come since the start."""
        return self._is_first or self._absent_since_us is not None

    def _is_gap(self, since_us: int, now_us: int) -> bool:
        """Whether somebody was missing for longer than a sweep may take, or was killed with what it had seen in its
        hands, or before it had seen all."""
        return self._ended_early or now_us - since_us > GAP_PROMISES * self._promised_before_s * US_PER_S

    def _wait_for_an_answer(self) -> None:
        """Without any for a while the feed is blind, which is told by our clock: the venue's cannot be asked."""
        waited_s, now_us = self._clock.monotonic_s() - self._began_s, self._clock.now_us()
        if not self._unanswered or waited_s < ANSWER_WITHIN_S:
            return
        self._tell(self._state.unanswered(waited_s), now_us)
        since_us = self._absent_since_us
        if self._blind_told_us is None and (since_us is None or self._is_gap(since_us, now_us)):
            self._blind_told_us = now_us
            blind = self._state.begins(self._began_us) if since_us is None else self._state.was_away(since_us, now_us)
            self._tell(blind, now_us)

    # ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _now_us(self) -> int:
        return self.venue_clock.now_us(self._clock.now_us())

    def _swept(self, began_us: int, spent_s: float) -> None:
        """Takes note of a whole sweep."""
        self._tell(self._state.swept(began_us, self._due_s))
        disturbed, promised_s = self._state.failures(SWEEP) > 0, self._promise_s
        self._rhythm.came_round(began_us, spent_s * self.venue_clock.pace, disturbed=disturbed)
        if self._promise_s != promised_s:
            self._journal.note("promise", s=self._promise_s)
        self._last_sweep_s = self._clock.monotonic_s()
        if self._rhythm.changed():
            event = "price_interval_kept" if self._rhythm.kept else "price_interval_not_kept"
            asked_s, keeps_s = self._settings.collector_price_interval, self._rhythm.heartbeat_s
            # While a tape catches up at a hundred times its speed, nobody waits for each quarter minute of it.
            tell = log.warning if self.venue_clock.pace <= 1 else log.info
            tell(event, venue=self._venue, shard=self._shard.label, asked_s=asked_s, keeps_s=keeps_s)
        self._stands_still = began_us <= self._last_sweep_us
        self._last_sweep_us = began_us

    def _pause_s(self, spent_s: float) -> float:
        """Wall seconds to wait after a sweep that took so long."""
        least_s = self._settings.collector_min_pause_s
        if self.venue_clock.lockstep:
            # A tape that is held or over does not need asking a thousand times a second.
            return max(least_s, _STANDSTILL_PAUSE_S) if self._stands_still else least_s
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
        """Notices a gap while a sweep is late; says now and then how things stand, changed or not."""
        self._journal.flush()
        self._wait_for_an_answer()
        self._tell(self._state.watch(self._now_us(), self._due_s))
        if self._state.state is not None and self._clock.monotonic_s() - self._said_s >= SAY_EVERY_S:
            self._tell([Change(self._state.state, "as before")])

    @property
    def seen_until_us(self) -> int | None:
        """Until when the venue has been watched without a gap; None before the first whole sweep: who ends before it
        leaves the time before him as unseen as he found it."""
        known = self._state.has_swept and not self._state.gap_open
        return (self._stopped_us or self._now_us()) if known else None

    @property
    def promise_s(self) -> int:
        """What whoever comes next owes."""
        return math.ceil(self._due_s)

    @property
    def _promise_s(self) -> int:
        """What a tick promises now: until this process knows how long its sweeps take, what the one before promised."""
        return self._rhythm.heartbeat_s or self._owed_s

    @property
    def _due_s(self) -> float:
        """Within what time of the last sweep the next one is due: what this process, or the one before it, promised."""
        return self._rhythm.due_s or self._promised_before_s

    def health(self) -> Mapping[str, Any]:
        """What /health shows of the collector. May be asked from another thread: it walks over nothing."""
        age_s = None if self._last_sweep_s is None else round(self._clock.monotonic_s() - self._last_sweep_s, 1)
        return {
            "venue": self._venue,
            "shard": self._shard.label,
            "feed": self._state.state or "starting",
            "markets_tracked": len(self.tracked),
            "markets_held": self.tracked.held,
            "markets_ended": self.tracked.ended,
            "dates_disbelieved": self.venue_clock.disbelieved,
            "last_sweep_age_s": age_s,
            "sweep_promise_s": self._rhythm.heartbeat_s,
            "pace": self.venue_clock.pace,
            "lockstep": self.venue_clock.lockstep,
            "kafka_away": self._outbox.kafka_away,
            **({} if self.streaming is None else self.streaming.health()),
        }

    def _tell_of_stream(
        self, connection: str, word: FeedWord, detail: str, since_us: int | None, market_ids: Sequence[str]
    ) -> None:
        """How one connection is doing. It is told under a shard of its own, with the markets that it concerns.

        `since_us` is by our clock. It is told by the venue's, as that ran when the gap was first told, so that its end
        names the same begin.
        """
        began_us = None
        if since_us is not None:
            gap = connection, since_us
            began_us = self._stream_gaps.setdefault(gap, self.venue_clock.now_us(since_us))
            if word == "gap_closed":
                del self._stream_gaps[gap]
        received_us, now_us = self._clock.now_us(), self._now_us()
        log.info("stream_status", venue=self._venue, connection=connection, state=word, detail=detail)
        shard = f"{self._shard.label}/{connection}"
        status = FeedStatus(
            event_id=event_id(self._venue, shard, word, now_us, detail),
            venue=self._venue,
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

    def _tell(self, changes: Sequence[Change], venue_us: int | None = None) -> None:
        """Changes go to `feed.status` and the log; `venue_us`: the time there, before its clock was ever read."""
        received_us, now_us = self._clock.now_us(), self._now_us() if venue_us is None else venue_us
        self._said_s = self._clock.monotonic_s() if changes else self._said_s
        skew_us = self.venue_clock.skew_us
        skewed = skew_us is not None and abs(skew_us) > self._settings.collector_max_skew_s * US_PER_S
        for number, change in enumerate(changes):
            if change.state == "gap_opened":
                self._journal.note("gap", at_us=now_us, until_told=True)
                self.tracked.gap_began(now_us, until_told=True)
            elif change.state == "gap_closed":
                self._journal.note("gap_over")
                self.tracked.gap_over()
            detail = f"{change.detail}; clock skew {skew_us} us" if skewed else change.detail
            log.info("feed_status", venue=self._venue, shard=self._shard.label, state=change.state, detail=detail)
            status = FeedStatus(
                event_id=event_id(self._venue, self._shard.label, change.state, now_us, detail),
                venue=self._venue,
                shard=self._shard.label,
                state=change.state,
                ts_event_us=now_us,
                ts_received_us=received_us + number,  # readers ask which was said last
                detail=detail,
                markets_tracked=len(self.tracked),
                markets_stale=self.tracked.stale(now_us),
                ticks_published=self._outbox.ticks_published,
                bad_messages=self._outbox.dead_lettered,
                gap_started_us=change.gap_started_us,
                clock_skew_us=skew_us,
            )
            self._outbox.status(status)

    def _summary(self, tally: Tally, began_s: float) -> dict[str, Any]:
        return {
            "venue": self._venue,
            "duration_ms": round((self._clock.monotonic_s() - began_s) * 1000),
            "pages": tally.pages,
            "rows": tally.rows,
            "published": tally.published,
            "bad": tally.bad,
            "left_out": dict(tally.left_out),
        }


def _said_us(received: Received) -> int:
    """What time it was by the first answer, before there is a venue's clock to ask."""
    said_us = received.ts_venue_us or received.ts_received_us
    return received.ts_received_us if is_ahead(said_us, received.ts_received_us) else said_us

"""One round of each of a collector's jobs: a crawl of the metadata, a sweep of all prices, a poll of the busiest."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from kernel.clock import Clock
from kernel.dead_letters import BadInputLimit
from kernel.errors import PermanentError, TooMuchBadInputError, TransientError
from kernel.logs import get_logger
from kernel.settings import CollectorSettings
from producers.base import Collector, Errand, Page, TradedSince
from producers.feed_state import SWEEP, Change
from producers.histories import Backfill
from producers.intake import Intake, Tally
from producers.journal import Journal
from producers.rhythm import Rhythm
from producers.shards import Shard
from producers.statuses import Statuses
from producers.takeover import Takeover
from producers.tracked import Tracked
from producers.venue_clock import VenueClock
from producers.wholeness import Wholeness
from schemas.units import US_PER_S

log = get_logger(__name__)

CRAWL, HOT = "sync_markets", "hot"

_MIN_ROWS_TO_JUDGE = 20
_LOOKUPS_A_CRAWL = _LOOKUPS_A_SWEEP = 2_000
_LOOKUP_TRIES = 3
_RESCUED_A_SWEEP = 20_000
_SAMPLE = 200


class Rounds:
    """Fetches what a round is for, hands it to the intake, and judges whether it was whole and worth anything.

    A round raises `TransientError` or `PermanentError` when it could not be done in full, `TooMuchBadInputError` when
    what it was told is nonsense.
    """

    def __init__(
        self,
        collector: Collector,
        settings: CollectorSettings,
        max_bad_share: float,
        shard: Shard,
        intake: Intake,
        backfill: Backfill,
        tracked: Tracked,
        venue_clock: VenueClock,
        clock: Clock,
        journal: Journal,
        rhythm: Rhythm,
        statuses: Statuses,
        takeover: Takeover,
        busiest: int,
    ) -> None:
        self._venue, self._feed, self._reader = collector.venue, collector.feed, collector.reader
        self._label, self._settings, self._max_bad_share, self._busiest = shard.label, settings, max_bad_share, busiest
        self._intake, self._backfill, self._tracked = intake, backfill, tracked
        self._venue_clock, self._clock, self._journal = venue_clock, clock, journal
        self._rhythm, self._statuses, self._takeover = rhythm, statuses, takeover
        self._whole = {job: Wholeness() for job in (CRAWL, SWEEP)}
        self._unfound: Counter[str] = Counter()
        self._traded_us = 0
        self._last_sweep_s: float | None = None
        self._complained = False

    def expect(self, markets: int) -> None:
        """A whole listing showed so many to the process before."""
        for whole in self._whole.values():
            whole.was_whole(markets)

    @property
    def last_sweep_age_s(self) -> float | None:
        """Wall seconds since the end of the last whole sweep."""
        return None if self._last_sweep_s is None else round(self._clock.monotonic_s() - self._last_sweep_s, 1)

    async def crawl(self) -> None:
        """One crawl of all metadata, with the quotes in it; then asks after the markets that are no longer listed."""
        began_s = self._clock.monotonic_s()
        tally = Tally()
        async for page in self._feed.crawl(Errand("crawl", self._rhythm.heartbeat_s)):
            await self._introduce(page, tally)
            await asyncio.sleep(0)
        self._judge(tally, CRAWL)
        await self._prove_whole(CRAWL, tally, self._tracked.vanished)
        missing = self._tracked.vanished(_LOOKUPS_A_CRAWL)
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
            async for page in self._feed.sweep(Errand("sweep", self._rhythm.heartbeat_s)):
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
        log.info("sweep_done", **self._summary(tally, began_s), pace=self._venue_clock.pace)

    async def hot_poll(self) -> None:
        """One poll of the busiest markets. What they promise is the next sweep: a market may cool down before."""
        busiest = self._tracked.busiest(self._settings.collector_hot_markets)
        ids = [self._reader.hot_id(known.market_id, known.token_id) for known in busiest]
        tally = Tally()
        async for page in self._feed.hot(ids, Errand("hot", self._rhythm.heartbeat_s)):
            await self._take(page, tally)
            await asyncio.sleep(0)
        self._judge(tally, HOT)

    async def trade_poll(self, traded_since: TradedSince) -> None:
        """The rows of all markets that have traded since the poll before."""
        errand = Errand("hot", self._rhythm.heartbeat_s)
        traded, newest_us = await traded_since(self._traded_us or self._now_us(), errand)
        async for page in self._feed.hot(traded, errand):
            await self._take(page, Tally())
            await asyncio.sleep(0)
        self._traded_us = newest_us

    def _swept(self, began_us: int, spent_s: float) -> None:
        """Takes note of a whole sweep."""
        self._statuses.tell(self._statuses.state.swept(began_us, self._rhythm.due_s))
        disturbed, promised_s = self._statuses.state.failures(SWEEP) > 0, self._rhythm.heartbeat_s
        self._rhythm.came_round(began_us, spent_s * self._venue_clock.pace, disturbed=disturbed)
        if self._rhythm.heartbeat_s != promised_s:
            self._journal.note("promise", s=self._rhythm.heartbeat_s)
        self._last_sweep_s = self._clock.monotonic_s()
        if self._rhythm.changed():
            event = "price_interval_kept" if self._rhythm.kept else "price_interval_not_kept"
            asked_s, keeps_s = self._settings.collector_price_interval, self._rhythm.heartbeat_s
            # While a tape catches up at a hundred times its speed, nobody waits for each quarter minute of it; and that
            # it is over has to hear who was warned.
            loud = self._complained if self._rhythm.kept else self._venue_clock.pace <= 1
            self._complained = loud and not self._rhythm.kept
            tell = log.warning if loud else log.info
            tell(event, venue=self._venue, shard=self._label, asked_s=asked_s, keeps_s=keeps_s)

    async def _look_up(self, ids: Sequence[str], tally: Tally) -> None:
        """Markets that a whole crawl did not meet: mostly closed since. Their last state goes out."""
        async for page in self._feed.lookup(ids, Errand("lookup")):
            await self._take(page, tally)
        unmet = [i for i in ids if not self._tracked.met(self._reader.market_id(i))]
        self._unfound = Counter({i: self._unfound[i] + 1 for i in unmet})
        gone = [i for i, tries in self._unfound.items() if tries >= _LOOKUP_TRIES]
        for venue_market_id in gone:
            market_id = self._reader.market_id(venue_market_id)
            self._journal.note("forget", market=market_id)
            self._tracked.forget(market_id)
        if gone:
            log.warning("markets_unknown_to_venue", venue=self._venue, count=len(gone), example=gone[0])

    async def _ask_after_unlisted(self, began_us: int, tally: Tally) -> None:
        """Open markets that a whole listing left out: mostly their trading is over. Their last tick promises a sweep,
        and the next crawl may be a quarter of an hour away. A busy one may have been shown by a book meanwhile, which
        does not say that trading is over."""
        doubtful = (*self._tracked.unseen_since(began_us, _LOOKUPS_A_SWEEP), *self._tracked.busiest(self._busiest))
        ids = list({known.venue_market_id: None for known in doubtful if known.market_id not in tally.markets})
        if not ids:
            return
        try:
            async for page in self._feed.lookup(ids, Errand("lookup", self._rhythm.heartbeat_s)):
                await self._take(page, tally)
                await asyncio.sleep(0)
        except (TransientError, PermanentError) as error:  # the next sweep asks again
            log.info("unlisted_unanswered", venue=self._venue, count=len(ids), error=str(error))

    async def _rescue(self, began_us: int, tally: Tally) -> None:
        """After a listing broke off: the markets that it did not come to, those unseen the longest first."""
        unseen = self._tracked.unseen_since(began_us, _RESCUED_A_SWEEP)
        if not unseen:
            return
        ids = [self._reader.hot_id(known.market_id, known.token_id) for known in unseen if known.token_id]
        try:
            async for page in self._feed.hot(ids, Errand("hot", self._rhythm.heartbeat_s)):
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
            still_open = sum(self._tracked.is_open(self._reader.market_id(each)) for each in sample)
            if not sample or still_open * 2 > len(sample):
                raise TransientError(f"{job}: the listing ended after {listed} markets, {whole.expected} before")
        whole.was_whole(listed)

    def _unseen_since(self, moment_us: int, count: int) -> list[str]:
        return [known.venue_market_id for known in self._tracked.unseen_since(moment_us, count)]

    def _judge(self, tally: Tally, job: str) -> None:
        """Stops everything when most rows are unusable: the venue has changed its format, or it is another server."""
        try:
            BadInputLimit(self._max_bad_share, at_least=_MIN_ROWS_TO_JUDGE).saw(tally.rows, tally.bad)
        except TooMuchBadInputError as error:
            detail = f"{job}: {error}"
            self._statuses.tell([Change("disconnected", detail)])
            raise TooMuchBadInputError(f"{self._venue} {detail}") from error

    async def _introduce(self, page: Page, tally: Tally) -> None:
        """A page of a crawl to the intake. Markets that matter wait for their history: after their first tick it is
        late. Whatever arrives meanwhile waits behind them."""
        async with self._intake.in_order:
            self._takeover.answered(page.received)
            read = self._intake.read(page, tally)
            waiting = self._backfill.wanted(read)
            first = {shown.market_id for shown, _ in waiting}
            self._intake.admit(read, [state for state in read.states if state[0].market_id not in first], tally)
            if waiting:
                past = await self._backfill.ask(waiting, read.moment.as_of_us)
                self._intake.admit(read, waiting, tally, past)

    async def _take(self, page: Page, tally: Tally) -> int:
        """A page to the intake, behind those that arrived before it; as of when it was."""
        async with self._intake.in_order:
            self._takeover.answered(page.received)
            return self._intake.take(page, tally).as_of_us

    def _now_us(self) -> int:
        return self._venue_clock.now_us(self._clock.now_us())

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

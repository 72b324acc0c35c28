"""From a page to messages: what it says is read, compared with what is known, and published or counted by reason."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from prometheus_client import Counter as Metric

from kernel.errors import BadMessageError
from producers import catalog
from producers.base import Mapped, Page, Reader
from producers.fields import Row, refusal
from producers.journal import Journal
from producers.shards import Shard
from producers.ticks import Earlier, Moment, Shown, earlier_tick, tick_of
from producers.tracked import Tracked
from producers.venue_clock import VenueClock
from schemas.events import Market, Tick
from schemas.words import Errand

LEFT_OUT = Metric("movers_left_out", "What a venue showed and was not published, by reason", ["venue", "reason"])

_LEARNS: frozenset[Errand] = frozenset(("crawl", "lookup"))
"""Errands whose rows are read for metadata whether or not anything seems to have changed."""


class Out(Protocol):
    """Where messages go; an `Outbox`, or a tape's replay."""

    def market(self, market: Market) -> None:
        """A market's metadata."""

    def tick(self, tick: Tick, category: str) -> None:
        """A quote."""

    def refused(self, error: BadMessageError, channel: str) -> None:
        """Something unusable."""


@dataclass(slots=True)
class Tally:
    """Counts of one round."""

    pages: int = 0
    rows: int = 0
    bad: int = 0
    published: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    markets: set[str] = field(default_factory=set)
    """Markets that were shown."""


State = tuple[Shown, Row]
"""What a row shows, and the row."""


@dataclass(frozen=True, slots=True)
class Read:
    """A page that was read: when its content was true, and what its rows show."""

    page: Page
    moment: Moment
    states: Sequence[State]


@dataclass(frozen=True, slots=True)
class Past:
    """What a venue was asked and said of the time before: by market, the oldest first; and in which answers."""

    told: Mapping[str, Sequence[Earlier]] = field(default_factory=dict)
    answers: tuple[tuple[str, int], ...] = ()


NO_PAST = Past()


class Intake:
    """Takes in one collector's pages, whatever they were asked for, in their order of arrival.

    Each state that a page shows is published or counted by reason: nothing else happens to it. Told the same pages
    it publishes the same messages, so a recording can be played through it.
    """

    def __init__(
        self,
        shard: Shard,
        reader: Reader,
        tracked: Tracked,
        venue_clock: VenueClock,
        out: Out,
        journal: Journal | None = None,
    ) -> None:
        self._shard = shard
        self._reader = reader
        self._tracked = tracked
        self._venue_clock = venue_clock
        self._out = out
        self._journal = journal or Journal()
        self.beside_streams: Callable[[Shown, Moment], Shown] = lambda shown, _: shown
        """What of a polled state is worth admitting while a stream shows its market too."""
        self.in_order = asyncio.Lock()
        """Held by whoever hands in a page that came while others may: pages go in in their order of arrival, also where
        one of them waits for its markets' histories."""

    def take(self, page: Page, tally: Tally) -> Moment:
        """One page. Returns when its content was true."""
        self._journal.note("take", of=_name(page), pace=page.received.pace)
        read = self._read(page, tally)
        self._admit_all(read, read.states, tally, NO_PAST)
        return read.moment

    def read(self, page: Page, tally: Tally) -> Read:
        """The first half of `take`: all that a page says of metadata. Its states wait for `admit`."""
        self._journal.note("read", of=_name(page), pace=page.received.pace)
        return self._read(page, tally)

    def _read(self, page: Page, tally: Tally) -> Read:
        if page.received.errand.word == "crawl" and self._reader.begins_crawl(page):
            self._tracked.begin_crawl()
            self._reader.let_go(page.received.ts_received_us)
        moment = self._moment(page)
        shown = catalog.show(self._reader, page, moment, self._tracked.last_shown)
        learnt = self._learnt(page, shown, moment)
        self._account(page, shown, learnt, tally)
        for market in learnt.events:
            if self._shard.owns(market.market_id, market.category) and self._tracked.changed(market):
                self._out.market(market)
        return Read(page, moment, shown.events)

    def admit(self, read: Read, states: Sequence[State], tally: Tally, past: Past = NO_PAST) -> None:
        """States of a page that was read, in the order given."""
        places = {id(state): place for place, state in enumerate(read.states)}
        at = [places[id(state)] for state in states]
        self._journal.note("admit", of=_name(read.page), at=at, past=past.answers)
        self._admit_all(read, states, tally, past)

    def _admit_all(self, read: Read, states: Sequence[State], tally: Tally, past: Past) -> None:
        bare = read.page.kind in catalog.BARE_KINDS
        for state, row in states:
            self._admit(state, None if bare else row, read, tally, past)

    def _moment(self, page: Page) -> Moment:
        received = page.received
        stamp = self._venue_clock.read(received)
        return Moment(
            as_of_us=stamp.as_of_us,
            ts_received_us=received.ts_received_us,
            ts_asked_us=received.ts_asked_us,
            ts_event_basis=stamp.basis,
            source=received.errand.source,
            heartbeat_s=received.errand.promise_s,
            flags=stamp.flags,
            ts_venue_us=received.ts_venue_us,
            ts_sent_us=received.date_us,
        )

    def _learnt(self, page: Page, shown: Mapped[State], moment: Moment) -> Mapped[Market]:
        """Metadata of a page: all of it where it was asked for, else of markets whose status was never told so."""
        if page.received.errand.word in _LEARNS:
            return catalog.learn(self._reader, page, moment)
        if page.kind in catalog.BARE_KINDS or self._shard.category:  # a bare row does not tell the category surely
            return Mapped()
        untold = [row for state, row in shown.events if self._tracked.untold(state)]
        if not untold:
            return Mapped()
        return catalog.learn(self._reader, replace(page, rows=untold), moment)

    def _admit(self, shown: Shown, row: Row | None, read: Read, tally: Tally, past: Past) -> None:
        market_id, moment = shown.market_id, read.moment
        tally.markets.add(market_id)
        category = self._tracked.category(market_id)
        if not self._shard.owns(market_id, category):
            self._leave_out("other_shard", 1, tally)
            return
        shown = self.beside_streams(shown, moment)
        blind_since_us = None if row is None else self._tracked.blind_since_us(market_id)
        verdict = self._tracked.admit(shown, moment)
        if verdict.left_out:
            self._leave_out(verdict.left_out, 1, tally)
            return
        if row is not None and blind_since_us is not None:
            earlier = past.told.get(market_id) or self._figures(shown, row, read)
            self._tell_earlier(shown, earlier, moment, blind_since_us)
        tick = tick_of(self._shard.venue, shown, moment, verdict.ts_event_us, after_gap=verdict.after_gap)
        self._out.tick(tick, self._tracked.category(market_id) or category)
        tally.published += 1

    def _figures(self, shown: Shown, row: Row, read: Read) -> Sequence[Earlier]:
        """What the row itself says of the time before."""
        try:
            return self._reader.earlier(row, shown, read.moment)
        except Exception as error:
            self._out.refused(refusal(error, row), read.page.received.channel)
            return ()

    def _tell_earlier(self, shown: Shown, told: Sequence[Earlier], moment: Moment, blind_since_us: int) -> None:
        """What the venue says of the time in which nobody watched, before the first tick after it."""
        for earlier in told:
            if blind_since_us < earlier.ts_us < moment.as_of_us:
                tick = earlier_tick(self._shard.venue, shown, earlier, moment)
                self._out.tick(tick, self._tracked.category(shown.market_id))

    def _account(self, page: Page, shown: Mapped[State], learnt: Mapped[Market], tally: Tally) -> None:
        """Counts a page's rows, each once though it was read for its price and for its metadata."""
        told = {(error.reason, error.body) for error in shown.bad}
        bad = [*shown.bad, *(error for error in learnt.bad if (error.reason, error.body) not in told)]
        for error in bad:
            self._out.refused(error, page.received.channel)
        for reason, count in shown.left_out.items():
            self._leave_out(reason, count, tally)
        tally.pages += 1
        tally.rows += len(shown.events) + len(bad)
        tally.bad += len(bad)

    def _leave_out(self, reason: str, count: int, tally: Tally) -> None:
        LEFT_OUT.labels(self._shard.venue, reason).inc(count)
        tally.left_out[reason] += count


def _name(page: Page) -> tuple[str, int]:
    """What a page's answer can be found by."""
    return page.received.connection_id, page.received.sequence

from __future__ import annotations

from typing import cast

from kernel.clock import ManualClock
from producers.base import Received
from producers.continuity import GRACE_S
from producers.facts import Facts, Top, Traded
from producers.kalshi.sockets import KalshiSpeech
from producers.line import Line
from producers.polymarket.sockets import PolymarketSpeech
from producers.quotes import quote
from producers.shards import Shard
from producers.streamed import Streamed
from producers.streams import Connection, Gap
from producers.tracked import Tracked
from producers.venue_clock import VenueClock
from schemas.events import Tick
from schemas.units import US_PER_S
from schemas.words import TickSource
from tests.producers.test_tracked import moment, shown

TOKEN = "1"


class World:
    """One market on one stream, whose book and polls are what a test says, in cents."""

    def __init__(self) -> None:
        self.clock = ManualClock(1_000 * US_PER_S)
        self.bids_ppm: list[int | None] = []
        self.speech = PolymarketSpeech()
        self.tracked = Tracked()
        self.line = Connection(1, line=cast("Line", None), connection_id="a")
        self.gap = Gap(0, {TOKEN: None})
        self.streamed = Streamed(
            Shard("polymarket"), self.speech, self.tracked, VenueClock(5.0, self.clock.now_us()), self, self.clock,
            lambda: 60, lambda *_: None, lambda _: None,
        )  # fmt: skip
        self.polls(50, "sweep")
        self.subscribes(redriven=False)

    def tick(self, tick: Tick, category: str) -> None:
        self.bids_ppm.append(tick.bid_ppm)

    def received(self, received: Received) -> None:
        """Nothing to do."""

    def refused(self, error: Exception, channel: str) -> None:
        raise error

    def polls(self, cents: int, source: TickSource = "hot", *, last: int | None = None) -> None:
        """A poll shows the market, and what of it is worth admitting is admitted."""
        self.clock.advance(1.0)
        when = moment(self.clock.now_us() / US_PER_S, source)
        sides = quote(cents * 10_000, cents * 10_000 + 10_000, None if last is None else last * 10_000)
        row = shown(token_id=self.speech.token_id(TOKEN), quote=sides)
        self.tracked.admit(self.streamed.witnessed(row, when), when)

    @property
    def last_ppm(self) -> int | None:
        """The last trade as it was told last."""
        known = self.tracked.get("V:a")
        return known.shown.quote.last_ppm if known is not None and known.shown is not None else None

    def trades(self, cents: int) -> None:
        """The stream tells of a trade."""
        self.clock.advance(1.0)
        self.line.data_s, self.line.data_us = self.clock.monotonic_s(), self.clock.now_us()
        facts = Facts()
        facts.facts.append(Traded(TOKEN, cents * 10_000, 1.0, self.line.data_us, f"{cents} at {self.line.data_us}"))
        self.streamed.told(self.line, b"{}", facts)

    def subscribes(self, *, redriven: bool = True) -> None:
        self.clock.advance(1.0)
        self.streamed.continuity.subscribed(1, [TOKEN], self.clock.monotonic_s(), redriven=redriven)

    def opens(self, cents: int, *, ends: bool = True) -> None:
        """The opening book comes, and with it a gap ends that was open."""
        self.streams(cents, opening=True)
        if ends:
            self.streamed.gap_closed(self.line, self.gap)
        self.streamed.renew_leases([TOKEN])

    def streams(self, cents: int, *, opening: bool = False) -> None:
        """The stream tells."""
        self.clock.advance(1.0)
        self.line.data_s, self.line.data_us = self.clock.monotonic_s(), self.clock.now_us()
        facts, bid_ppm = Facts(), cents * 10_000
        facts.facts.append(Top(TOKEN, bid_ppm, bid_ppm + 10_000, 1.0, 1.0, self.line.data_us, 0, opening=opening))
        self.streamed.continuity.heard(TOKEN, self.line.data_s, opening=opening)
        self.streamed.told(self.line, b"{}", facts)

    def found_frozen(self) -> bool:
        """Whether something is to be done about it by now; then its gap begins."""
        self.clock.advance(GRACE_S)
        due = [redrive.tokens for redrive in self.streamed.continuity.due(self.clock.monotonic_s())]
        if due:
            self.streamed.gap_opened(self.line, self.gap, "1 token frozen")
        return due == [(TOKEN,)]


def test_a_market_that_polls_showed_before_its_cure_is_found_frozen_again() -> None:
    world = World()
    world.opens(50)
    world.polls(60)
    assert world.found_frozen()

    world.polls(60)  # believed, now that the gap is told
    world.subscribes()
    world.opens(60)  # the stream had missed it indeed
    world.polls(70)

    assert world.found_frozen()


def test_a_poll_that_the_stream_s_new_book_refutes_is_not_believed_again_for_a_while() -> None:
    world = World()
    world.opens(50)
    world.polls(60)
    assert world.found_frozen()

    world.polls(60)
    world.subscribes()
    world.opens(50)  # as the stream had said all along
    world.polls(60)

    assert not world.found_frozen()


def test_what_the_stream_said_before_a_gap_is_forgotten_with_its_new_book_though_the_gap_ended_without_it() -> None:
    world = World()
    world.opens(50)
    world.polls(60)
    assert world.found_frozen()
    world.streamed.gap_closed(world.line, Gap(0, {}))  # the others are shown again; this one no connection serves
    world.subscribes()
    world.opens(60, ends=False)
    world.streams(80)

    world.polls(90)
    assert world.found_frozen()
    world.subscribes()
    world.opens(80)  # as the stream had said all along, but not before the first gap
    world.polls(90)

    assert not world.found_frozen()


def test_a_trade_that_no_stream_told_is_taken_from_the_poll_of_the_live_book() -> None:
    world = World()
    world.polls(50, last=51)
    world.opens(50)  # a book, without its last trade

    told = []
    for last, source in ((60, "sweep"), (60, "hot")):
        world.polls(50, cast("TickSource", source), last=last)
        told.append(world.last_ppm)

    assert told == [510_000, 600_000], "a listing may be older than the book"


def test_a_trade_that_the_stream_told_is_not_taken_back_by_a_poll() -> None:
    world = World()
    world.opens(50)
    world.trades(55)

    world.polls(50, last=51)

    assert world.last_ppm == 550_000


def test_a_trade_that_was_missed_in_a_gap_is_taken_from_a_poll_during_it_or_after_it() -> None:
    world = World()
    world.opens(50)
    world.trades(55)
    world.streamed.gap_opened(world.line, world.gap, "closed")

    world.polls(50, "sweep", last=56)
    during = world.last_ppm
    world.opens(50)
    world.polls(50, last=57)

    assert (during, world.last_ppm) == (560_000, 570_000)


def test_what_is_kept_of_a_market_that_is_over_is_let_go_an_hour_after_it_was_last_heard_of() -> None:
    clock, tracked, out, speech = ManualClock(1_000 * US_PER_S), Tracked(), World(), KalshiSpeech()
    line = Connection(1, line=cast("Line", None), connection_id="a")
    streamed = Streamed(
        Shard("kalshi"), speech, tracked, VenueClock(5.0, clock.now_us()), out, clock,
        lambda: 60, lambda *_: None, lambda _: None,
    )  # fmt: skip

    def tells(token: str) -> None:
        clock.advance(1.0)
        line.data_s, line.data_us = clock.monotonic_s(), clock.now_us()
        facts = Facts()
        facts.facts += [
            Top(token, 400_000, 410_000, 1.0, 1.0, line.data_us, line.data_us, channel="ticker"),
            Traded(token, 400_000, 1.0, line.data_us, f"trade {line.data_us}"),
        ]
        streamed.continuity.met(token, line.data_s)
        streamed.told(line, b"{}", facts)

    row = shown(market_id="KALSHI:OPEN", token_id=speech.token_id("OPEN"))
    tracked.admit(row, moment(clock.now_us() / US_PER_S, "sweep"))
    row = shown(market_id="KALSHI:OVER", token_id=speech.token_id("OVER"))
    tracked.admit(row, moment(clock.now_us() / US_PER_S, "sweep"))
    for token in ("OPEN", "OVER", "UNKNOWN", "SPOKEN OF"):
        tells(token)
    tracked.forget("KALSHI:OVER")

    streamed.forget_ended(streamed.remembered())
    at_once = sorted(streamed.remembered())
    clock.advance(3_600.0)
    tells("SPOKEN OF")
    streamed.forget_ended(streamed.remembered())

    assert at_once == ["OPEN", "OVER", "SPOKEN OF", "UNKNOWN"]
    assert sorted(streamed.remembered()) == ["OPEN", "SPOKEN OF"]
    assert sorted(streamed.continuity.tokens) == ["OPEN", "SPOKEN OF"]

"""One market's ticks on their way into a part of the analytics that may be killed at any moment.

A `Course` is what the state machines of this folder have in common: what a venue and Kafka can do to the ticks of a
market, and what can become of the process that reads them. What the part ought to say is worked out by brute force.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Generic, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from schemas.events import Alert, Bar, Move, Tick
from schemas.units import US_PER_S
from schemas.words import MarketStatus
from tests.processors.ticks import START_US, make_tick

EventT = TypeVar("EventT", Move, Bar, Alert)
Parts = tuple[bytes | None, ...]
"""A state as it is stored."""

STEPS = st.sampled_from([2, 5, 20, 45, 60, 70, 130])
PRICES = st.sampled_from([0, 20_000, 400_000, 410_000, 440_000, 480_000, 500_000, 600_000, 990_000])
HEARTBEAT_S = 60
SILENCES = st.sampled_from([149, 151, 400, 1500])
"""Seconds: just no gap (2.5 promises of 60), just one, longer than a window, longer than all."""


class Course(RuleBasedStateMachine, Generic[EventT]):
    """`log` is what Kafka has, ticks and moments to which time passed; `true` what the market showed, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[Tick | int] = []
        self.true: list[Tick] = []
        self.clock_us = START_US
        self.status: MarketStatus = "open"
        self.counter = 0.0
        self.in_contracts = False
        self.state: Parts = self.nothing()
        self.told: list[EventT] = []
        self._kept: Parts = self.state
        self._committed = 0

    def nothing(self) -> Parts:
        """The state of a market that nobody knows."""
        raise NotImplementedError

    def take(self, state: Parts, tick: Tick) -> tuple[Parts, Sequence[EventT]]:
        """Gives a tick to the part."""
        raise NotImplementedError

    def let_time_pass(self, state: Parts, now_us: int) -> tuple[Parts, Sequence[EventT]]:
        """Tells the part which moment other markets have reached."""
        return state, ()

    def arrived(self, tick: Tick) -> None:
        """Notes what a tick means before the part has seen it."""

    @property
    def newest_us(self) -> int:
        return self.true[-1].ts_event_us if self.true else START_US

    def deliver(self, tick: Tick) -> None:
        """Kafka has a tick, and the process takes it."""
        if (self.true or tick.price_ppm is not None) and (not self.true or tick.ts_event_us > self.newest_us):
            self.true.append(tick)
        self.clock_us = max(self.clock_us, tick.ts_event_us)
        self.arrived(tick)
        self.log.append(tick)
        self.state, made = self.take(self.state, tick)
        self.told.extend(made)

    def tick_after(self, step_s: int, price_ppm: int | None, **extra: Any) -> Tick:
        at_s = (max(self.newest_us, self.clock_us // US_PER_S * US_PER_S) - START_US) // US_PER_S + step_s
        name = "volume_total_contracts" if self.in_contracts else "volume_total_usd"
        known = {"heartbeat_s": HEARTBEAT_S, "market_status": self.status, name: self.counter}
        close_us = START_US + 4000 * US_PER_S
        return make_tick(at_s, price_ppm, close_ts_us=close_us, **{**known, **extra})

    @rule(
        step_s=STEPS, price_ppm=PRICES, traded=st.sampled_from([0.0, 0.25, 100.0]), trades=st.sampled_from([None, 0, 2])
    )
    def a_tick_comes(self, step_s: int, price_ppm: int, traded: float, trades: int | None) -> None:
        self.counter += traded
        self.deliver(self.tick_after(step_s, price_ppm, trades=trades))

    @rule(step_s=STEPS, price_ppm=PRICES, spread_ppm=st.sampled_from([30_000, None]))
    def the_book_gets_wide_or_loses_a_side(self, step_s: int, price_ppm: int, spread_ppm: int | None) -> None:
        tick = self.tick_after(step_s, price_ppm)
        bid_ppm = tick.bid_ppm or 0
        self.deliver(replace(tick, ask_ppm=None if spread_ppm is None else bid_ppm + spread_ppm))

    @rule(step_s=STEPS, trades=st.sampled_from([None, 3]))
    def the_price_is_lost(self, step_s: int, trades: int | None) -> None:
        self.deliver(self.tick_after(step_s, None, trades=trades))

    @rule(step_s=STEPS, price_ppm=PRICES)
    def the_price_is_a_last_trade(self, step_s: int, price_ppm: int) -> None:
        self.deliver(self.tick_after(step_s, price_ppm, price_basis="last"))

    @rule(silence_s=SILENCES, price_ppm=PRICES)
    def the_feed_was_silent(self, silence_s: int, price_ppm: int) -> None:
        self.deliver(self.tick_after(silence_s, price_ppm))

    @rule(step_s=STEPS, price_ppm=PRICES)
    def a_fast_source_promises_more(self, step_s: int, price_ppm: int) -> None:
        self.deliver(self.tick_after(step_s, price_ppm, source="hot", heartbeat_s=10))

    @rule(step_s=STEPS, price_ppm=PRICES, reading=st.sampled_from([None, 0.0]))
    def the_venue_forgets_its_counter(self, step_s: int, price_ppm: int, reading: float | None) -> None:
        name = "volume_total_contracts" if self.in_contracts else "volume_total_usd"
        self.deliver(self.tick_after(step_s, price_ppm, **{name: reading}))

    @rule(step_s=STEPS, price_ppm=PRICES)
    def the_venue_counts_in_another_unit(self, step_s: int, price_ppm: int) -> None:
        self.in_contracts = not self.in_contracts
        self.deliver(self.tick_after(step_s, price_ppm))

    @rule(step_s=STEPS, price_ppm=st.sampled_from([None, 0, 1_000_000]), status=st.sampled_from(["settled", "paused"]))
    def the_market_settles_or_pauses(self, step_s: int, price_ppm: int | None, status: MarketStatus) -> None:
        self.status = status
        self.deliver(self.tick_after(step_s, price_ppm))

    @precondition(lambda self: self.status != "open")
    @rule(step_s=STEPS, price_ppm=PRICES)
    def the_market_opens_again(self, step_s: int, price_ppm: int) -> None:
        self.status = "open"
        self.deliver(self.tick_after(step_s, price_ppm))

    @precondition(lambda self: self.true)
    @rule(data=st.data())
    def a_tick_is_delivered_again(self, data: st.DataObject) -> None:
        ticks = [t for t in self.log if isinstance(t, Tick) and t.ts_received_us >= t.ts_event_us]
        self.deliver(data.draw(st.sampled_from(ticks[-5:])))

    @precondition(lambda self: self.true)
    @rule(back_s=st.sampled_from([0, 1, 13, 40]), price_ppm=PRICES)
    def an_overtaken_tick_comes_late(self, back_s: int, price_ppm: int) -> None:
        tick = self.tick_after(0, price_ppm, trades=5)
        ts_us = max(self.newest_us - back_s * US_PER_S, START_US)
        self.deliver(replace(tick, ts_event_us=ts_us, ts_received_us=ts_us))

    @rule(price_ppm=PRICES, ahead_s=st.sampled_from([61, 86_400]))
    def a_tick_claims_a_moment_to_come(self, price_ppm: int, ahead_s: int) -> None:
        tick = self.tick_after(ahead_s + 100, price_ppm)
        tick = replace(tick, ts_received_us=tick.ts_event_us - ahead_s * US_PER_S)
        self.log.append(tick)
        before = self.state
        self.state, made = self.take(self.state, tick)
        assert (self.state, list(made)) == (before, [])

    @rule(seconds=st.sampled_from([5, 61, 200, 1000, 4000]))
    def time_passes_without_a_tick(self, seconds: int) -> None:
        """To the middle of a second, so that nothing is ever due at that very moment."""
        self.clock_us = self.clock_us // US_PER_S * US_PER_S + seconds * US_PER_S + US_PER_S // 2
        self.log.append(self.clock_us)
        self.state, made = self.let_time_pass(self.state, self.clock_us)
        self.told.extend(made)

    @rule()
    def the_state_is_written(self) -> None:
        self._kept, self._committed = self.state, len(self.log)

    @rule()
    def the_process_is_killed(self) -> None:
        """It goes on from what was written, takes all since then again, and is where it was, having said the same."""
        state = self._kept
        again: list[EventT] = []
        for entry in self.log[self._committed :]:
            state, made = self.let_time_pass(state, entry) if isinstance(entry, int) else self.take(state, entry)
            again.extend(made)
        assert state == self.state
        assert again == self.told[len(self.told) - len(again) :]

    @rule()
    def all_is_wiped(self) -> None:
        """State and group are gone: everything is read from the beginning."""
        self._kept, self._committed = self.nothing(), 0
        self.the_process_is_killed()

    def replayed_without_time(self) -> tuple[Parts, list[EventT]]:
        """From what was written, where no time passes between the ticks: it is noticed once, at the end."""
        state = self._kept
        again: list[EventT] = []
        for entry in self.log[self._committed :]:
            if isinstance(entry, Tick):
                state, made = self.take(state, entry)
                again.extend(made)
        state, made = self.let_time_pass(state, self.clock_us)
        again.extend(made)
        return state, again

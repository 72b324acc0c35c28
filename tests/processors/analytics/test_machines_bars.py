"""Whatever becomes of a market's ticks, of time and of the process: its bars are those of the brute force."""

from __future__ import annotations

from collections.abc import Sequence
from math import isclose
from typing import Any

from hypothesis import settings
from hypothesis.stateful import invariant, rule

from processors.analytics.bars import BarState, close_by_time, update
from schemas.events import Bar, Tick
from schemas.units import US_PER_S
from tests.processors.analytics.courses import Course, Parts
from tests.processors.analytics.test_machines_moves import counters, gained
from tests.processors.ticks import START_US, make_tick

MINUTE_US = 60 * US_PER_S


def minute_of(tick: Tick) -> int:
    return tick.ts_event_us // MINUTE_US * MINUTE_US


def bars_of(true: list[Tick], corrections: list[Tick]) -> dict[int, dict[str, Any]]:
    """The bar of each minute with a price, from ticks in order and the late ones that count."""
    bars: dict[int, dict[str, Any]] = {}
    usd: float | None = None
    trades: int | None = None
    for i, tick in enumerate(true):
        compared = [c for c in map(counters, true[:i]) if c is not None][-1:]
        now = counters(tick)
        if compared and now is not None and compared[0][0] == now[0]:
            usd = (usd or 0.0) + gained(true, i)
        if tick.trades is not None:
            trades = (trades or 0) + tick.trades
        minute = minute_of(tick)
        if tick.price_ppm is None and minute not in bars:
            continue  # what was traded waits for the next bar
        bar = bars.setdefault(minute, {"prices": [], "usd": None, "trades": None})
        if tick.price_ppm is not None:
            bar["prices"].append((tick.ts_event_us, tick.price_ppm))
        if usd is not None:
            bar["usd"] = (bar["usd"] or 0.0) + usd
        if trades is not None:
            bar["trades"] = (bar["trades"] or 0) + trades
        usd = trades = None
    return {minute: _drawn(bar, [t for t in corrections if minute_of(t) == minute]) for minute, bar in bars.items()}


def _drawn(bar: dict[str, Any], late: list[Tick]) -> dict[str, Any]:
    prices = [price for _, price in bar["prices"]]
    every = [*prices, *(t.price_ppm for t in late)]
    opens = min([bar["prices"][0], *((t.ts_event_us, t.price_ppm) for t in late)], key=lambda point: point[0])
    return {
        "open": opens[1],
        "high": max(every),
        "low": min(every),
        "close": prices[-1],
        "ticks": len(prices),
        "usd": bar["usd"],
        "trades": bar["trades"],
    }


def same(bar: Bar, drawn: dict[str, Any]) -> bool:
    said = (bar.open_ppm, bar.high_ppm, bar.low_ppm, bar.close_ppm, bar.ticks, bar.trades, bar.volume_usd is None)
    ought = (*(drawn[name] for name in ("open", "high", "low", "close", "ticks", "trades")), drawn["usd"] is None)
    return said == ought and isclose(bar.volume_usd or 0, drawn["usd"] or 0, abs_tol=1e-6)


class Bars(Course[Bar]):
    """`minutes` are those with a bar; `growing` is the newest until it is told. Late ticks correct the two newest."""

    def __init__(self) -> None:
        super().__init__()
        self.growing: int | None = None
        self.minutes: list[int] = []
        self.corrections: list[Tick] = []

    def nothing(self) -> Parts:
        return (None,)

    def take(self, state: Parts, tick: Tick) -> tuple[Parts, Sequence[Bar]]:
        (stored,) = state
        after, bar = update(None if stored is None else BarState.unpack(stored), tick)
        return (None if after is None else after.pack(),), () if bar is None else (bar,)

    def let_time_pass(self, state: Parts, now_us: int) -> tuple[Parts, Sequence[Bar]]:
        (stored,) = state
        after, bar = close_by_time(None if stored is None else BarState.unpack(stored), "KALSHI:A", now_us)
        return (None if after is None else after.pack(),), () if bar is None else (bar,)

    def arrived(self, tick: Tick) -> None:
        minute = minute_of(tick)
        if not self.true:
            return
        if self.true[-1] is not tick or tick in self.log:
            if tick.price_ppm is not None and minute in self.minutes[-2:] and tick not in self.log:
                self.corrections.append(tick)
            return
        if self.growing != minute:
            self.growing = None
        if tick.price_ppm is not None and minute not in self.minutes:
            self.minutes.append(minute)
            self.growing = minute

    def pass_over(self, now_us: int) -> None:
        if self.growing is not None and now_us >= self.growing + 65 * US_PER_S:
            self.growing = None

    @invariant()
    def what_was_told_last_of_each_minute_is_its_bar(self) -> None:
        if self.log and isinstance(self.log[-1], int):
            self.pass_over(self.log[-1])
        told = {bar.bar_start_us: bar for bar in self.told}
        drawn = bars_of(self.true, self.corrections)
        assert set(told) == set(drawn) - {self.growing}
        assert all(same(told[minute], drawn[minute]) for minute in told)

    @invariant()
    def a_minute_has_one_id(self) -> None:
        assert len({bar.event_id for bar in self.told}) == len({bar.bar_start_us for bar in self.told})

    @rule()
    def the_process_is_killed_and_time_is_noticed_later(self) -> None:
        """The bars are the same in the end, and so is the state."""
        state, again = self.replayed_without_time()
        now, _ = self.let_time_pass(self.state, self.clock_us)
        assert state == now
        told, last = {bar.bar_start_us: bar for bar in self.told}, {bar.bar_start_us: bar for bar in again}
        assert all(told.get(minute, bar) == bar for minute, bar in last.items())


TestBars = Bars.TestCase
TestBars.settings = settings(max_examples=80, stateful_step_count=40)


def test_a_tick_that_is_minutes_late_corrects_the_same_bar_whether_or_not_time_had_closed_the_next() -> None:
    """A restart may notice time elsewhere than before; what is told in the end should not depend on it."""
    edge_s = 60 - START_US // US_PER_S % 60
    ticks = [make_tick(edge_s + 10, 500_000), make_tick(edge_s + 70, 500_000)]
    late = make_tick(edge_s + 30, 900_000)
    state = None
    for tick in ticks:
        state, _ = update(state, tick)
    closed, _ = close_by_time(state, "KALSHI:A", START_US + (edge_s + 130) * US_PER_S)

    _, unnoticed = update(state, late)
    _, noticed = update(closed, late)

    assert unnoticed == noticed

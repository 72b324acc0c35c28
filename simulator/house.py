"""The house tape: a seeded model of a venue's markets, made up as tape time goes on, endless and cheap.

Each market's probability moves in log-odds: a diffusion with the event's pace, plus news. News comes to an event as a
jump, to one of its markets or to all of them. In an exclusive event the scores are normalised, so that the prices sum
to about 1. Attention rises after a jump (more quotes, more trades) and fades. A share of the markets is thin: wide
spreads, a side missing at times, hardly a trade. As an event's end comes near the prices run to the drawn result, then
the books empty, trading closes, and the result follows; new events take the place of ended ones.

The same (seed, markets, start) gives the same tape, line for line. Ground truth, one JSON line for each market that a
news jump reached, goes to the `truth` callback:
    {"ts_us", "venue", "market", "event", "jump_logit", "scope": "market"|"event", "price_before", "price_after"}
where the prices are the mids that were quoted last before, and at, `ts_us` (null: one-sided).
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from schemas.units import PPM, US_PER_S
from simulator.house_catalog import EventPlan, plan_event
from simulator.tape import VENUES, Close, Line, Market, Quote, Settle, Trade

HOUR_US: Final = 3_600 * US_PER_S
NEWS_PER_EVENT_HOUR: Final = 0.12
_USD_OF_BUSY: Final = 10.0
"""Dollars traded for a market's share of the bustle: two thirds of the markets that trade reach 10,000 a day, which is
what a mover needs by default."""
RUN_UP_US: Final = 15 * 60 * US_PER_S  # how long before the end a price runs to its result
Truth = Callable[[dict[str, Any]], None]


@dataclass(slots=True, eq=False)
class Runner:
    """A market being made up."""

    market: Market
    score: float  # log-odds; in an exclusive event, the log of its weight
    tick_ppm: int
    spread_ticks: int
    thin: bool
    trade_chance: float  # of a trade with a quote, without news; 0: nobody ever trades here
    interval_s: float  # mean time between quotes, without news
    volume: float
    volume_24h: float
    heat: float = 0.0  # attention after news, fades
    stepped_us: int = 0
    mid_ppm: int | None = None  # as quoted last
    last_ppm: int | None = None


@dataclass(slots=True, eq=False)
class Event:
    """Markets that share news and an end."""

    plan: EventPlan
    runners: list[Runner]
    winners: list[int] | None = None  # drawn when the run-up begins: 0 or 1 for each market
    over: bool = False


Due = tuple[int, int, str, Event, int]
"""Something to happen: when, and before what else at that instant; what; to which market of which event. A tuple, since
a third of what a line costs was comparing them otherwise."""


class HouseTape:
    """An endless tape for both venues; `markets` is the number open at any time, split evenly."""

    def __init__(self, seed: int, markets: int, start_us: int, truth: Truth | None = None) -> None:
        self.start_us = start_us
        self.end_us: int | None = None
        self._seed = seed
        self._share = {"polymarket": markets - markets // 2, "kalshi": markets // 2}
        self._truth = truth

    def lines(self, venue: str) -> Iterator[Line]:
        """One venue's endless lines in order of time."""
        if venue not in VENUES:
            raise ValueError(venue)
        rng = Random(f"{self._seed}/{venue}/{self._share[venue]}")
        return _VenueHouse(venue, rng, self._share[venue], self._truth).lines(self.start_us)


class _VenueHouse:
    def __init__(self, venue: str, rng: Random, target: int, truth: Truth | None) -> None:
        self._venue, self._rng, self._target = venue, rng, target
        self._truth = truth
        self._due: list[Due] = []
        self._scheduled = 0
        self._events_made = 0
        self._open = 0

    def lines(self, start_us: int) -> Iterator[Line]:
        yield from self._fill(start_us, first=True)
        while self._due:
            ts_us, _, what, event, place = heapq.heappop(self._due)
            yield from getattr(self, f"_on_{what}")(ts_us, event, place)

    def _schedule(self, ts_us: int, what: str, event: Event, place: int = 0) -> None:
        self._scheduled += 1
        heapq.heappush(self._due, (ts_us, self._scheduled, what, event, place))

    # ── listing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _fill(self, at_us: int, *, first: bool = False) -> Iterator[Line]:
        """Lists events until the target number of markets is open."""
        while self._open < self._target:
            soon = self._rng.random() < (0.08 if first else 0.3)
            self._events_made += 1
            number = self._events_made
            room = self._target - self._open
            plan = plan_event(self._venue, self._rng, at_us, number=number, soon=soon, room=room)
            event = Event(plan, [self._runner(*pair, at_us) for pair in zip(plan.markets, plan.chances, strict=True)])
            self._open += len(event.runners)
            for place, runner in enumerate(event.runners):
                yield runner.market
                yield self._quote(at_us, event, runner)
                self._schedule(at_us + self._wait_us(runner), "step", event, place)
            self._schedule(at_us + self._news_wait_us(), "news", event)
            self._schedule(max(at_us + US_PER_S, plan.closes_us - RUN_UP_US), "run_up", event)
            self._schedule(plan.closes_us, "end", event)

    def _runner(self, market: Market, chance: float, at_us: int) -> Runner:
        rng = self._rng
        chance = min(0.995, max(0.004, chance))
        thin = rng.random() < 0.18
        trade_chance = rng.choice((0.0, 0.03)) if thin else 0.35
        busy = 0.0 if not trade_chance else rng.lognormvariate(9.5, 2.0) * (0.02 if thin else 1.0)
        volume = _USD_OF_BUSY * busy
        tick_ppm = round(market.tick * PPM)
        score = math.log(chance) if market.exclusive else math.log(chance / (1 - chance))
        traded_ppm = min(PPM - tick_ppm, max(tick_ppm, int(chance * PPM) // tick_ppm * tick_ppm))
        return Runner(
            market,
            score,
            tick_ppm,
            rng.randint(6, 30) if thin else rng.choice((1, 1, 1, 2, 2, 3, 5)),
            thin,
            trade_chance,
            rng.uniform(40, 120) if thin else min(60.0, max(4.0, 25 * (60_000 / (busy + 2_000)) ** 0.35)),
            volume,
            volume * rng.uniform(0.02, 0.6),
            stepped_us=at_us,
            last_ppm=traded_ppm if trade_chance else None,
        )

    # ── steps ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _wait_us(self, runner: Runner) -> int:
        mean_s = runner.interval_s / (1 + runner.heat)
        return 200_000 + int(self._rng.expovariate(1.0) * mean_s * US_PER_S)

    def _news_wait_us(self) -> int:
        return US_PER_S + int(self._rng.expovariate(NEWS_PER_EVENT_HOUR) * HOUR_US)

    def _on_step(self, at_us: int, event: Event, place: int) -> Iterator[Line]:
        if event.over:
            return
        runner = event.runners[place]
        hours = (at_us - runner.stepped_us) / HOUR_US
        runner.stepped_us = at_us
        runner.heat *= math.exp(-hours * 6)
        runner.volume_24h *= math.exp(-hours / 24)
        runner.score += self._rng.gauss(0.0, event.plan.pace * (1 + runner.heat) * math.sqrt(hours))
        if event.winners is not None:
            self._pull(event, runner, event.winners[place], hours)
        yield self._quote(at_us, event, runner, trade=self._trade(event, runner))
        self._schedule(at_us + self._wait_us(runner), "step", event, place)

    def _pull(self, event: Event, runner: Runner, winner: int, hours: float) -> None:
        """In the run-up the score runs towards the result, most of the way in the last quarter of an hour."""
        goal = (7.0 if runner.market.exclusive else 6.0) * (1 if winner == 0 else -1)
        runner.score += (goal - runner.score) * (1 - math.exp(-hours * 14))

    def _trade(self, event: Event, runner: Runner) -> Trade | None:
        """Now and then somebody trades at the best price; more often when there is attention."""
        rng = self._rng
        if rng.random() >= runner.trade_chance * (1 + runner.heat):
            return None
        spread = max(runner.tick_ppm, runner.spread_ticks * runner.tick_ppm // 2)
        side = "buy" if rng.random() < 0.5 else "sell"
        price = _chance_ppm(event, runner) + (spread if side == "buy" else -spread)
        price = min(PPM - runner.tick_ppm, max(runner.tick_ppm, price // runner.tick_ppm * runner.tick_ppm))
        centi = int(rng.lognormvariate(3.3, 1.6) * (1 + runner.heat) * 100) + 100
        money = centi / 100 * (1.0 if runner.market.venue == "kalshi" else price / PPM)
        runner.volume += money
        runner.volume_24h += money
        runner.last_ppm = price
        return Trade(price, centi, side)

    def _quote(self, at_us: int, event: Event, runner: Runner, *, trade: Trade | None = None) -> Quote:
        rng, tick = self._rng, runner.tick_ppm
        centre = _chance_ppm(event, runner)
        ticks = runner.spread_ticks + (rng.random() < 0.15) + int(runner.heat * 2)
        bid = (centre - ticks * tick // 2) // tick * tick
        bid = min(PPM - 2 * tick, max(0, bid))
        ask = min(PPM - tick, max(bid + tick, bid + ticks * tick))
        shown_bid: int | None = bid if bid > 0 else None
        shown_ask: int | None = ask
        if ask >= PPM - tick and centre > PPM - 2 * tick:
            shown_ask = None
        if runner.thin and rng.random() < 0.06:
            shown_bid, shown_ask = (None, shown_ask) if rng.random() < 0.5 else (shown_bid, None)
        both = shown_bid is not None and shown_ask is not None
        runner.mid_ppm = (bid + ask) // 2 if both else None
        scale = 20.0 if runner.thin else 260.0
        sizes = [int(rng.expovariate(1 / scale) * 100) + 500 for _ in range(2)]
        return Quote(
            at_us,
            runner.market.market,
            shown_bid,
            shown_ask,
            runner.last_ppm,
            sizes[0],
            sizes[1],
            round(runner.volume, 2),
            round(runner.volume_24h, 2),
            trade,
        )

    # ── news ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _on_news(self, at_us: int, event: Event, _: int) -> Iterator[Line]:
        """A jump: to one market of the event, or to all (in an exclusive event the others give way by themselves)."""
        if event.over or event.winners is not None:
            return
        rng = self._rng
        size = rng.choice((-1, 1)) * (0.35 + rng.expovariate(1 / 0.55))
        together = event.plan.kind == "ladder" and rng.random() < 0.7
        hit = event.runners if together else [rng.choice(event.runners)]
        for runner in hit:
            runner.score += size
            runner.heat = min(6.0, runner.heat + 1.5 + 1.5 * abs(size))
        shown = event.runners if together or event.runners[0].market.exclusive else hit
        for runner in shown:
            before = runner.mid_ppm
            quote = self._quote(at_us, event, runner, trade=self._trade(event, runner) if runner in hit else None)
            self._tell(at_us, event, runner, before, size if runner in hit else 0.0, together=together)
            yield quote
        self._schedule(at_us + self._news_wait_us(), "news", event)

    def _tell(
        self, at_us: int, event: Event, runner: Runner, before: int | None, size: float, *, together: bool
    ) -> None:
        if self._truth is None:
            return
        self._truth(
            {
                "ts_us": at_us,
                "venue": self._venue,
                "market": runner.market.market,
                "event": runner.market.event,
                "jump_logit": round(size, 6),
                "scope": "event" if together else "market",
                "price_before": None if before is None else before / PPM,
                "price_after": None if runner.mid_ppm is None else runner.mid_ppm / PPM,
            }
        )

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _on_run_up(self, at_us: int, event: Event, _: int) -> Iterator[Line]:
        """Draws the result. Exclusive: one wins; thresholds: one number decides all."""
        chances = [_chance_ppm(event, runner) / PPM for runner in event.runners]
        if event.runners[0].market.exclusive:
            lucky = self._rng.choices(range(len(chances)), chances)[0]
            event.winners = [0 if place == lucky else 1 for place in range(len(chances))]
        else:
            level = self._rng.random()
            event.winners = [0 if chance > level else 1 for chance in chances]
        for runner in event.runners:
            runner.heat = max(runner.heat, 2.0)
            runner.interval_s = min(runner.interval_s, 20.0)  # everybody watches the end
        yield from ()

    def _on_end(self, at_us: int, event: Event, _: int) -> Iterator[Line]:
        """All levels go, then trading closes; the result comes a minute or three later."""
        event.over = True
        wait_us = self._rng.randint(60, 180) * US_PER_S
        for place, runner in enumerate(event.runners):
            yield Quote(at_us, runner.market.market, None, None, runner.last_ppm)
            self._schedule(at_us + 2 * US_PER_S, "close", event, place)
            self._schedule(at_us + wait_us, "settle", event, place)
        self._open -= len(event.runners)
        yield from self._fill(at_us)

    def _on_close(self, at_us: int, event: Event, place: int) -> Iterator[Line]:
        yield Close(at_us, event.runners[place].market.market)

    def _on_settle(self, at_us: int, event: Event, place: int) -> Iterator[Line]:
        winner = 0 if event.winners is None else event.winners[place]
        yield Settle(at_us, event.runners[place].market.market, winner)


def _chance_ppm(event: Event, runner: Runner) -> int:
    """The model's probability of outcome 0, in ppm."""
    if runner.market.exclusive:
        top = max(other.score for other in event.runners)
        total = sum(math.exp(other.score - top) for other in event.runners)
        return int(math.exp(runner.score - top) / total * PPM)
    return int(PPM / (1 + math.exp(-runner.score)))

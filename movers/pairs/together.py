"""How the prices of two markets go together: who moves first, and how far apart they are. Pure.

A **step** is a mid at least `STEP_PPM` away from the one in force five minutes before; a further one of the same
direction counts after a quarter of an hour. A step of one market is **answered** when the other has moved at least half
as far in the same direction, between a quarter of an hour before and a quarter of an hour after. The **lag** is the
time between the two passing half of the step. What both make is one step, also where one goes more than twice as far
and so is not answered itself. The lag is as fine as the two markets are looked at: milliseconds on a
stream, the sweep's interval on polls.

**Divergence** compares quotes, not mids alone: how far the mids are apart, and by how much one side's bid is above the
other side's ask. That the quotes cross says nothing of money to be had: fees, sizes, settlement rules and the age of
the older quote are not in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from schemas.units import PPM_PER_PP, US_PER_S
from sinks.clickhouse.along import AROUND_US, Series, Step, half_us

STEP_PPM = 40_000
OVER_US = 300 * US_PER_S


@dataclass(frozen=True, slots=True)
class Together:
    """How two markets went together. `lag_s`: median seconds by which b came after a; negative when b was first."""

    steps: int
    answered: int
    lag_s: float | None


@dataclass(frozen=True, slots=True)
class Quote:
    """The newest quote of a market; a side may be empty. `is_mid`: it is tight enough that its mid is a price."""

    ts_us: int
    bid_ppm: int | None
    ask_ppm: int | None
    is_mid: bool

    @property
    def mid_ppm(self) -> float | None:
        """Halfway between the sides, where that is a price."""
        if self.bid_ppm is None or self.ask_ppm is None or not self.is_mid:
            return None
        return (self.bid_ppm + self.ask_ppm) / 2


@dataclass(frozen=True, slots=True)
class Divergence:
    """How far apart two markets are, in points. `apart_pp`: b's mid less a's; `crossed_pp`: a bid above an ask."""

    apart_pp: float | None
    crossed_pp: float | None
    older_s: float


def steps(series: Series, step_ppm: int = STEP_PPM) -> list[Step]:
    """The steps of a market."""
    found: list[Step] = []
    quiet_until_us = {1: 0, -1: 0}
    for ts_us, mid_ppm in zip(series.ts_us, series.mid_ppm, strict=True):
        before = series.as_of(ts_us - OVER_US)
        if before is None or abs(mid_ppm - before) < step_ppm:
            continue
        way = 1 if mid_ppm > before else -1
        if ts_us >= quiet_until_us[way]:
            found.append(Step(ts_us, mid_ppm - before))
        quiet_until_us[way] = ts_us + AROUND_US
    return found


def together(a: Series, b: Series, step_ppm: int = STEP_PPM) -> Together:
    """Steps of either market, how many the other answered, and who came first. A step that both make counts once."""
    answered: list[tuple[int, int]] = []
    alone: list[tuple[int, Step]] = []
    found = [(step, own) for own, series in enumerate((a, b)) for step in steps(series, step_ppm)]
    for step, own in sorted(found, key=lambda one: one[0].ts_us):
        at = half_us(a, step), half_us(b, step)
        if at[0] is None or at[1] is None:
            alone.append((own, step))
        elif all(abs(at[0] - seen[0]) > OVER_US for seen in answered):
            answered.append((at[0], at[1]))
    unanswered = sum(not _is_part(step, own, (a, b), answered) for own, step in alone)
    lag_s = median((b_us - a_us) / US_PER_S for a_us, b_us in answered) if answered else None
    return Together(len(answered) + unanswered, len(answered), lag_s)


def _is_part(step: Step, own: int, both: tuple[Series, Series], answered: Sequence[tuple[int, int]]) -> bool:
    """Whether a step is the larger side of one that was answered: its market went half of it then, the same way."""
    for moments in answered:
        before, then = both[own].as_of(moments[own] - 1), both[own].as_of(moments[own])
        same_way = before is not None and then is not None and (then - before) * step.change_ppm > 0
        if same_way and abs(step.ts_us - moments[own]) <= OVER_US:
            return True
    return False


def divergence(a: Quote, b: Quote, now_us: int) -> Divergence:
    """How far apart two quotes are, and how old the older one is."""
    apart = None if a.mid_ppm is None or b.mid_ppm is None else (b.mid_ppm - a.mid_ppm) / PPM_PER_PP
    over = [
        (bid - ask) / PPM_PER_PP
        for bid, ask in ((a.bid_ppm, b.ask_ppm), (b.bid_ppm, a.ask_ppm))
        if bid is not None and ask is not None
    ]
    crossed = max(over, default=None)
    older_s = (now_us - min(a.ts_us, b.ts_us)) / US_PER_S
    return Divergence(apart, crossed if crossed is not None and crossed > 0 else None, older_s)

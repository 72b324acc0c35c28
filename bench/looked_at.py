"""What four ways of telling a move give on a recording: how many a day, and examples to look at.

    python -m bench looked_at TAPE [TAPE …] [--examples 10] [--seed 1]

`plain` and `signal` stand for a product without stages: a market's best scores over any window, none within the
cool-down of a better one of the same market. Told are those that pass a limit: what the default rule's smallest move
(6 points, $10,000 a day) gets at best, for `signal` a quarter of it, because a recording tells no dollars inside
the window, and half of that limit is told too. `detected` and `confirmed` are the stages of the default rule.

An example is the market's quotes around the moment: of the scores the ten best, of the stages ten drawn by the seed, so
that anybody sees the same. What was seen in them stands in `docs/signal_quality.md`.
"""

from __future__ import annotations

import argparse
import bisect
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from math import log1p
from pathlib import Path
from random import Random
from typing import NamedTuple

from kernel.settings import RuleSettings
from movers.backtest.tapes import read
from processors.analytics import moves
from processors.analytics.scoring import SCORES, UNKNOWN_DOLLARS_SHARE
from processors.analytics.windows import History, WindowPlan
from processors.backtest import Backtest, longest_silence_us, with_sweeps
from processors.rules_file import default_rule
from schemas.events import Tick
from schemas.units import PPM_PER_PP, US_PER_S
from schemas.words import ScoreName

VOLUME_USD = 50_000.0
AROUND_S = (-3600, -900, -300, -120, -60, -30, -10, -1, 0, 10, 30, 60, 120, 300, 900, 3600)


class Told(NamedTuple):
    """One telling."""

    market_id: str
    ts_us: int
    window_s: int
    move_pp: float


def main(argv: list[str]) -> int:
    """Prints the counts a day of each way, and the examples; 0 when it ran."""
    parser = argparse.ArgumentParser(prog="bench looked_at", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("tapes", nargs="+", type=Path, metavar="TAPE")
    parser.add_argument("--examples", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(argv)
    for path in given.tapes:
        tape = read(path, VOLUME_USD)
        ticks = list(with_sweeps(map(_uncounted, tape.ticks), longest_silence_us(tape.instants_us)))
        days = (ticks[-1].ts_event_us - ticks[0].ts_event_us) / US_PER_S / 86_400
        quotes = by_market(ticks)
        sys.stdout.write(f"{path.name}: {days:.2f} days, {len(quotes)} markets\n")
        for score in SCORES:
            scored = by_score(ticks, score)
            for part in (1, 2):
                least = limit(score, RuleSettings()) / part
                count = sum(value >= least for value, _ in scored)
                sys.stdout.write(f"{score} from {least:.1f} on: {count}, {count / days:.1f} a day\n")
            for value, one in scored[: given.examples]:
                sys.stdout.write(f"{score} {value:.1f}  {around(one, quotes[one.market_id])}\n")
        for stage, told in by_stage(ticks).items():
            sys.stdout.write(f"{stage}: {len(told)}, {len(told) / days:.1f} a day\n")
            for one in sorted(Random(given.seed).sample(told, min(given.examples, len(told)))):
                sys.stdout.write(f"{stage}  {around(one, quotes[one.market_id])}\n")
    return 0


def _uncounted(tick: Tick) -> Tick:
    """Without its counter of volume: a recording that has none was given one that never moves."""
    return replace(tick, volume_total_usd=None, volume_total_contracts=None)


def limit(score: ScoreName, rules: RuleSettings) -> float:
    """The score from which on a move is told."""
    if score == "plain":
        return rules.alert_threshold_pp * log1p(rules.min_volume_24h)
    return 10 * rules.alert_threshold_pp * UNKNOWN_DOLLARS_SHARE


def by_score(ticks: Iterable[Tick], score: ScoreName) -> list[tuple[float, Told]]:
    """A market's best scores, best first, none within the cool-down of a better one of the same market."""
    rules = RuleSettings()
    plan, cooldown_us = WindowPlan(rules.windows, score), rules.alert_cooldown_s * US_PER_S
    histories: dict[str, History | None] = {}
    found = []
    for tick in ticks:
        histories[tick.market_id], move = moves.update(histories.get(tick.market_id), tick, plan)
        ranked = [] if move is None else [(w.score or 0.0, w.window_s, w.move_pp or 0.0) for w in move.windows]
        best, window_s, move_pp = max(ranked, default=(0.0, 0, 0.0))
        if best >= limit(score, rules) / 4:
            found.append((best, Told(tick.market_id, tick.ts_event_us, window_s, move_pp)))
    taken: dict[str, list[int]] = defaultdict(list)
    kept = []
    for best, told in sorted(found, key=lambda one: (-one[0], one[1])):
        if all(abs(told.ts_us - at_us) >= cooldown_us for at_us in taken[told.market_id]):
            taken[told.market_id].append(told.ts_us)
            kept.append((best, told))
    return kept


def by_stage(ticks: Iterable[Tick]) -> dict[str, list[Told]]:
    """The episodes of the default rule: when each was detected, and those that were confirmed."""
    rules = RuleSettings()
    backtest = Backtest(WindowPlan(rules.windows), [default_rule(rules)])
    for tick in ticks:
        backtest.take(tick)
    records = [r for r in backtest.finish() if r.kind == "move"]
    told = [(Told(r.market_id, r.detected_us, r.windows_s[0], r.move_pp), r.confirmed_us) for r in records]
    return {"detected": [t for t, _ in told], "confirmed": [t for t, confirmed_us in told if confirmed_us is not None]}


def by_market(ticks: Iterable[Tick]) -> dict[str, list[Tick]]:
    """Each market's ticks in order."""
    found: dict[str, list[Tick]] = defaultdict(list)
    for tick in ticks:
        found[tick.market_id].append(tick)
    return found


def around(told: Told, ticks: Sequence[Tick]) -> str:
    """The moment and the quotes in force around it, in points: `bid/ask` where both are there, else the price."""
    instants = [tick.ts_event_us for tick in ticks]
    parts = []
    for offset_s in AROUND_S:
        place = bisect.bisect_right(instants, told.ts_us + offset_s * US_PER_S) - 1
        parts.append(f"{offset_s:+d}s {_quote(ticks[place]) if place >= 0 else '–'}")
    at = datetime.fromtimestamp(told.ts_us / US_PER_S, UTC)
    return f"{told.market_id} {at:%m-%d %H:%M:%S} {told.move_pp:+.1f} pp over {told.window_s} s | " + " ".join(parts)


def _quote(tick: Tick) -> str:
    if tick.bid_ppm is not None and tick.ask_ppm is not None:
        return f"{tick.bid_ppm / PPM_PER_PP:g}/{tick.ask_ppm / PPM_PER_PP:g}"
    return "none" if tick.price_ppm is None else f"{tick.price_ppm / PPM_PER_PP:g}"

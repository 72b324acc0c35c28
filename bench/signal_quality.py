"""How well alerts find jumps: on the house tape, whose truth is known, and how many a day on recordings.

    python -m bench signal_quality [--seeds 2026 4711] [--markets 300] [--hours 12] [--json FILE] [TAPE …]

The rule is the default of the settings. Jumps are those that the model put in; how alerts are held against them stands
at the top of `movers/backtest/evaluation.py`. Over the tape two further things are laid, seeded as well: spikes of 15
to 25 points that last 5 to 45 seconds (no alert on one may be confirmed), and one hole of ten hours in every market's
feed (no alert may be opened by it but as across a gap).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from bench import RESULTS, write
from kernel.settings import RuleSettings
from movers.backtest.evaluation import judge, percentile
from movers.backtest.labels import Label
from movers.backtest.tapes import merged, read, ticks_of
from processors.analytics.windows import WindowPlan
from processors.backtest import SHORTEST_HOLE_US, Backtest, Record, longest_silence_us, with_sweeps
from processors.rules_file import default_rule
from schemas.events import Tick
from schemas.units import US_PER_S
from simulator.house import HouseTape
from simulator.tape import Line

START_US = 1_790_000_000 * US_PER_S
HOLE_S = 10 * 3600
SPIKES_PER_MARKET_HOUR = 0.02


def main(argv: list[str]) -> int:
    """Runs the measurement, prints it, writes its JSON; 0 when it ran."""
    parser = argparse.ArgumentParser(prog="bench signal_quality", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("tapes", nargs="*", type=Path, metavar="TAPE", help="recordings to count alerts on")
    parser.add_argument("--seeds", nargs="+", type=int, default=[2026, 4711])
    parser.add_argument("--markets", type=int, default=300)
    parser.add_argument("--hours", type=float, default=12.0)
    parser.add_argument("--json", type=Path, default=RESULTS / "signal_quality.json")
    given = parser.parse_args(argv)
    results = [house(seed, given.markets, given.hours) for seed in given.seeds]
    results += [recording(path) for path in given.tapes]
    for result in results:
        print(json.dumps(result))
    write(given.json, results)
    return 0


def house(seed: int, markets: int, hours: float) -> dict[str, Any]:
    """The house tape of a seed: jumps found, spikes not taken for moves, nothing opened by a hole."""
    truth: list[dict[str, Any]] = []
    rules, began = RuleSettings(), time.perf_counter()
    lines = _until(HouseTape(seed, markets, START_US, truth.append), START_US + round(hours * 3600) * US_PER_S)
    spiked: list[tuple[str, int]] = []
    backtest = Backtest(WindowPlan(rules.windows), [default_rule(rules)])
    hole_us = START_US + round(hours * 1800) * US_PER_S
    for tick in with_sweeps(_with_hole(_spikes(ticks_of(lines), Random(seed), spiked), hole_us), SHORTEST_HOLE_US):
        backtest.take(tick)
    records = backtest.finish()
    spiked = [(name, _moved(at_us, hole_us)) for name, at_us in spiked]
    verdict = judge(records, _labels(truth, hole_us), backtest.mids, rules.windows[0])
    return {
        "seed": seed,
        "ticks": backtest.ticks,
        "seconds": round(time.perf_counter() - began, 1),
        "labels": verdict.labels,
        "visible": verdict.visible,
        "recall": verdict.recall,
        "missed": [[m.market_id, m.ts_us, m.direction, m.size_pp] for m in verdict.missed],
        "confirmed": verdict.confirmed,
        "steps": verdict.steps,
        "precision": verdict.precision,
        "delay_s": [percentile(verdict.delays_s, 0.5), percentile(verdict.delays_s, 0.95)],
        "spikes": len(spiked),
        "spikes_detected": sum(_hit(r, spiked) for r in records),
        "spikes_confirmed": sum(_hit(r, spiked) and r.confirmed_us is not None for r in records),
        "opened_by_hole": sum(_after_hole(r, hole_us) and not r.across_gap for r in records),
        "across_gap": sum(r.across_gap for r in records),
        **_stages(records),
    }


def recording(path: Path) -> dict[str, Any]:
    """How many alerts a day the default rule tells on a recording."""
    rules, tape = RuleSettings(), read(path)
    backtest = Backtest(WindowPlan(rules.windows), [default_rule(rules)])
    for tick in with_sweeps(tape.ticks, longest_silence_us(tape.instants_us)):
        backtest.take(tick)
    records = backtest.finish()
    days = (backtest.last_us - backtest.first_us) / US_PER_S / 86_400
    stages = _stages(records)
    return {
        "tape": path.name,
        "days": round(days, 2),
        "assumed": tape.assumed,
        **stages,
        "a_day": {name: round(count / days, 1) for name, count in stages.items()},
    }


def _stages(records: Sequence[Record]) -> dict[str, int]:
    return {
        "detected": len(records),
        "confirmed_all": sum(r.confirmed_us is not None for r in records),
        "reverted": sum(r.reverted_us is not None for r in records),
    }


def _until(tape: HouseTape, end_us: int) -> Iterator[Line]:
    for line in merged(tape):
        if line.ts_us is not None and line.ts_us > end_us:
            return
        yield line


def _labels(truth: Sequence[dict[str, Any]], hole_us: int) -> list[Label]:
    """The model's jumps with a price on both sides, moved as the tape is by the hole."""
    labels = []
    for row in truth:
        if row["price_before"] is None or row["price_after"] is None:
            continue
        change_pp = (row["price_after"] - row["price_before"]) * 100
        labels.append(
            Label(row["market"], _moved(row["ts_us"], hole_us), "up" if change_pp > 0 else "down", abs(change_pp))
        )
    return labels


def _moved(ts_us: int, hole_us: int) -> int:
    return ts_us if ts_us < hole_us else ts_us + HOLE_S * US_PER_S


def _with_hole(ticks: Iterator[Tick], hole_us: int) -> Iterator[Tick]:
    """The tape cut in its middle and pulled ten hours apart."""
    for tick in ticks:
        ts_us = _moved(tick.ts_event_us, hole_us)
        close_us = None if tick.close_ts_us is None else _moved(tick.close_ts_us, hole_us)
        yield replace(tick, ts_event_us=ts_us, ts_received_us=ts_us, close_ts_us=close_us)


def _spikes(ticks: Iterator[Tick], rng: Random, spiked: list[tuple[str, int]]) -> Iterator[Tick]:
    """Mids shifted for some seconds and then put back, whatever the market did meanwhile."""
    active: dict[str, tuple[int, Tick, int]] = {}
    seen_us: dict[str, int] = {}
    for tick in ticks:
        for name, (end_us, true, _) in list(active.items()):
            if end_us <= tick.ts_event_us:
                yield replace(true, ts_event_us=end_us, ts_received_us=end_us)
                del active[name]
        name = tick.market_id
        if name in active:
            end_us, _, shift_ppm = active[name]
            active[name] = (end_us, tick, shift_ppm)
            yield _shifted(tick, shift_ppm)
            continue
        hours = (tick.ts_event_us - seen_us.get(name, tick.ts_event_us)) / US_PER_S / 3600
        seen_us[name] = tick.ts_event_us
        if tick.price_basis == "mid" and tick.market_status == "open" and rng.random() < SPIKES_PER_MARKET_HOUR * hours:
            size = rng.randrange(150_000, 250_000)
            shift_ppm = size if (tick.price_ppm or 0) < 500_000 else -size
            active[name] = (tick.ts_event_us + rng.randrange(5, 46) * US_PER_S, tick, shift_ppm)
            spiked.append((name, tick.ts_event_us))
            yield _shifted(tick, shift_ppm)
        else:
            yield tick


def _shifted(tick: Tick, by_ppm: int) -> Tick:
    if tick.price_ppm is None or tick.bid_ppm is None or tick.ask_ppm is None:
        return tick
    return replace(
        tick, bid_ppm=tick.bid_ppm + by_ppm, ask_ppm=tick.ask_ppm + by_ppm, price_ppm=tick.price_ppm + by_ppm
    )


def _hit(record: Record, spiked: Sequence[tuple[str, int]]) -> bool:
    """Whether an episode was detected while a spike lasted."""
    return any(
        name == record.market_id and at_us <= record.detected_us <= at_us + 46 * US_PER_S for name, at_us in spiked
    )


def _after_hole(record: Record, hole_us: int) -> bool:
    """Whether an episode was detected in the first hour after the hole by a move that began before its end."""
    end_us = hole_us + HOLE_S * US_PER_S
    began_us = record.detected_us if record.onset_us is None else record.onset_us
    return end_us <= record.detected_us <= end_us + 3600 * US_PER_S and began_us <= end_us

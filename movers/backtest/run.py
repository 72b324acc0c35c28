"""Runs a backtest and tells what came of it: JSON, a page, a few lines."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from kernel.errors import UserError
from kernel.settings import RuleSettings
from movers.backtest.csv_rows import instant_us
from movers.backtest.evaluation import Verdict, judge, percentile
from movers.backtest.labels import read_labels
from movers.backtest.tapes import Recording
from processors.analytics.windows import WindowPlan
from processors.backtest import Backtest, Record, longest_silence_us, with_sweeps
from processors.rules_file import default_rule, read_rules, rules_in_force
from schemas.events import Tick
from schemas.grades import ENOUGH_CASES, HORIZONS_S, wilson
from schemas.units import US_PER_S, datetime_from_micros

DAY_US = 86_400 * US_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command was asked for."""

    recording: Recording
    from_us: int | None
    to_us: int | None
    rules: Path | None
    labels: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of it."""

    records: list[Record]
    summary: dict[str, Any]
    took_s: float
    prices: dict[str, tuple[list[int], list[float]]]

    def as_json(self) -> bytes:
        """The alerts and the summary: the same bytes for the same tape, rules and labels."""
        alerts = [_alert(record) for record in self.records]
        return orjson.dumps({"alerts": alerts, "summary": self.summary}, option=orjson.OPT_INDENT_2)


def run(settings: RuleSettings, options: Options) -> Outcome:
    """Plays the recording through the analytics. What lies before `from_us` only fills the histories.

    Raises:
        UserError: rules or labels cannot be read, or nothing is left to play.
    """
    if options.from_us is not None and options.to_us is not None and options.from_us > options.to_us:
        raise UserError("--from is later than --to")
    if options.rules is None:
        rules = rules_in_force(settings)
    else:
        rules = read_rules(options.rules, default_rule(settings), settings.windows)
    labels = None if options.labels is None else read_labels(options.labels)
    backtest = Backtest(WindowPlan(settings.windows, settings.score), rules, options.recording.categories)
    prices: dict[str, tuple[list[int], list[float]]] = {}
    began = time.perf_counter()
    for tick in with_sweeps(options.recording.ticks, longest_silence_us(options.recording.instants_us)):
        if options.to_us is not None and tick.ts_event_us > options.to_us:
            break
        backtest.take(tick)
        _keep(prices, tick)
    if not backtest.first_us:
        raise UserError("the tape has nothing to play")
    first_us = max(backtest.first_us, options.from_us or 0)
    if first_us > backtest.last_us:
        raise UserError(f"the tape ends at {datetime_from_micros(backtest.last_us).isoformat()}, before --from")
    records = [r for r in backtest.finish() if r.detected_us >= first_us]
    took_s = time.perf_counter() - began
    summary = _summary(records, first_us, backtest.last_us)
    summary["warm_up_s"] = (first_us - backtest.first_us) // US_PER_S
    summary |= {"ticks": backtest.ticks, "assumed": options.recording.assumed}
    summary["rules"] = {rule.name: rule.version for rule in rules}
    summary["rules_without_markets"] = [rule.name for rule in backtest.idle_rules]
    asking = () if backtest.tells_dollars else (rule.name for rule in rules if rule.min_window_usd)
    summary["rules_without_dollars"] = list(asking)
    if labels is not None:
        spanned = [label for label in labels if first_us <= label.ts_us <= backtest.last_us]
        shortest_s = min(min(rule.windows_s, default=settings.windows[0]) for rule in rules)
        summary["labels_outside"] = len(labels) - len(spanned)
        summary["labels_of_unknown_markets"] = sum(label.market_id not in prices for label in spanned)
        summary |= _judged(judge(records, spanned, backtest.mids, shortest_s))
    return Outcome(
        records=records, summary=summary, took_s=took_s, prices={r.market_id: prices[r.market_id] for r in records}
    )


def write(outcome: Outcome, path: Path) -> None:
    """Writes the JSON.

    Raises:
        UserError: the file cannot be written.
    """
    try:
        path.write_bytes(outcome.as_json() + b"\n")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error


def _keep(prices: dict[str, tuple[list[int], list[float]]], tick: Tick) -> None:
    """Prices for the page: each change, and the last moment of each."""
    if tick.price_ppm is None:
        return
    times, values = prices.setdefault(tick.market_id, ([], []))
    if tick.source != "sweep":
        times.append(tick.ts_event_us)
        values.append(tick.price_ppm / 1_000_000)


def _alert(record: Record) -> dict[str, Any]:
    return {
        "market": record.market_id,
        "rule": record.rule,
        "windows_s": list(record.windows_s),
        "direction": record.direction,
        "kind": record.kind,
        "severity": record.severity,
        "move_pp": round(record.move_pp, 4),
        "peak_move_pp": round(record.peak_pp, 4),
        "onset_us": record.onset_us,
        "detected_us": record.detected_us,
        "confirmed_us": record.confirmed_us,
        "reverted_us": record.reverted_us,
        "closed_us": record.closed_us,
        "across_gap": record.across_gap,
        "reasons": record.reasons,
        "grades": {str(horizon_s): kept for horizon_s, kept in record.grades.items()},
    }


def _summary(records: Sequence[Record], first_us: int, last_us: int) -> dict[str, Any]:
    days = max((last_us - first_us) / DAY_US, 1e-9)
    counts = {
        "detected": len(records),
        "confirmed": sum(r.confirmed_us is not None for r in records),
        "reverted": sum(r.reverted_us is not None for r in records),
        "escalated": sum(bool(r.escalated_us) for r in records),
    }
    return {
        "from": datetime_from_micros(first_us).isoformat(),
        "to": datetime_from_micros(last_us).isoformat(),
        "days": round(days, 4),
        "alerts": counts,
        "alerts_a_day": {stage: round(count / days, 3) for stage, count in counts.items()},
        "kept": {str(horizon_s): kept(records, horizon_s) for horizon_s in HORIZONS_S},
    }


def kept(records: Sequence[Record], horizon_s: int) -> dict[str, Any]:
    """How many confirmed moves still stood by half so long after; the share only when there are enough cases."""
    shares = [r.grades.get(horizon_s) for r in records if r.confirmed_us is not None and r.kind == "move"]
    known = [share for share in shares if share is not None]
    hits = sum(share >= 0.5 for share in known)
    told: dict[str, Any] = {"cases": len(known), "kept": hits, "reversed": sum(share < 0 for share in known)}
    if len(known) >= ENOUGH_CASES:
        low, high = wilson(hits, len(known))
        told |= {"share": round(hits / len(known), 4), "interval": [round(low, 4), round(high, 4)]}
    return told


def _judged(verdict: Verdict) -> dict[str, Any]:
    p50, p95 = percentile(verdict.delays_s, 0.5), percentile(verdict.delays_s, 0.95)
    return {
        "labels": verdict.labels,
        "visible": verdict.visible,
        "found": verdict.found,
        "steps": verdict.steps,
        "right": verdict.right,
        "precision": verdict.precision,
        "recall": verdict.recall,
        "delay_s": {"p50": p50, "p95": p95},
        "missed": [{"market": m.market_id, "ts_us": m.ts_us, "direction": m.direction} for m in verdict.missed],
        "wrong": [{"market": w.market_id, "detected_us": w.detected_us, "rule": w.rule} for w in verdict.wrong],
    }


def lines(outcome: Outcome) -> list[str]:
    """The summary as a few lines to read."""
    s = outcome.summary
    told = [
        f"{s['ticks']:,} ticks of {s['days']:.2f} days in {outcome.took_s:.1f} s",
        "alerts: " + ", ".join(f"{count} {stage}" for stage, count in s["alerts"].items()),
        "a day: " + ", ".join(f"{count:g} {stage}" for stage, count in s["alerts_a_day"].items()),
    ]
    if s["warm_up_s"]:
        told.append(f"the {s['warm_up_s'] / 3600:.1f} hours before --from filled the histories")
    told += [f"assumed: {text}" for text in s["assumed"]]
    told += [f"rule {name} looks at none of these markets" for name in s["rules_without_markets"]]
    told += [
        f"rule {name} asks for dollars in the window; nothing here tells any" for name in s["rules_without_dollars"]
    ]
    if "labels" in s:
        share = {name: "–" if s[name] is None else f"{s[name]:.3f}" for name in ("precision", "recall")}
        delay = {name: "–" if value is None else f"{value:.1f} s" for name, value in s["delay_s"].items()}
        told.append(
            f"labels: {s['visible']} of {s['labels']} visible, {s['found']} found (recall {share['recall']}); "
            f"{s['right']} of {s['steps']} steps right (precision {share['precision']}); "
            f"delay p50 {delay['p50']}, p95 {delay['p95']}"
        )
        if s["labels_outside"]:
            told.append(f"labels before the first or after the last of these ticks, left out: {s['labels_outside']}")
        if s["labels_of_unknown_markets"]:
            told.append(f"labels of markets of which these ticks tell no price: {s['labels_of_unknown_markets']}")
    else:
        for horizon_s, row in s["kept"].items():
            text = f"{row['kept']} of {row['cases']} confirmed moves kept half after {int(horizon_s) // 60} min"
            told.append(text + (f" ({row['share']:.0%})" if "share" in row else ""))
    return told


def option_instant(text: str | None, name: str) -> int | None:
    """An instant given on the command line.

    Raises:
        UserError: it is none.
    """
    if text is None:
        return None
    try:
        return instant_us(text)
    except ValueError as error:
        raise UserError(f"{name}: {error}") from error

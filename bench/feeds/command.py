"""From a streamed frame to Kafka's acknowledgement: how long it takes and what it costs, beside parsing alone.

    python -m bench feeds [--markets 110000] [--rate 7000] [--burst 13000] [--burst-over 1] [--for 60] [--shards 2]
                          [--kalshi 3500 [--kalshi-markets 100000]]

A process of its own sends Polymarket frames over 400 markets a socket (one in three moves the top); ours reads them as
a collector does, with the same pool, readers, tracking, encoding and outbox, into a real Kafka: one process, or
several, each with its part of the markets. The ceiling is the reader alone, and the reader with everything up to the
encoded tick, on frames in memory. Every tenth second `--burst` frames more are sent, at once or over so many seconds.

With `--kalshi`, another sender and another collector do the same with Kalshi's `ticker` at the same time, into the same
Kafka: each message comes on two connections, so a collector reads twice as many frames as the rate says, and publishes
what the first of both brings. Its figures stand beside Polymarket's.
"""

from __future__ import annotations

import argparse
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from bench import RESULTS, write
from bench.feeds.ceiling import ceiling
from bench.feeds.running import Load, Running
from bench.feeds.venues import KALSHI, POLYMARKET
from bench.pipeline import machine
from bench.processing import Place, stack

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


def main(arguments: list[str]) -> int:
    """Runs all, prints, writes `bench/results/feeds.json`."""
    parser = argparse.ArgumentParser(prog="bench feeds", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--markets", type=int, default=110_000)
    parser.add_argument("--rate", type=int, default=7_000, help="Polymarket's frames a second")
    parser.add_argument("--burst", type=int, default=0, help="frames more of it every ten seconds")
    parser.add_argument("--burst-over", type=float, default=0.0, help="seconds in which they are sent; 0 = at once")
    parser.add_argument("--for", dest="seconds", type=int, default=60)
    parser.add_argument("--shards", type=int, default=1, help="processes that share Polymarket's markets")
    parser.add_argument(
        "--kalshi", type=int, default=0, metavar="RATE", help="Kalshi's messages a second, each on two connections"
    )
    parser.add_argument("--kalshi-markets", type=int, default=100_000)
    options = parser.parse_args(arguments)
    loads = [
        Load(POLYMARKET, options.markets, options.rate, options.burst, options.burst_over, options.shards),
        *([Load(KALSHI, options.kalshi_markets, options.kalshi)] if options.kalshi else []),
    ]
    with stack() as place:
        limits = ceiling(place)
        load = round(os.getloadavg()[0], 1)
        found, *others = measured(place, loads, options.seconds)
    result = {
        "machine": machine(), "load": load, "seconds": options.seconds, **limits, **found,
        "ratio_to_read": round(found["cpu_us_per_frame"] / limits["read_us"], 1),
    }  # fmt: skip
    write(RESULTS / "feeds.json", result | {each["venue"]: each for each in others})
    print("\n".join(table([result, *others])))
    return 0


def measured(place: Place, loads: Sequence[Load], seconds: int) -> list[dict[str, Any]]:
    """What was found of each venue, all of them measured at the same time."""
    with ExitStack() as processes:
        venues = [processes.enter_context(Running(place, load, seconds)) for load in loads]
        for venue in venues:
            venue.open()
        for venue in venues:
            venue.measure()
        figures = [venue.figures() for venue in venues]
        frames = [venue.frames() for venue in venues]
    return [
        described(load) | merged(found) | counted(*of, mirrored=load.venue.copies > 1)
        for load, found, of in zip(loads, figures, frames, strict=True)
    ]


def described(load: Load) -> dict[str, Any]:
    """What was asked for."""
    return {
        "venue": load.venue.name, "markets": load.markets, "shards": load.shards, "rate": load.rate,
        "burst": load.burst, "burst_over_s": load.burst_over_s,
    }  # fmt: skip


def counted(sent: Sequence[int], read: Sequence[int], *, mirrored: bool) -> dict[str, Any]:
    """Frames of all connections; where these tell the same, also of each, the fewest first."""
    told: dict[str, Any] = {"frames_sent": sum(sent), "frames_read": sum(read), "dropped": sum(sent) - sum(read)}
    return told | ({"sent_on_each": sorted(sent), "read_on_each": sorted(read)} if mirrored else {})


def table(columns: Sequence[Mapping[str, Any]]) -> list[str]:
    """Lines with what each venue has under a name, side by side."""
    cells = {name: [str(column.get(name, "")) for column in columns] for column in columns for name in column}
    widths = [max(map(len, column)) for column in zip(*cells.values(), strict=True)]
    return [
        f"{name:20}" + "  ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()
        for name, line in cells.items()
    ]


def merged(figures: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the readers found, as of one; and what each of them found, where they can be told apart."""
    frames, cpu_s = sum(each["frames"] for each in figures), sum(each["cpu_s"] for each in figures)
    told: dict[str, Any] = {
        "opened_after_s": max(each["opened_after_s"] for each in figures),
        "frames_per_s": round(sum(each["frames"] / each["took_s"] for each in figures)),
        "ticks_per_s": round(sum(each["ticks"] / each["took_s"] for each in figures)),
        "cpu_us_per_frame": round(cpu_s / frames * 1e6, 1),
        "cpu_pct": [round(100 * each["cpu_s"] / each["took_s"]) for each in figures],
        "rss_mb": [each["rss_mb"] for each in figures],
        "connections": [each["connections"] for each in figures],
    }
    for way in ("sent_to_read", "sent_to_ack"):
        counts = _added(each[way] for each in figures)
        told |= {f"{way}_{word}_ms": quantile_ms(counts, share) for word, share in QUANTILES.items()}
    cumulative = _added(each["read_to_ack"] for each in figures)
    told |= {f"ack_{word}_ms": _upper_edge_ms(cumulative, QUANTILES[word]) for word in ("p50", "p99")}
    return told


def quantile_ms(counts: Mapping[float, float], share: float) -> int:
    """The millisecond within which so many were done, of how many took how many."""
    wanted, total = share * sum(counts.values()), 0.0
    for took_ms in sorted(counts):
        total += counts[took_ms]
        if total >= wanted:
            return int(took_ms) + 1
    raise ValueError("nothing was done")


def _upper_edge_ms(cumulative: Mapping[float, float], share: float) -> float:
    """Of a histogram's cumulative buckets: at most a fifth too high."""
    total = max(cumulative.values())
    return round(next(bound for bound, count in sorted(cumulative.items()) if count >= share * total) * 1_000, 1)


def _added(each_counted: Iterable[Mapping[str, float]]) -> dict[float, float]:
    """Counts of several processes; JSON made text of what was counted."""
    whole: defaultdict[float, float] = defaultdict(float)
    for counted in each_counted:
        for name, count in counted.items():
            whole[float(name)] += count
    return whole

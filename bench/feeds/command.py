"""From a streamed frame to Kafka's acknowledgement: how long it takes and what it costs, beside parsing alone.

    python -m bench feeds [--markets 110000] [--rate 7000] [--burst 13000] [--burst-over 1] [--for 60] [--shards 2]

A process of its own sends Polymarket frames over 400 markets a socket (one in three moves the top); ours reads them as
a collector does, with the same pool, readers, tracking, encoding and outbox, into a real Kafka: one process, or
several, each with its part of the markets. The ceiling is the reader alone, and the reader with everything up to the
encoded tick, on frames in memory. Every tenth second `--burst` frames more are sent, at once or over so many seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench import RESULTS, write
from bench.feeds.ceiling import ceiling
from bench.pipeline import machine
from bench.processing import Place, stack
from movers.local.ports import free_port

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


def main(arguments: list[str]) -> int:
    """Runs both, prints, writes `bench/results/feeds.json`."""
    parser = argparse.ArgumentParser(prog="bench feeds", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--markets", type=int, default=110_000)
    parser.add_argument("--rate", type=int, default=7_000, help="frames a second")
    parser.add_argument("--burst", type=int, default=0, help="frames more every ten seconds")
    parser.add_argument("--burst-over", type=float, default=0.0, help="seconds in which they are sent; 0 = at once")
    parser.add_argument("--for", dest="seconds", type=int, default=60)
    parser.add_argument("--shards", type=int, default=1, help="processes that share the markets")
    options = parser.parse_args(arguments)
    with stack() as place:
        limits = ceiling(place)
        load = round(os.getloadavg()[0], 1)
        found = measured(place, options)
    result = {
        "machine": machine(), "load": load, "markets": options.markets, "shards": options.shards, "rate": options.rate,
        "burst": options.burst, "burst_over_s": options.burst_over, "seconds": options.seconds, **limits, **found,
        "ratio_to_read": round(found["cpu_us_per_frame"] / limits["read_us"], 1),
    }  # fmt: skip
    write(RESULTS / "feeds.json", result)
    for name, value in result.items():
        print(f"{name:20}{value}")
    return 0


def measured(place: Place, options: argparse.Namespace) -> dict[str, Any]:
    """The sender and its readers as processes, until these have measured; then the sender ends, and they read its
    last frames."""
    port = free_port()
    sent = [port, options.markets, options.rate, options.burst, options.burst_over]
    sender = _process("bench.feeds.sender", *sent)
    here = [place.bootstrap, place.registry_url, place.folder, f"ws://127.0.0.1:{port}/ws/market"]
    readers = [
        _process("bench.feeds.collector", *here, options.markets, options.seconds, number, options.shards)
        for number in range(1, options.shards + 1)
    ]
    try:
        figures = [json.loads(_line(reader)) for reader in readers]
        sender.terminate()
        frames_sent = int(sender.communicate(timeout=60)[0] or 0)
        frames_read = sum(json.loads(reader.communicate(timeout=60)[0])["frames_read"] for reader in readers)
    finally:
        for process in (sender, *readers):
            process.kill()
    whole = {"frames_sent": frames_sent, "frames_read": frames_read, "dropped": frames_sent - frames_read}
    return merged(figures) | whole


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


def _process(module: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise SystemExit("a process ended before it had measured")
    return line

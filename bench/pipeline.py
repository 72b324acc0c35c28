"""What the whole product sustains on this machine: real producers over simulated venues, to rows in the store.

A run makes `rate` ticks a second by the number of markets and the sweep interval, in real time (no catch-up), and reads
the steady state off the report: ticks stored a second, lag from received to stored, CPU of each process. Beside it an
idle run of the demo's default size shows what the product costs when little happens; the ratio of the two says what a
tick costs over the idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from typing import Any

from bench import RESULTS, write
from movers.supervisor import child_environment

SWEEP_EVERY_S = 2.0
IDLE_MARKETS = 500


def main(arguments: list[str]) -> int:
    """Runs both, prints the table, writes `bench/results/pipeline.json`."""
    parser = argparse.ArgumentParser(prog="bench pipeline", description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=int, default=2000, help="ticks a second to make")
    parser.add_argument("--for", dest="seconds", type=int, default=90, help="seconds of each run")
    options = parser.parse_args(arguments)
    load = run(
        markets=round(options.rate * SWEEP_EVERY_S),
        seconds=options.seconds,
        environment={
            "COLLECTOR_PRICE_INTERVAL": str(SWEEP_EVERY_S),
            "COLLECTOR_MIN_PAUSE_S": "0",
            "COLLECTOR_HOT_MARKETS": "0",
        },
    )
    idle = run(markets=IDLE_MARKETS, seconds=options.seconds, environment={})
    result = {"machine": machine(), "wanted_ticks_per_s": options.rate, "load": load, "idle": idle}
    write(RESULTS / "pipeline.json", result)
    print_table(result)
    return 0


def run(markets: int, seconds: int, environment: dict[str, str]) -> dict[str, Any]:
    """One run of the demo in real time; the steady part of its report."""
    report = RESULTS / "run.json"
    RESULTS.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "movers", "demo", "--markets", str(markets), "--since", "0s", "--speed", "1"]
    command += ["--for", str(seconds), "--report", str(report)]
    subprocess.run(command, env=child_environment(environment), check=False)
    whole: dict[str, Any] = json.loads(report.read_text())
    report.unlink()
    return {
        "markets": markets,
        **whole["last_30_s"],
        "lag_s_per_stage": whole["lag_s_per_stage"],
        "peak_rss_mb_total": whole["peak_rss_mb_total"],
        "restarts": sum(whole["restarts"].values()),
        "dead_letters": whole["dead_letters"],
    }


def machine() -> str:
    """Where it was measured."""
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"


def print_table(result: dict[str, Any]) -> None:
    """Load beside idle."""
    load, idle = result["load"], result["idle"]
    print(f"\nPipeline on {result['machine']}; last 30 s of each run\n")
    print(f"{'':26}{'load':>10}{'idle':>10}{'ratio':>8}")
    for name in ("markets", "ticks_per_s", "store_lag_p50_s", "store_lag_p99_s", "peak_rss_mb_total"):
        _line(name, load[name], idle[name])
    print("\nCPU, percent of one core")
    for name in load["cpu_pct"]:
        _line(name, load["cpu_pct"][name], idle["cpu_pct"][name])
    _line("together", sum(load["cpu_pct"].values()), sum(idle["cpu_pct"].values()))
    print(f"\nrestarts {load['restarts']}, dead letters {load['dead_letters']}")


def _line(name: str, load: float, idle: float) -> None:
    ratio = f"{load / idle:8.1f}" if idle else "       –"
    print(f"{name:26}{load:10.2f}{idle:10.2f}{ratio}")

"""How the analytics' cost grows: by markets, by windows; how long a restart takes; what the sink's tick costs.

    python -m bench scale [--few 1000] [--many 200000] [--part markets|windows|sink] [--runs 3] [--json FILE]

Ratios in one run, medians of several in turns. Markets: rounds of ticks, each changing its market's price, twelve
venue hours apart, so that few and many markets have histories of the same length and every tick makes the same.
Caught up, the second half of what waits is measured: few markets write a state for some twenty ticks there, many one
for each. As they come, at a pace that both keep, nearly each tick is a state written: there only the number of
markets differs. Restart: the process of the many markets is started again, with its state and without (the changelog
rebuilds it), until its first tick is through. Windows: the house tape with one window and with eight. The sink: the
house tape's ticks into the store, with the moves and bars that the analytics made of them.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

from bench import RESULTS, write
from bench.house_ticks import house_ticks
from bench.processing import Place, Running, fill, publish, running, stack
from kernel.kafka.readers import watermarks
from kernel.settings import ClickHouseSettings
from movers.local.ports import free_port
from schemas.events import Tick
from schemas.units import PPM, US_PER_S, event_id
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.sink import TOPICS as SINK_TOPICS
from tests.stack.processes import ServiceProcess

ROUND_S = 12 * 3600
STEP_PPM = 4_000
"""A tick's move: worth no alert. A jump would be one in a market's first rounds and its usual step in the later ones,
and few markets have more rounds than many."""
LEAST_ROUNDS, LEAST_TICKS = 4, 100_000
PACE_PER_S, PACED = 2_000, 60_000
_BEAT_S = 0.01
WINDOWS = {"one": "300", "eight": "60,300,900,1800,3600,14400,43200,86400"}
HOUSE_MARKETS, HOUSE_MINUTES, SINK_MINUTES = 500, 30, 120


def main(argv: list[str]) -> int:
    """Runs the parts asked for, all without a word; prints them, writes them; 0 when they ran."""
    parser = argparse.ArgumentParser(prog="bench scale", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--few", type=int, default=1_000)
    parser.add_argument("--many", type=int, default=200_000)
    parser.add_argument("--part", choices=PARTS, help="only this one")
    parser.add_argument("--runs", type=int, default=3, help="medians of so many")
    parser.add_argument("--json", type=Path, default=RESULTS / "scale.json")
    given = parser.parse_args(argv)
    result: dict[str, Any] = {
        "few": given.few,
        "many": given.many,
        "cpu_count": os.cpu_count(),
        "load": os.getloadavg()[0],
    }
    for name in (given.part,) if given.part else PARTS:
        result[name] = PARTS[name](given)
        print(json.dumps(result), file=sys.stderr)
    print(write(given.json, result))
    return 0


def by_markets(given: argparse.Namespace) -> dict[str, Any]:
    """CPU-microseconds of a tick with few and with many markets, in turns, and how long the many take to be started
    again: medians of the runs, and each run's."""
    few_us, many_us, took_s = [], [], []
    for _ in range(given.runs):
        with stack() as place, running(place, "all", 0) as process:
            few_us.append(tick_us(place, process, given.few))
        with stack() as place:
            with running(place, "all", 0) as process:
                many_us.append(tick_us(place, process, given.many))
            took_s.append(restarts(place, given.many))
    result: dict[str, Any] = {"restart_s": medians(took_s)}
    for name, few in medians(few_us).items():
        many = medians(many_us)[name]
        result[name] = {str(given.few): few, str(given.many): many, "ratio": many / few}
    return result | {"of_each_run": {"few_us": few_us, "many_us": many_us, "restart_s": took_s}}


def medians(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Of each figure of the runs, which all have the same."""
    return {name: median(run[name] for run in runs) for name in runs[0]}


def tick_us(place: Place, process: Running, markets: int) -> dict[str, float]:
    """CPU-microseconds of a tick of so many markets: caught up, and of the last messages as they come at the pace."""
    count = max(LEAST_ROUNDS, LEAST_TICKS // markets)
    ticks = rounds(markets, count)
    waiting = publish(place, islice(ticks, markets * count - PACED))
    caught_up_us, _ = process.through(waiting, 0.5)
    before = process.until(waiting)
    came = publish(place, paced(ticks))
    after = process.until(waiting + came)
    return {"caught_up": caught_up_us, "as_they_come": (after[1] - before[1]) / (after[0] - before[0]) * 1e6}


def paced(ticks: Iterator[Tick]) -> Iterator[Tick]:
    """The ticks, `PACE_PER_S` a second of real time."""
    began_s = time.monotonic()
    for number, tick in enumerate(ticks):
        ahead_s = number / PACE_PER_S - (time.monotonic() - began_s)
        if ahead_s > _BEAT_S:
            time.sleep(ahead_s)
        yield tick


def rounds(markets: int, count: int) -> Iterator[Tick]:
    """One tick of each market a round; the last round is now."""
    a_tick = next(house_ticks(20, 1))
    now_us = time.time_ns() // 1000
    for number in range(count):
        start_us = now_us - (count - number) * ROUND_S * US_PER_S
        for place in range(markets):
            name, ts_us = f"BENCH:{place}", start_us + place * ROUND_S * US_PER_S // markets
            price_ppm = PPM // 10 + place * 7919 % (PPM * 8 // 10) + number % 3 * STEP_PPM
            yield replace(
                a_tick,
                event_id=event_id("tick", name, ts_us),
                market_id=name,
                token_id=f"{name}:YES",
                ts_event_us=ts_us,
                ts_received_us=ts_us + 40_000,
                bid_ppm=price_ppm - 5_000,
                ask_ppm=price_ppm + 5_000,
                price_ppm=price_ppm,
                price_basis="mid",
                close_ts_us=None,
                heartbeat_s=ROUND_S,
            )


def restarts(place: Place, markets: int) -> dict[str, float]:
    """Seconds from the start of the process to its first tick: with its state, and with its folder gone."""
    took = {}
    for name in ("kept", "wiped"):
        if name == "wiped":
            shutil.rmtree(place.folder / "state")
        now_us = time.time_ns() // 1000
        publish(place, (replace(t, ts_event_us=now_us, ts_received_us=now_us) for t in rounds(min(markets, 100), 1)))
        began_s = time.monotonic()
        with running(place, "all", 0) as process:
            process.until(1)
            took[name] = time.monotonic() - began_s
    return took


def by_windows(given: argparse.Namespace) -> dict[str, float]:
    """CPU-microseconds of a tick, medians of the runs."""
    us: dict[str, list[float]] = {name: [] for name in WINDOWS}
    with stack() as place:
        messages = fill(place, HOUSE_MARKETS, HOUSE_MINUTES)
        for number in range(given.runs):
            for place_of, (name, windows) in enumerate(WINDOWS.items()):
                with running(place, "all", 10 + number * 2 + place_of, WINDOWS=windows) as process:
                    us[name].append(process.through(messages)[0])
    one, eight = median(us["one"]), median(us["eight"])
    return {"one": one, "eight": eight, "ratio": eight / one}


def sink(given: argparse.Namespace) -> dict[str, Any]:
    """CPU-microseconds of a tick in the sink's own process, its moves and bars included: the median, and each run's."""
    with stack() as place:
        ticks = fill(place, HOUSE_MARKETS, SINK_MINUTES)
        with running(place, "all", 0) as process:
            process.through(ticks)
        ends = {
            topic.name: sum(high for _, high in watermarks(place.kafka, topic.name).values()) for topic in SINK_TOPICS
        }
        messages = sum(ends.values())
        each = [_one_sink(place, messages) * messages / ticks for _ in range(given.runs)]
    return {"messages": ends, "tick_us": median(each), "tick_us_of_each_run": each}


def _one_sink(place: Place, messages: int) -> float:
    """CPU-microseconds of a message, in a sink that fills a new store."""
    with tempfile.TemporaryDirectory() as folder:
        service = ServiceProcess.start("movers.local.warehouse.service", Path(folder) / "warehouse")
        migrate(ClickHouseSettings(clickhouse_port=service.port))
        port = free_port()
        env = place.environment(CLICKHOUSE_PORT=str(service.port), METRICS_PORT=str(port))
        with (Path(folder) / "log").open("wb") as out:
            command = [sys.executable, "-m", "movers", "sink", "clickhouse"]
            process = subprocess.Popen(command, env=env, stdout=out, stderr=out)
        try:
            return Running(process, port, "store").through(messages)[0]
        finally:
            process.terminate()
            process.wait(60)
            service.terminate()


PARTS: Mapping[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "markets": by_markets,
    "windows": by_windows,
    "sink": sink,
}

"""From the start of the collectors to the first tick, the whole venues and the boards of an hour and a day.

    python -m bench first_minutes [--markets 220000] [--for 240] [--again 120]

Two simulated venues with so many open markets together and a past of 25 hours, a fresh Kafka, the analytics, and both
collectors as processes of their own with their default settings: live pace, no key. Seconds count from the moment the
two are started to the stamp that Kafka keeps of a message, which is when it was published. Then both are stopped in
order and started again.

- every market: so many markets have a tick of their own since then (no `backfill`), as were open at the start
- a board: markets whose move over the window has a figure on `moves`; it stands when it has nine in ten of the markets
  that it has when the run is over. Store and page come after it, and are not part of this.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
from confluent_kafka import Message

from bench import RESULTS, write
from bench.pipeline import machine
from bench.processing import Place, stack
from kernel.kafka.readers import consumer
from movers.addresses import choose_addresses
from movers.local.ports import free_port
from movers.settings import load
from schemas.codec import Codec
from schemas.events import Move, Tick
from schemas.topics import MOVES, TICKS, VENUES

WINDOWS_S = (3_600, 86_400)
BOARD_SHARE = 0.9
LOOK_EVERY_S = 2.0
GOALS = {"first_tick_s": 5, "first_streamed_s": 10, "board_3600_s": 180, "board_86400_s": 180, "peak_mb": 1_000}


Seconds = dict[str, float]
"""Since the start, by market."""


@dataclass
class Start:
    """What was published since one start of the collectors."""

    began_s: float
    first_tick_s: Seconds = field(default_factory=dict)  # by venue
    first_streamed_s: Seconds = field(default_factory=dict)  # by venue
    own_tick_s: dict[str, Seconds] = field(default_factory=lambda: {venue: {} for venue in VENUES})
    figure_s: dict[tuple[str, int], Seconds] = field(
        default_factory=lambda: {(venue, window_s): {} for venue in VENUES for window_s in WINDOWS_S}
    )
    backfilled: dict[str, set[str]] = field(default_factory=lambda: {venue: set() for venue in VENUES})
    told_all: set[str] = field(default_factory=set)
    """Markets with a figure over each window."""

    def tick(self, tick: Tick, published_s: float) -> None:
        """Messages of several partitions come in no order of time, so the earliest counts."""
        at_s = published_s - self.began_s
        if tick.source == "backfill":
            self.backfilled[tick.venue].add(tick.market_id)
            return
        _earliest(self.first_tick_s, tick.venue, at_s)
        _earliest(self.own_tick_s[tick.venue], tick.market_id, at_s)
        if tick.source == "stream":
            _earliest(self.first_streamed_s, tick.venue, at_s)

    def move(self, move: Move, published_s: float) -> None:
        """A market's figures over the windows that a board shows."""
        kept = [self.figure_s[move.venue, window_s] for window_s in WINDOWS_S]
        for window in move.windows:
            if window.window_s in WINDOWS_S and window.move_pp is not None:
                _earliest(self.figure_s[move.venue, window.window_s], move.market_id, published_s - self.began_s)
        if all(move.market_id in found for found in kept):
            self.told_all.add(move.market_id)

    def told(self, venue: str, open_markets: int) -> dict[str, Any]:
        """One venue's figures."""
        own = sorted(self.own_tick_s[venue].values())
        boards = {window_s: sorted(self.figure_s[venue, window_s].values()) for window_s in WINDOWS_S}
        return {
            "first_tick_s": _rounded(self.first_tick_s.get(venue)),
            "first_streamed_s": _rounded(self.first_streamed_s.get(venue)),
            "markets": len(own),
            "half_of_them_s": at_share(own, open_markets, 0.5),
            "nearly_all_s": at_share(own, open_markets, 0.99),
            "every_market_s": at_share(own, open_markets, 1.0),
            "backfilled": len(self.backfilled[venue]),
            **{f"board_{window_s}_markets": len(found) for window_s, found in boards.items()},
            **{f"board_{window_s}_s": at_share(found, len(found), BOARD_SHARE) for window_s, found in boards.items()},
        }


def at_share(at_s: list[float], of: int, share: float) -> float | None:
    """When such a share of so many had come, of sorted instants; None when it never did."""
    place = max(1, round(of * share))
    return _rounded(at_s[place - 1]) if 0 < place <= len(at_s) else None


def _earliest(kept: dict[str, float], name: str, at_s: float) -> None:
    if at_s >= 0:
        kept[name] = min(at_s, kept.get(name, at_s))


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


class Watch:
    """Reads the topics, and how much memory the collectors have."""

    def __init__(self, place: Place) -> None:
        self._ticks, self._moves = Codec(TICKS, place.registry, Tick), Codec(MOVES, place.registry, Move)
        self._reader = consumer(place.kafka, "bench-first-minutes", from_start=True)
        self._reader.subscribe([TICKS.name, MOVES.name])

    def read(self, start: Start, seconds: float, collectors: Mapping[str, psutil.Process]) -> dict[str, dict[str, Any]]:
        """Reads for so long; the memory and CPU of each collector."""
        memory_mb: dict[str, list[int]] = {venue: [] for venue in collectors}
        looked_s = 0.0
        while (now_s := time.time()) < start.began_s + seconds:
            for message in self._reader.consume(2_000, timeout=0.2):
                if message.error() is None:
                    self._see(start, message)
            if now_s - looked_s >= LOOK_EVERY_S:
                looked_s = now_s
                for venue, process in collectors.items():
                    memory_mb[venue].append(process.memory_info().rss // 2**20)
        used = {venue: process.cpu_times() for venue, process in collectors.items()}
        return {
            venue: {"peak_mb": max(mb), "last_mb": mb[-1], "cpu_s": round(used[venue].user + used[venue].system, 1)}
            for venue, mb in memory_mb.items()
        }

    def _see(self, start: Start, message: Message) -> None:
        """Decodes what may tell something new: this reader must not take the cores from what it measures."""
        name, published_s = (message.key() or b"").decode(), message.timestamp()[1] / 1_000
        if published_s < start.began_s:
            return
        if message.topic() == MOVES.name:
            if name not in start.told_all:
                start.move(self._moves.decode(message.value() or b""), published_s)
        elif not start.first_streamed_s or not any(name in found for found in start.own_tick_s.values()):
            start.tick(self._ticks.decode(message.value() or b""), published_s)

    def close(self) -> None:
        """Leaves its group."""
        self._reader.close()


@contextmanager
def child(place: Place, name: str, *command: str, **extra: str) -> Iterator[psutil.Process]:
    """One of our commands as a process of its own, ended in order; its log is in the bench's folder."""
    with (place.folder / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], env=place.environment(**extra), stdout=log, stderr=log
        )
    try:
        yield psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


@contextmanager
def venues(place: Place, markets: int) -> Iterator[tuple[dict[str, str], dict[str, int]]]:
    """Simulated venues: the settings that lead there, and how many markets each has open."""
    addresses = choose_addresses(load())
    url = f"http://127.0.0.1:{addresses.simulator}/simulator/status"
    command = ("simulator.server", "--port", str(addresses.simulator), "--markets", str(markets))
    with child(place, "simulator", *command, "--since", "0s", "--speed", "1", "--past", "25h") as process:
        while process.status() != psutil.STATUS_ZOMBIE:
            try:
                open_markets = httpx.get(url, trust_env=False, timeout=30).json()["markets"]
                break
            except httpx.TransportError:
                time.sleep(0.5)
        else:
            raise SystemExit("the simulated venues did not start; see --logs")
        # Asked at the pace of the live venues, not at that of a demo.
        there = addresses.simulated_venues()
        yield {name: value for name, value in there.items() if not name.endswith("_REQUESTS_PER_S")}, open_markets


def collect(
    place: Place, watch: Watch, there: Mapping[str, str], open_markets: Mapping[str, int], seconds: float
) -> dict[str, dict[str, Any]]:
    """One start of both collectors, watched for so long; by venue."""
    with ExitStack() as running:
        start = Start(time.time())
        folder = {"SPILL_DIR": str(place.folder / "spill"), "MOVERS_HOME": str(place.folder / "home")}
        collectors = {
            venue: running.enter_context(
                child(place, f"produce-{venue}", "movers", "produce", venue, METRICS_PORT=str(free_port()),
                      **there, **folder)
            )
            for venue in VENUES
        }  # fmt: skip
        used = watch.read(start, seconds, collectors)
    return {venue: start.told(venue, open_markets[venue]) | used[venue] for venue in VENUES}


def main(arguments: list[str]) -> int:
    """Runs both starts, prints them beside the goals, writes `bench/results/first_minutes.json`."""
    parser = argparse.ArgumentParser(prog="bench first_minutes", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--markets", type=int, default=220_000, help="of both venues together")
    parser.add_argument("--for", dest="seconds", type=float, default=240.0, help="seconds of the first start")
    parser.add_argument("--again", type=float, default=120.0, help="seconds of the second start; 0: none")
    parser.add_argument("--logs", type=Path, help="folder to which the processes' logs are copied")
    given = parser.parse_args(arguments)
    result: dict[str, Any] = {"machine": machine(), "markets": given.markets}
    with stack() as place, venues(place, given.markets) as (there, open_markets), ExitStack() as ending:
        if given.logs:
            ending.callback(copy_logs, place.folder, given.logs)
        settings = {"STATE_DIR": str(place.folder / "state"), "METRICS_PORT": str(free_port())}
        ending.enter_context(child(place, "process", "movers", "process", "analytics", **settings))
        watch = Watch(place)
        ending.callback(watch.close)
        result |= {"open": open_markets, "load_before": round(os.getloadavg()[0], 1)}
        result["first"] = collect(place, watch, there, open_markets, given.seconds)
        result["load_after"] = round(os.getloadavg()[0], 1)
        if given.again:
            result["again"] = collect(place, watch, there, open_markets, given.again)
    print(json.dumps({name: result[name] for name in ("machine", "open", "load_before", "load_after")}))
    for name in ("first", "again"):
        if name in result:
            print_table(name, result[name])
    write(RESULTS / "first_minutes.json", result)
    return 0


def copy_logs(folder: Path, to: Path) -> None:
    """What the processes said, before their folder goes."""
    to.mkdir(parents=True, exist_ok=True)
    for log in folder.glob("*.log"):
        shutil.copy(log, to)


def print_table(name: str, by_venue: Mapping[str, Mapping[str, Any]]) -> None:
    """One start, the venues beside one another, and the goal."""
    print(f"\n{name + ' start':24}" + "".join(f"{venue:>14}" for venue in by_venue) + f"{'goal':>8}")
    for row in next(iter(by_venue.values())):
        values = "".join(f"{'–' if found[row] is None else found[row]:>14}" for found in by_venue.values())
        print(f"{row:24}{values}{GOALS.get(row, ''):>8}")

"""Two halves of a venue, killed and started again at random: is their union whole, and no market in both?

    python -m tests.producers.shards [--minutes 10] [--seed 1] [--venue kalshi]

`test_shard_restarts.py` runs a short form. The venue runs at `SPEED` times ours. What must hold:

- every market that is open at the end has been described, and its last tick keeps its promise;
- after a tick of a market that trades comes the next within what the two promise, but for gaps that its half has told;
- no moment of a market was published twice, and time only grows from tick to tick; prices that the venue was asked for
  about the time before may come again, saying the same;
- while a half was down, nothing of its markets was published, so nobody else had them.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx

from kernel.kafka.readers import read_to_end
from kernel.schema_registry import SchemaRegistry
from producers.feed_state import GAP_PROMISES
from producers.shards import Shard
from schemas import topics
from schemas.codec import Codec
from schemas.events import FeedStatus, Market, Tick
from schemas.units import US_PER_S
from tests.producers.conftest import Stack, prepared
from tests.stack.environment import child_environment
from tests.stack.ports import free_port
from tests.stack.processes import KafkaProcess, ServiceProcess, kafka_at
from tests.stack.waiting import wait_until

SPEED = 60
HALVES = 2
INTERVAL_S = 15
"""Of sweeps, as it is asked for. A tick that promises nothing excuses nothing: what follows must lie in a gap."""
CLOCK_US = 2 * US_PER_S
"""Dates are cut to seconds."""

_LONGEST_DOWN_S, _LONGEST_UP_S = 300.0, 400.0  # of the venue's time
_UP_WITHIN_S = 240.0
_LET_LIVE = 0.7


@dataclass(frozen=True, slots=True)
class Published:
    """A tick, and when its producer made the message, by our clock."""

    tick: Tick
    made_us: int


@dataclass(frozen=True, slots=True)
class Down:
    """A half that was not running, by our clock."""

    half: Shard
    since_us: int
    until_us: int


@dataclass
class Run:
    """What two halves published, and what was done to them."""

    venue: str
    ticks: list[Published] = field(default_factory=list)
    """In order within a market."""
    described: set[str] = field(default_factory=set)
    statuses: list[FeedStatus] = field(default_factory=list)
    downs: list[Down] = field(default_factory=list)
    open_at_end: frozenset[str] = frozenset()
    end_us: int = 0
    """Of the venue."""

    @property
    def halves(self) -> list[Shard]:
        """Both."""
        return [Shard(self.venue, number=number, of=HALVES) for number in range(1, HALVES + 1)]


# ── held against what was promised ───────────────────────────────────────────────────────────────────────────────────


def problems(run: Run) -> list[str]:
    """What is wrong, one line each. Pure."""
    of_market: dict[str, list[Published]] = {}
    for published in run.ticks:
        of_market.setdefault(published.tick.market_id, []).append(published)
    found = [f"{market} is open and has no tick" for market in sorted(run.open_at_end - of_market.keys())]
    found += [f"{market} is open and was never described" for market in sorted(run.open_at_end - run.described)]
    for half in run.halves:
        gaps = told_gaps(run.statuses, half)
        downs = [down for down in run.downs if down.half == half]
        mine = {market: ticks for market, ticks in of_market.items() if half.owns(market, "")}
        for market, ticks in mine.items():
            found += _doubled(market, ticks) + _while_down(market, ticks, downs)
            end_us = run.end_us if market in run.open_at_end else None
            found += _silences([p.tick for p in ticks if p.tick.source != "backfill"], end_us, gaps)
    return found


def told_gaps(statuses: Iterable[FeedStatus], half: Shard) -> list[tuple[int, int]]:
    """From when to when, by the venue's clock, a half said that it was blind: open until it says that it is closed."""
    gaps: list[tuple[int, int]] = []
    since_us: int | None = None
    for status in statuses:
        if status.shard != half.label:
            continue
        if status.state == "gap_opened":
            started_us = status.gap_started_us or status.ts_event_us
            since_us = started_us if since_us is None else min(since_us, started_us)
        elif status.state == "gap_closed" and since_us is not None:
            gaps.append((since_us, status.ts_event_us))
            since_us = None
    return gaps


def covered(gaps: Sequence[tuple[int, int]], since_us: int, until_us: int) -> int:
    """How much of a span lies in gaps."""
    total, reached_us = 0, since_us
    for begin_us, end_us in sorted(gaps):
        total += max(0, min(end_us, until_us) - max(begin_us, reached_us))
        reached_us = max(reached_us, end_us)
    return total


def _silences(ticks: Sequence[Tick], end_us: int | None, gaps: Sequence[tuple[int, int]]) -> Iterable[str]:
    """Where a market that trades was silent for longer than it may. The slower of both promises counts, as it does for
    who reads the ticks; and a gap is told by the beginnings of sweeps, within which a market has no fixed place."""
    nexts = [(tick.ts_event_us, tick.heartbeat_s) for tick in ticks[1:]] + ([] if end_us is None else [(end_us, 0)])
    for tick, (later_us, later_s) in zip(ticks, nexts, strict=False):
        promised_us = max(tick.heartbeat_s, later_s) * US_PER_S
        blind_us = later_us - tick.ts_event_us - covered(gaps, tick.ts_event_us, later_us)
        if tick.market_status == "open" and blind_us > (GAP_PROMISES + 1) * promised_us + CLOCK_US:
            yield f"{tick.market_id}: nothing for {blind_us / US_PER_S:.0f} s before {later_us}, and no gap told"


def _doubled(market: str, ticks: Sequence[Published]) -> list[str]:
    """Who takes over asks the venue for the time before once more: those prices may come again, as the same."""
    said: dict[str, tuple[str, int | None]] = {}
    twice = 0
    for tick in (p.tick for p in ticks):
        what = (tick.source, tick.price_ppm)
        before = said.setdefault(tick.event_id, what)
        twice += before is not what and (before != what or tick.source != "backfill")
    found = [f"{market}: {twice} moments twice"] if twice else []
    live = [p.tick.ts_event_us for p in ticks if p.tick.source != "backfill"]
    return found + [f"{market}: back from {a} to {b}" for a, b in pairwise(live) if b <= a]


def _while_down(market: str, ticks: Sequence[Published], downs: Sequence[Down]) -> list[str]:
    made = sum(down.since_us < p.made_us < down.until_us for p in ticks for down in downs)
    return [f"{market}: {made} ticks while its half was down"] if made else []


# ── run ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Halves:
    """Both halves as processes."""

    run: Run
    settings: dict[str, str]
    folder: Path
    simulator: str
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    kills: int = 0

    def start(self, half: Shard) -> None:
        """Starts a half."""
        port = self.ports[half.label] = free_port()
        command = [sys.executable, "-m", "movers", "produce", half.venue, "--shard", f"{half.number}/{half.of}"]
        environment = child_environment({**self.settings, "METRICS_PORT": str(port)})
        with (self.folder / f"{half.name}.log").open("ab") as log:
            self.processes[half.label] = subprocess.Popen(command, env=environment, stderr=log, cwd=self.folder)

    def end(self, half: Shard, word: signal.Signals) -> int:
        """Ends a half; when it was surely over, by our clock."""
        process = self.processes.pop(half.label)
        process.send_signal(word)
        process.wait(60)
        self.kills += 1
        return time.time_ns() // 1_000

    def venue_us(self) -> int:
        """The venue's clock."""
        told = httpx.get(f"{self.simulator}/simulator/status", trust_env=False, timeout=60).json()
        return int(told["venue_now_us"][self.run.venue])

    def pass_venue_seconds(self, seconds: float) -> None:
        """Until so much of the venue's time has passed."""
        until_us = self.venue_us() + int(seconds * US_PER_S)
        wait_until(lambda: self.venue_us() >= until_us, "the venue's time goes on", 120)

    def whole(self, half: Shard) -> bool:
        """Whether a half follows its markets and its gaps are closed."""
        health = self._health(half)
        return bool(health.get("feed") == "connected" and health.get("sweep_promise_s"))

    def has_swept_since(self, half: Shard, moment_s: float) -> bool:
        """Whether a half has ended a sweep since a moment of our monotonic clock."""
        asked_s = time.monotonic()
        age_s = self._health(half).get("last_sweep_age_s")
        return age_s is not None and asked_s - age_s > moment_s + 0.1  # it is told to a tenth

    def _health(self, half: Shard) -> dict[str, Any]:
        """What a half says of itself; nothing while it does not answer."""
        url = f"http://127.0.0.1:{self.ports[half.label]}/health"
        try:
            health: dict[str, Any] = httpx.get(url, trust_env=False, timeout=5).json()
        except (httpx.HTTPError, ValueError):
            return {}
        return health

    def close(self) -> None:
        """Ends what still runs, the hard way."""
        for process in self.processes.values():
            process.kill()
            process.wait()


def restarted_at_random(
    stack: Stack, simulator: str, folder: Path, settings: dict[str, str], *, venue: str, seed: int,
    enough: Callable[[Halves], bool],
) -> tuple[Run, Halves]:  # fmt: skip
    """Kills and starts halves until it is enough, lets both become whole, ends them, and reads what they published."""
    rng, run = random.Random(seed), Run(venue)
    halves = Halves(run, settings, folder, simulator)
    try:
        for half in run.halves:
            halves.start(half)
        _until_whole(halves)
        while not enough(halves):
            struck = rng.sample(run.halves, rng.choice((1, 1, 2)))
            word = rng.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM))
            over = {half: halves.end(half, word) for half in struck}
            for half, since_us in over.items():
                halves.pass_venue_seconds(rng.uniform(0, _LONGEST_DOWN_S))
                run.downs.append(Down(half, since_us, time.time_ns() // 1_000))
                halves.start(half)
            if rng.random() < _LET_LIVE:  # the others may die before their first answer
                _until_whole(halves)
            halves.pass_venue_seconds(rng.uniform(0, _LONGEST_UP_S))
        _until_whole(halves)
        run.end_us = halves.venue_us()
        run.open_at_end = _open(simulator, venue)
        _until_seen(halves)
        for half in run.halves:
            halves.end(half, signal.SIGTERM)
    finally:
        halves.close()
    _read(stack, run)
    return run, halves


def _until_whole(halves: Halves) -> None:
    wait_until(lambda: all(halves.whole(half) for half in halves.run.halves), "both have swept", _UP_WITHIN_S)


def _until_seen(halves: Halves) -> None:
    """Two sweeps later the halves have seen the venue as it was at the end: the second began after it."""
    for _ in range(2):
        since_s = time.monotonic()
        wait_until(
            lambda since_s=since_s: all(halves.has_swept_since(half, since_s) for half in halves.run.halves),  # type: ignore[misc]
            "both have swept on",
            _UP_WITHIN_S,
        )
    _until_whole(halves)


def _open(simulator: str, venue: str) -> frozenset[str]:
    """Markets that the venue lists as open, by our ids."""
    if venue == "kalshi":
        query: dict[str, str | int] = {"status": "open", "mve_filter": "exclude", "limit": 1_000}
        body = httpx.get(f"{simulator}/kalshi/trade-api/v2/markets", params=query, trust_env=False, timeout=60).json()
        return frozenset(f"KALSHI:{row['ticker']}" for row in body["markets"])
    listing: dict[str, str | int] = {"closed": "false", "limit": 100, "order": "id", "ascending": "true"}
    body = httpx.get(f"{simulator}/gamma/markets/keyset", params=listing, trust_env=False, timeout=60).json()
    return frozenset(f"POLY:{row['conditionId']}" for row in body["markets"] if row["acceptingOrders"])


def _read(stack: Stack, run: Run) -> None:
    store = SchemaRegistry(stack.registry_url)
    try:
        codec = Codec(topics.TICKS, store, Tick)
        for message in read_to_end(kafka_at(stack.bootstrap), topics.TICKS.name):
            tick = codec.decode(message.value())
            if tick.venue == run.venue:
                run.ticks.append(Published(tick, message.timestamp()[1] * 1_000))
    finally:
        store.close()
    run.described = {e.market_id for e, _, _ in stack.read(topics.MARKETS) if isinstance(e, Market)}
    statuses = [e for e, _, _ in stack.read(topics.FEED_STATUS) if isinstance(e, FeedStatus) and e.venue == run.venue]
    run.statuses = sorted(statuses, key=lambda status: status.ts_received_us)


def told(run: Run, halves: Halves) -> dict[str, Any]:
    """Figures of a run."""
    gaps = [gap for half in run.halves for gap in told_gaps(run.statuses, half)]
    return {
        "kills": halves.kills - HALVES,
        "restarts": len(run.downs),
        "venue_hours": round((run.end_us - min(p.tick.ts_event_us for p in run.ticks)) / 3.6e9, 2),
        "ticks": len(run.ticks),
        "backfilled": sum(p.tick.source == "backfill" for p in run.ticks),
        "markets": len({p.tick.market_id for p in run.ticks}),
        "open_at_end": len(run.open_at_end),
        "gaps_told": len(gaps),
        "problems": len(problems(run)),
    }


def main() -> int:
    """The long form."""
    from tests.producers.test_collect import settings_for, simulate

    parser = argparse.ArgumentParser(prog="python -m tests.producers.shards", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--venue", choices=("kalshi", "polymarket"), default="kalshi")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="shards ") as name:
        folder = Path(name)
        registry = ServiceProcess.start("movers.local.registry.service", folder / "registry data")
        node = KafkaProcess(folder / "node")
        simulating, address = simulate(folder, "--markets", "120", "--since", "12h", "--speed", str(SPEED))
        try:
            stack = prepared(node, registry)
            settings = settings_for(stack, address, folder) | {"COLLECTOR_PRICE_INTERVAL": str(INTERVAL_S)}
            end_s = time.monotonic() + given.minutes * 60
            run, halves = restarted_at_random(
                stack, address, folder, settings, venue=given.venue, seed=given.seed,
                enough=lambda _: time.monotonic() > end_s,
            )  # fmt: skip
        finally:
            simulating.kill()
            simulating.wait()
            node.stop()
            registry.terminate()
    print(told(run, halves))
    wrong = problems(run)
    print("\n".join(wrong[:20]) or "the union is whole, and no market was in both halves")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

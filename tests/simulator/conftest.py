"""Small tapes, a simulator in process, and one as a real process."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from simulator.app import Simulator
from simulator.tape import Close, Line, Market, Quote, RecordedTape, Settle, Trade
from tests.stack.processes import child_environment
from tests.stack.waiting import wait_until

START_US = 1_764_851_236_000_000  # 2025-12-04 12:27:16 UTC
SECOND = 1_000_000
CONDITION = "0x" + "ab" * 32
Answer = TypeVar("Answer")


def small_tape() -> list[Line]:
    """Two markets of each venue: moves, an empty side, a trade, a settlement."""
    at = [START_US + second * SECOND for second in range(40)]
    poly, kalshi = CONDITION, "KXTEST-26DEC31-T5"
    return [
        Market(venue="polymarket", market=poly, title="Will A happen?", tick=0.01, tags=("Politics",), ts_us=at[0]),
        Market(venue="kalshi", market=kalshi, title="Will B happen?", category="Politics", ts_us=at[0]),
        Market(venue="polymarket", market="0x" + "cd" * 32, title="Will C happen?", tick=0.01),
        Quote(at[0], poly, 400_000, 420_000, 410_000, 10_000, 12_345, volume=100.0, volume_24h=40.0),
        Quote(at[0], kalshi, 400_000, 420_000, 410_000, 10_000, 12_345, volume=100.0, volume_24h=40.0),
        Quote(at[2] + 500_000, poly, 430_000, 450_000),
        Quote(at[2] + 700_000, poly, 440_000, 460_000, trade=Trade(450_000, 2_550, "buy"), last_ppm=450_000),
        Quote(at[4], kalshi, None, 460_000, trade=Trade(450_000, 2_550, "sell"), last_ppm=450_000),
        Quote(at[5], "0x" + "cd" * 32, None, 30_000),
        Quote(at[9], poly, 900_000, 950_000),
        Quote(at[9], kalshi, 900_000, 950_000),
        Quote(at[20], poly, None, None),
        Close(at[20], kalshi),
        Settle(at[30], poly, 0),
        Settle(at[30], kalshi, 1),
    ]


def in_process(
    work: Callable[[httpx.AsyncClient, Simulator], Coroutine[Any, Any, Answer]],
    lines: list[Line] | None = None,
    *,
    speed: float = 60.0,
    lockstep: bool = True,
) -> Answer:
    """Runs `work` against the simulator's application, without a socket in between."""

    async def run() -> Answer:
        simulator = Simulator(RecordedTape(small_tape() if lines is None else lines), speed=speed, lockstep=lockstep)
        transport = httpx.ASGITransport(app=simulator.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://simulator") as client:
            return await work(client, simulator)

    return asyncio.run(run())


@dataclass
class Running:
    """A simulator process."""

    process: subprocess.Popen[str]
    address: str

    def get(self, path: str) -> Any:
        return httpx.get(self.address + path, timeout=60).raise_for_status().json()

    def until(self, ready: Callable[[], bool]) -> None:
        """Polls a condition, with a deadline."""
        wait_until(ready, "the condition comes true")


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "simulator.server", *arguments]


@contextlib.contextmanager
def simulators(folder: Path) -> Iterator[Callable[..., Running]]:
    """Starts simulator processes on free ports; all are ended at its end."""
    running: list[subprocess.Popen[str]] = []

    def begin(*arguments: str) -> Running:
        process = subprocess.Popen(
            command("--port", "0", *arguments), cwd=folder, stderr=subprocess.PIPE, text=True, env=child_environment()
        )
        running.append(process)
        assert process.stderr is not None
        for line in process.stderr:
            if found := re.search(r"http://[\d.]+:\d+", line):
                return Running(process, found[0])
        raise AssertionError(f"the simulator ended with {process.wait()}")

    try:
        yield begin
    finally:
        for process in running:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            assert process.stderr is not None
            process.stderr.close()


@pytest.fixture
def start(repo_dir: Path) -> Iterator[Callable[..., Running]]:
    """Starts simulator processes that end with the test."""
    with simulators(repo_dir) as begin:
        yield begin

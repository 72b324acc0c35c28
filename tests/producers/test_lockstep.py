"""A collector on a tape that waits for it, with a real Kafka that knows no other venue's markets."""

from __future__ import annotations

import signal
from pathlib import Path

import httpx
import pytest

from schemas import topics
from tests.producers.conftest import Stack
from tests.producers.test_collect import Collecting, settings_for, simulate
from tests.stack.waiting import wait_until

pytestmark = pytest.mark.stack


def test_a_lockstep_tape_is_swept_without_pause_and_every_moment_is_ticked(stack: Stack, tmp_path: Path) -> None:
    process, simulator = simulate(tmp_path, "--markets", "20", "--since", "10m", "--lockstep", "--seed", "7")
    settings = settings_for(stack, simulator, tmp_path) | {"COLLECTOR_MIN_PAUSE_S": "0"}
    run = Collecting(stack, simulator, tmp_path, settings)

    def served() -> int:
        status = httpx.get(f"{simulator}/simulator/status", trust_env=False, timeout=60).json()
        moments: int = status["moments_served"]["kalshi"]
        return moments

    collector, _ = run.start("kalshi")
    try:
        wait_until(lambda: served() > 60, "60 moments")
        collector.send_signal(signal.SIGTERM)
        assert collector.wait(90) == 0
        moments = served()
    finally:
        for running in (process, collector):
            if running.poll() is None:
                running.kill()
            running.wait()
    swept = {t.ts_event_us for t in run.events(topics.TICKS, "kalshi") if t.source == "sweep"}
    assert len(swept) >= moments - 1, "all but the one whose sweep the stop cut off"

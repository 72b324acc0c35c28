"""Halves of a venue that are killed and started again at random: their union is whole, and no market is in both.

The long form: `python -m tests.producers.shards` (ten minutes).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from producers.shards import Shard
from schemas.events import FeedStatus, Tick
from schemas.units import US_PER_S, event_id
from schemas.words import MarketStatus
from tests.producers.conftest import Stack
from tests.producers.shards import (
    INTERVAL_S,
    SPEED,
    Down,
    Published,
    Run,
    covered,
    problems,
    restarted_at_random,
    told_gaps,
)
from tests.producers.test_collect import settings_for, simulate

START_US = 1_764_851_280_000_000
OURS, THEIRS = "KALSHI:KX-D", "KALSHI:KX-A"
HALF = Shard("kalshi", number=1, of=2)


def tick(market: str, at_s: float, promise_s: int = 15, market_status: MarketStatus = "open") -> Published:
    """A tick, made when it says."""
    at_us = START_US + round(at_s * US_PER_S)
    made = Tick(
        event_id=event_id(market, at_us), venue="kalshi", market_id=market, token_id=f"{market}:YES",
        ts_event_us=at_us, ts_received_us=at_us, ts_event_basis="http_date", source="sweep", price_basis="none",
        market_status=market_status, heartbeat_s=promise_s, flags=(),
    )  # fmt: skip
    return Published(made, at_us)


def status(word: str, at_s: float, since_s: float) -> FeedStatus:
    """What the first half says of a gap."""
    return FeedStatus(
        event_id="", venue="kalshi", shard=HALF.label, state=word, ts_event_us=START_US + round(at_s * US_PER_S),  # type: ignore[arg-type]
        ts_received_us=0, detail="", markets_tracked=0, markets_stale=0, ticks_published=0, bad_messages=0,
        gap_started_us=START_US + round(since_s * US_PER_S),
    )  # fmt: skip


def good() -> Run:
    """Two markets, one in each half, each 15 s; the first half was down from 30 to 90 s and said so."""
    assert HALF.owns(OURS, "")
    assert not HALF.owns(THEIRS, "")
    return Run(
        "kalshi",
        ticks=[tick(OURS, s) for s in (0, 15, 30, 90, 105)] + [tick(THEIRS, s) for s in range(0, 106, 15)],
        described={OURS, THEIRS},
        statuses=[status("gap_opened", 90, 30), status("gap_closed", 92, 30)],
        downs=[Down(HALF, START_US + 31 * US_PER_S, START_US + 89 * US_PER_S)],
        open_at_end=frozenset((OURS, THEIRS)),
        end_us=START_US + 110 * US_PER_S,
    )


def test_a_run_that_kept_its_promises_has_no_problem() -> None:
    assert problems(good()) == []


def test_a_market_that_does_not_trade_promises_nothing() -> None:
    run, over = good(), tick(OURS, 120, promise_s=0, market_status="closed")

    ended = replace(run, ticks=[*run.ticks, over, tick(OURS, 900, 0, "settled")], open_at_end=frozenset((THEIRS,)))

    assert problems(ended) == []


def test_a_slow_sweep_of_another_day_excuses_no_silence() -> None:
    run = good()

    slow_once = replace(run, ticks=[tick(OURS, -400, promise_s=400), *run.ticks], statuses=[])

    assert problems(slow_once) == [f"{OURS}: nothing for 60 s before {START_US + 90 * US_PER_S}, and no gap told"]


@pytest.mark.parametrize(
    ("said", "spoilt"),
    [
        ("is open and has no tick", replace(good(), open_at_end=good().open_at_end | {"KALSHI:KX-NEVER"})),
        ("was never described", replace(good(), described=set())),
        ("no gap told", replace(good(), statuses=[])),
        ("no gap told", replace(good(), end_us=START_US + 1_000 * US_PER_S)),
        ("no gap told", replace(good(), ticks=[*good().ticks, tick(OURS, 800, 0, "settled")])),
        ("moments twice", replace(good(), ticks=[*good().ticks, good().ticks[-1]])),
        ("back from", replace(good(), ticks=[*good().ticks, tick(OURS, 100)])),
        ("while its half was down", replace(good(), ticks=[*good().ticks[:3], tick(OURS, 60), *good().ticks[3:]])),
    ],
)
def test_what_is_wrong_with_a_run_is_found(said: str, spoilt: Run) -> None:
    assert any(said in line for line in problems(spoilt))


def test_a_gap_that_was_told_twice_is_open_until_it_is_closed() -> None:
    statuses = [status("gap_opened", 50, 30), status("gap_opened", 90, 50), status("gap_closed", 95, 50)]

    gaps = told_gaps(statuses, HALF)

    assert [(a - START_US, b - START_US) for a, b in gaps] == [(30 * US_PER_S, 95 * US_PER_S)]
    assert covered([(0, 10), (5, 20)], 8, 30) == 12


@pytest.mark.stack
def test_halves_that_are_killed_at_random_lose_nothing_untold_and_share_no_market(stack: Stack, tmp_path: Path) -> None:
    process, simulator = simulate(tmp_path, "--markets", "40", "--since", "12h", "--speed", str(SPEED))
    settings = settings_for(stack, simulator, tmp_path) | {"COLLECTOR_PRICE_INTERVAL": str(INTERVAL_S)}
    try:
        run, halves = restarted_at_random(
            stack, simulator, tmp_path, settings, venue="kalshi", seed=3, enough=lambda halves: halves.kills >= 2
        )
    finally:
        process.kill()
        process.wait()

    assert problems(run) == []
    assert halves.kills >= 4, "two at random, both at the end"
    assert len(run.open_at_end) >= 15
    assert {half for half in run.halves if told_gaps(run.statuses, half)} == {down.half for down in run.downs}

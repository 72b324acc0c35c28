"""Frozen rescue: markets that freeze on a socket that lives on are all found, and fresh again in time."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from kernel.clock import SystemClock
from producers.base import Streaming
from producers.polymarket.feed import PolymarketFeed
from producers.polymarket.sockets import PolymarketSockets
from schemas.units import US_PER_S
from tests.producers.still_venue import Kept, conditions, feed_of, moved, swept_and_streamed, write_still_tape
from tests.simulator.conftest import Running
from tests.simulator.conftest import start as start
from tests.stack.waiting import until

MARKETS, HOTTEST = 600, 200
WITHIN_S, HOT_WITHIN_S = 45.0, 10.0
REQUESTS_PER_S = 10.0
CONDITIONS = conditions(MARKETS)


@pytest.fixture
def venue(start: Callable[..., Running], tmp_path: Path) -> Running:
    """Six hundred markets, the first the busiest, on which nothing happens but what the test does."""
    write_still_tape(tmp_path / "still.tape", MARKETS)
    return start("--tape", str(tmp_path / "still.tape"), "--speed", "1")


def post(venue: Running, what: str, body: bytes) -> None:
    httpx.post(f"{venue.address}/simulator/{what}", content=body, trust_env=False, timeout=30).raise_for_status()


@pytest.mark.parametrize(("share", "cure"), [(1.0, "reconnect"), (0.05, "subscribe")])
def test_every_frozen_market_is_found_and_fresh_again_in_time(venue: Running, share: float, cure: str) -> None:
    async def run() -> tuple[Kept, int, set[str]]:
        clock, kept = SystemClock(), Kept()
        feed = feed_of(venue, kept, PolymarketFeed, REQUESTS_PER_S)
        sockets = PolymarketSockets(venue.address.replace("http", "ws") + "/poly-ws/ws/market")
        jobs = await swept_and_streamed(feed, kept, Streaming(sockets, 3, 1_200, audited=5_000))
        running = asyncio.create_task(jobs.run())
        try:
            continuity = jobs.streams.continuity
            await until(lambda: len(continuity.tokens) == MARKETS and not continuity.waiting, "all are streamed")
            order = {"path_prefix": "/poly-ws", "mode": "frozen_market", "share": share, "cure": cure}
            await asyncio.to_thread(post, venue, "faults", json.dumps(order).encode())
            rows = await asyncio.to_thread(venue.get, "/simulator/connections")
            frozen = {market for row in rows for market in row["frozen_markets"]}
            began_us, before = clock.now_us(), len(kept.ticks)
            await asyncio.to_thread(
                post, venue, "lines", b"\n".join(json.dumps(line).encode() for line in moved(CONDITIONS, 0.31))
            )
            fresh: set[str] = set()

            def all_fresh() -> bool:
                fresh.update(t.market_id for t in kept.ticks[before:] if t.bid_ppm == 310_000)
                return len(fresh) == MARKETS

            await until(all_fresh, "all markets are fresh", WITHIN_S + 5)
            del kept.ticks[:before]
            await until(lambda: not continuity.waiting, "all are streamed again")
            return kept, began_us, frozen
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await feed.close()

    began_s = time.monotonic()
    kept, began_us, frozen = asyncio.run(run())

    took_s: dict[str, float] = {}
    for tick in kept.ticks:
        if tick.bid_ppm == 310_000:
            took_s.setdefault(tick.market_id.removeprefix("POLY:"), (tick.ts_received_us - began_us) / US_PER_S)
    hot = [took_s[market] for market in CONDITIONS[:HOTTEST] if market in frozen]
    slowest_s = max(took_s[market] for market in frozen)
    print(f"{len(frozen)} frozen: fresh within {slowest_s:.1f} s, {len(hot)} hot within {max(hot):.1f} s")
    assert len(frozen) == round(MARKETS * share)
    assert slowest_s < WITHIN_S
    assert max(hot) < HOT_WITHIN_S
    assert sum(word == "gap_opened" for _, word, _, _ in kept.told) >= 1
    after_gap = {tick.market_id.removeprefix("POLY:") for tick in kept.ticks if "after_gap" in tick.flags}
    assert frozen <= after_gap
    assert time.monotonic() - began_s < 120

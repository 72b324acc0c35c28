"""Frozen rescue: markets that freeze on a socket that lives on are all found, and fresh again in time.

Time is counted in the collector's own looks at the live books, which stretch with a busy machine as all else does.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from kernel.clock import SystemClock
from producers.base import Errand, Page, Streaming
from producers.polymarket.feed import PolymarketFeed
from producers.polymarket.sockets import PolymarketSockets
from producers.streaming import _AUDIT_S, _HOT_AUDIT_S, _HOTTEST
from schemas.units import US_PER_S
from tests.producers.still_venue import Kept, conditions, feed_of, moved, swept_and_streamed, write_still_tape
from tests.simulator.conftest import Running
from tests.simulator.conftest import start as start
from tests.stack.waiting import until

MARKETS = 600
WITHIN_S, HOT_WITHIN_S = 45.0, 10.0
LOOKS = 2
"""Before one more look begins a market is fresh: what is looked at every 4 s within 10 s, all else within 45 s."""
REQUESTS_PER_S = 10.0
CONDITIONS = conditions(MARKETS)


@pytest.fixture
def venue(start: Callable[..., Running], tmp_path: Path) -> Running:
    """Six hundred markets, the first the busiest, on which nothing happens but what the test does."""
    write_still_tape(tmp_path / "still.tape", MARKETS)
    return start("--tape", str(tmp_path / "still.tape"), "--speed", "1")


class Looking(PolymarketFeed):
    """Remembers when it was asked for how many books."""

    def __init__(self, *over: Any) -> None:
        super().__init__(*over)
        self.asked: list[tuple[int, int]] = []

    async def hot(self, ids: Sequence[str], errand: Errand) -> AsyncIterator[Page]:
        """The same."""
        self.asked.append((SystemClock().now_us(), len(ids)))
        async for page in super().hot(ids, errand):
            yield page

    def looks(self, books: int, from_us: int, until_us: int) -> int:
        """Looks at so many books that began between two instants."""
        return sum(count == books and from_us <= at_us < until_us for at_us, count in self.asked)


def post(venue: Running, what: str, body: bytes) -> None:
    httpx.post(f"{venue.address}/simulator/{what}", content=body, trust_env=False, timeout=60).raise_for_status()


@pytest.mark.parametrize(("share", "cure"), [(1.0, "reconnect"), (0.05, "subscribe")])
def test_every_frozen_market_is_found_and_fresh_again_in_time(venue: Running, share: float, cure: str) -> None:
    async def run() -> tuple[Kept, Looking, int, set[str]]:
        clock, kept = SystemClock(), Kept()
        feed = feed_of(venue, kept, Looking, REQUESTS_PER_S)
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

            await until(all_fresh, "all markets are fresh")
            del kept.ticks[:before]
            await until(lambda: not continuity.waiting, "all are streamed again")
            return kept, feed, began_us, frozen
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await feed.close()

    kept, feed, began_us, frozen = asyncio.run(run())

    fresh_us: dict[str, int] = {}
    for tick in kept.ticks:
        if tick.bid_ppm == 310_000:
            fresh_us.setdefault(tick.market_id.removeprefix("POLY:"), tick.ts_received_us)
    hot_us = max(fresh_us[market] for market in CONDITIONS[:_HOTTEST] if market in frozen)
    all_us = max(fresh_us[market] for market in frozen)
    took = " and ".join(f"{(at_us - began_us) / US_PER_S:.1f} s" for at_us in (hot_us, all_us))
    print(f"{len(frozen)} frozen: the hottest and all fresh within {took}")
    assert len(frozen) == round(MARKETS * share)
    assert LOOKS * _HOT_AUDIT_S < HOT_WITHIN_S
    assert LOOKS * _AUDIT_S < WITHIN_S
    assert feed.looks(_HOTTEST, began_us, hot_us) <= LOOKS
    assert feed.looks(MARKETS, began_us, all_us) <= LOOKS
    assert {_HOTTEST, MARKETS} <= {count for _, count in feed.asked}
    assert sum(word == "gap_opened" for _, word, _, _ in kept.told) >= 1
    after_gap = {tick.market_id.removeprefix("POLY:") for tick in kept.ticks if "after_gap" in tick.flags}
    assert frozen <= after_gap

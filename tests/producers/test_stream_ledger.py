"""Whole collectors on streams: each change that the venue told is held against what was published."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kernel.clock import SystemClock
from producers.before import Before
from producers.shards import Shard
from schemas.events import FeedStatus, Tick
from tests.producers.stream_ledger import (
    MARKETS,
    NAMES,
    account,
    gaps,
    keep_account,
    our_id,
    play,
    tape_of,
    told_since,
    unaccounted,
)
from tests.producers.whole_collector import Published, Venue, collecting
from tests.simulator.conftest import Running
from tests.simulator.conftest import start as start
from tests.stack.waiting import until

VENUES = ("polymarket", "kalshi")
Start = Callable[..., Running]


def begin(start: Start, folder: Path, name: str) -> tuple[Venue, Published]:
    running = start("--tape", str(tape_of(folder, name)), "--speed", "1")
    return Venue(name, running, folder), Published(name)


def streamed_since(out: Published, moment_us: int) -> set[str]:
    return {t.market_id for t in out.ticks if t.source == "stream" and t.ts_received_us >= moment_us}


def words(out: Published, shard: str) -> list[FeedStatus]:
    return [status for status in out.statuses if status.shard == shard]


def test_one_of_two_kalshi_connections_that_is_cut_and_refused_costs_nothing_and_is_told(
    start: Start, tmp_path: Path
) -> None:
    venue, out = begin(start, tmp_path, "kalshi")

    async def run() -> list[dict[str, Any]]:
        clock = SystemClock()
        await keep_account(venue.running)
        async with collecting(venue, out, Shard("kalshi"), Before()):
            await until(lambda: len(streamed_since(out, 0)) == MARKETS, "all are streamed")
            rows = await asyncio.to_thread(venue.running.get, "/simulator/connections")
            await venue.fault("connection_limit", limit=1)
            await venue.fault("drop", connection=rows[0]["number"])
            await until(lambda: any("429" in s.detail for s in out.statuses), "the refusal is told")
            since_us = clock.now_us()
            await until(lambda: len(streamed_since(out, since_us)) == MARKETS, "the other one tells on")
            await venue.fault("off")

            def all_stand() -> bool:
                return {words(out, f"all/stream-{n}")[-1].state for n in (1, 2)} == {"connected"}

            await until(all_stand, "both stand again")
            read_us = clock.now_us()
            await until(lambda: len(told_since(out, read_us)) == MARKETS, "and all goes on")
        return [row for row in await account(venue.running) if row["ts_us"] < read_us]

    ledger = asyncio.run(run())

    assert gaps(out) == [], "the other one covers"
    assert unaccounted("kalshi", ledger, out) == []
    assert len(ledger) > 100
    refused = [status for status in out.statuses if status.detail == "handshake refused: 429"]
    assert {status.state for status in refused} == {"degraded"}


@pytest.mark.parametrize("name", VENUES)
def test_a_stream_that_is_refused_from_the_start_is_told_is_polled_and_begins_when_it_is_let_in(
    start: Start, tmp_path: Path, name: str
) -> None:
    venue, out = begin(start, tmp_path, name)

    async def run() -> list[dict[str, Any]]:
        clock = SystemClock()
        await keep_account(venue.running)
        await venue.fault("refused", status=401)
        async with collecting(venue, out, Shard(name), Before()) as jobs:
            await until(lambda: any("401" in s.detail for s in out.statuses), "the refusal is told")
            await until(lambda: bool(jobs.health()["sweep_promise_s"]), "all are swept")
            assert streamed_since(out, 0) == set()
            if name == "polymarket":
                await until(lambda: any(gap.is_open for gap in gaps(out)), "and which markets lose")
                assert {len(gap.markets) for gap in gaps(out) if gap.is_open} == {MARKETS}
            polled = {tick.market_id for tick in out.ticks if tick.heartbeat_s}
            await until(lambda: len({t.market_id for t in out.ticks if t.heartbeat_s}) == MARKETS, "all are promised")
            assert polled <= {our_id(name, each) for each in NAMES[name]}
            await venue.fault("off")
            await until(lambda: len(streamed_since(out, 0)) == MARKETS, "all are streamed")
            await until(lambda: not any(gap.is_open for gap in gaps(out)), "no gap is left")
            read_us = clock.now_us()
            await until(lambda: len(told_since(out, read_us)) == MARKETS, "what was told before is read")
        return [row for row in await account(venue.running) if row["ts_us"] < read_us]

    ledger = asyncio.run(run())

    assert {status.state for status in out.statuses if "401" in status.detail} <= {"degraded", "gap_opened"}
    told = [(s.state, s.gap_started_us) for s in words(out, "all/streams")]
    assert told[0] == ("gap_closed", None), "what a process before this one may have left open, before all else"
    if name == "polymarket":
        [(_, begin_us)] = {word for word in told if word[0] == "gap_opened"}
        assert told[-1] == ("gap_closed", begin_us)
    assert ("gap_closed", None) not in told[1:]
    last = {status.shard: status.state for status in out.statuses if "/stream-" in status.shard}
    assert "connected" in last.values()
    assert unaccounted(name, ledger, out) == []


@pytest.mark.parametrize("name", VENUES)
def test_books_that_are_emptied_and_settled_on_the_stream_are_told_in_their_order_and_no_price_is_made_up(
    start: Start, tmp_path: Path, name: str
) -> None:
    venue, out = begin(start, tmp_path, name)
    ending = NAMES[name][:6]
    ids = {our_id(name, each) for each in ending}

    def last() -> list[Tick]:
        return list({tick.market_id: tick for tick in out.ticks if tick.market_id in ids}.values())

    async def run() -> list[dict[str, Any]]:
        clock, still = SystemClock(), asyncio.Event()

        async def stand_still() -> None:
            await still.wait()

        await keep_account(venue.running)
        async with collecting(venue, out, Shard(name), Before(), beside=stand_still()) as jobs:

            def streamed() -> bool:
                assert jobs.streaming is not None
                return len(jobs.streaming.streams.shown_tokens()) == MARKETS

            await until(streamed, "all are streamed")
            for bid in (0.30, 0.35):
                await play(venue.running, [{"kind": "quote", "market": m, "bid": bid, "ask": 0.50} for m in ending])
            await until(lambda: {t.bid_ppm for t in last()} == {350_000}, "the last prices")
            await play(venue.running, [{"kind": "quote", "market": m} for m in ending])
            await until(lambda: {(t.bid_ppm, t.ask_ppm) for t in last()} == {(None, None)}, "the books are empty")
            emptied_us = clock.now_us()
            await play(venue.running, [{"kind": "settle", "market": m, "winner": 0} for m in ending])
            await until(lambda: {t.market_status for t in last()} == {"settled"}, "all six are settled")
            assert [t for t in out.ticks if t.market_id in ids and t.ts_received_us >= emptied_us and t.price_ppm] == []
        return await account(venue.running)

    ledger = asyncio.run(run())

    assert unaccounted(name, ledger, out) == []
    assert {row["kind"] for row in ledger} >= {"quote"}
    results = {market.market_id: market.result for market in out.markets if market.status == "settled"}
    assert results == dict.fromkeys(ids, "Yes")
    for market_id in ids:
        told = [t.bid_ppm for t in out.ticks if t.market_id == market_id and t.source == "stream"]
        bids = [bid for bid in told if bid in (300_000, 350_000, None)]  # Kalshi tells level by level
        assert [bid for n, bid in enumerate(bids) if n == 0 or bid != bids[n - 1]][-3:] == [300_000, 350_000, None]

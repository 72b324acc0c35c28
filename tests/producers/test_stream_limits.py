"""A venue that serves less on its streams than it is asked for: which markets lose, since when, and what they have."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from kernel.clock import SystemClock
from producers.before import Before
from producers.continuity import FIRST_BOOK_S
from producers.feed_state import GAP_PROMISES
from producers.polymarket.sockets import PolymarketSockets
from producers.served import HOLDS_S
from producers.shards import Shard
from schemas.events import Tick
from schemas.units import US_PER_S
from tests.producers.stream_ledger import (
    MARKETS,
    SLACK_US,
    account,
    gaps,
    keep_account,
    tape_of,
    told_since,
    unaccounted,
)
from tests.producers.test_streams import Heard, SetForward, all_shown, do, drive, polymarket
from tests.producers.test_streams import Venue as StreamedVenue
from tests.producers.test_streams import venue as venue
from tests.producers.whole_collector import Published, Venue, collecting
from tests.simulator.conftest import Running
from tests.simulator.conftest import start as start
from tests.stack.waiting import until

# ── the pool alone ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_tokens_that_are_silently_not_served_are_told_with_their_begin_and_closed_when_the_limit_is_lifted(
    venue: StreamedVenue,
) -> None:
    heard, clock = Heard(), SetForward()
    venue.fault("token_limit", limit=10)
    streams, asked_us = polymarket(venue, heard, connections=2, capacity=30, clock=clock), clock.now_us()
    shown_us = 0

    async def work() -> None:
        nonlocal shown_us
        unserved = frozenset(venue.tokens[20:])
        await until(lambda: all_shown(streams, venue.tokens[:10]), "the busiest ten are shown")
        shown_us = clock.now_us()
        clock.later(FIRST_BOOK_S, streams)
        clock.later(FIRST_BOOK_S, streams)
        await until(lambda: any(tokens == unserved for _, tokens, _ in heard.lacking), "the quiet ten are told")
        await do(venue.fault, "off")
        clock.later(HOLDS_S, streams)
        await until(lambda: all_shown(streams, venue.tokens), "all are shown")
        await until(lambda: not heard.lacking[-1][1], "and that is told")

    drive(streams, work)

    [since_us] = {since_us for since_us, _, _ in heard.lacking}
    assert asked_us <= since_us <= shown_us + SLACK_US
    assert {reason for _, tokens, reason in heard.lacking if tokens} == {"the venue serves fewer than are wanted"}
    assert all_shown(streams, venue.tokens)
    assert heard.opened == [], "no connection was lost"


def test_a_few_tokens_that_are_not_served_are_told_though_they_are_no_limit(venue: StreamedVenue) -> None:
    heard, clock = Heard(), SetForward()
    venue.fault("token_limit", limit=28)
    streams = polymarket(venue, heard, connections=1, capacity=30, clock=clock)

    async def work() -> None:
        await until(lambda: all_shown(streams, venue.tokens[:28]), "all but two are shown")
        clock.later(FIRST_BOOK_S, streams)
        clock.later(FIRST_BOOK_S, streams)

    drive(streams, work)

    assert [tokens for _, tokens, _ in heard.lacking] == [frozenset(venue.tokens[28:])]
    assert heard.changes == ["opened"], "no limit was learnt"
    assert all_shown(streams, venue.tokens[:28])


def test_what_a_refused_connection_was_to_show_is_told_and_closed_when_it_is_let_in(venue: StreamedVenue) -> None:
    heard = Heard()
    venue.fault("connection_limit", limit=2)
    streams = polymarket(venue, heard)

    async def work() -> None:
        await until(lambda: bool(heard.lacking), "ten are told")
        await do(venue.fault, "off")
        await until(lambda: all_shown(streams, venue.tokens) and not heard.lacking[-1][1], "all are shown")

    drive(streams, work)

    [(since_us, refused, reason), *_, (end_since_us, none, _)] = heard.lacking
    assert (len(refused), reason) == (10, "handshake refused: 429")
    assert (end_since_us, none) == (since_us, frozenset())
    assert heard.opened == []


def test_a_gap_is_closed_for_what_is_shown_again_and_goes_on_for_what_is_not(venue: StreamedVenue) -> None:
    heard, clock = Heard(), SetForward()
    streams = polymarket(venue, heard, connections=1, capacity=30, clock=clock)
    closed: list[int] = []
    heard.gap_closed = lambda connection, gap: closed.append(len(gap.tokens))  # type: ignore[method-assign]

    async def work() -> None:
        await until(lambda: all_shown(streams, venue.tokens), "all are shown")
        await do(venue.fault, "token_limit", limit=10)
        await do(venue.fault, "drop")
        await until(lambda: bool(heard.opened), "the connection is lost")
        await until(lambda: all_shown(streams, venue.tokens[:10]), "the busiest ten are shown again")
        clock.later(FIRST_BOOK_S, streams)
        await until(lambda: bool(closed), "the gap is closed")

    drive(streams, work)

    assert closed == [10]
    assert frozenset(venue.tokens[10:]) == heard.lacking[0][1]


# ── a whole collector ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("mode", "values", "unserved"),
    [("token_limit", {"limit": 5}, 30), ("connection_limit", {"limit": 1}, 20)],
    ids=["token_limit", "connection_limit"],
)
def test_a_limit_that_strikes_in_the_middle_is_told_polled_over_and_closed_and_nothing_told_is_lost(
    start: Callable[..., Running],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    values: dict[str, Any],
    unserved: int,
) -> None:
    monkeypatch.setattr("producers.continuity.FIRST_BOOK_S", 1.0)
    monkeypatch.setattr("producers.served.HOLDS_S", 3.0)
    monkeypatch.setattr("producers.served.SAID_EVERY_S", 0.5)
    monkeypatch.setattr(PolymarketSockets, "capacity", 20)
    monkeypatch.setattr("producers.polymarket.venue.TOKENS_A_SOCKET", 20)
    running = start("--tape", str(tape_of(tmp_path, "polymarket")), "--speed", "1")
    venue, out = Venue("polymarket", running, tmp_path), Published("polymarket")
    lost: set[str] = set()
    times: list[int] = []

    def streamed_since(moment_us: int) -> set[str]:
        return {t.market_id for t in out.ticks if t.source == "stream" and t.ts_received_us >= moment_us}

    async def run() -> list[dict[str, Any]]:
        clock = SystemClock()
        await keep_account(running)
        async with collecting(venue, out, Shard("polymarket"), Before()) as jobs:
            await until(lambda: bool(jobs.health()["sweep_promise_s"]), "all are swept")
            await until(lambda: len(streamed_since(0)) == MARKETS, "all are streamed")
            times.append(clock.now_us())
            await venue.fault(mode, **values)
            await venue.fault("drop")

            def lacking() -> set[str]:
                newest = {(gap.shard, gap.begin_us): gap for gap in gaps(out)}
                return {market for gap in newest.values() if gap.is_open for market in gap.markets}

            await until(lambda: len(lacking()) == unserved, "those that are not served are told")
            times.append(clock.now_us())
            lost.update(lacking())
            moved = len(await account(running))
            sweeps = [raw for raw in out.raw if raw.errand == "sweep"]
            await until(lambda: len([r for r in out.raw if r.errand == "sweep"]) >= len(sweeps) + 3, "they are polled")
            assert len(await account(running)) > moved
            assert len(lacking()) >= unserved, "as long as it lasts"
            await until(lambda: len(lacking()) == unserved, "no more but those whose books are late on a busy machine")
            lost.intersection_update(lacking())  # the busiest are served: a few have changed their places
            times.append(clock.now_us())
            await venue.fault("off")
            await until(lambda: not lacking(), "the gaps are closed")
            read_us = clock.now_us()
            await until(lambda: len(told_since(out, read_us)) == MARKETS, "all are streamed again")
        return [row for row in await account(running) if row["ts_us"] < read_us]

    ledger = asyncio.run(run())

    struck_us, told_us, lifted_us = times
    words = [s for s in out.statuses if s.state == "gap_opened" and struck_us <= s.ts_received_us <= lifted_us]
    begins = [s for s in words if s.shard == "all/streams" or s.detail.startswith("closed")]
    # By our clock: what the venue's shows is asked anew for each gap, and is a second and an answer's way uncertain.
    cut_us = max(s.ts_received_us for s in begins if s.detail.startswith("closed"))
    first_told = {(s.shard, s.gap_started_us): s for s in reversed(begins)}.values()
    began_us = [s.ts_received_us - (s.ts_event_us - (s.gap_started_us or 0)) for s in first_told]
    assert max(began_us) <= cut_us, "since they are not shown"
    ticks: dict[str, list[Tick]] = defaultdict(list)
    for tick in out.ticks:
        if tick.source != "backfill":
            ticks[tick.market_id].append(tick)
    for market_id in lost:
        mine = [t for t in ticks[market_id] if told_us - 4 * US_PER_S <= t.ts_received_us <= lifted_us]
        assert {t.source for t in mine if t.ts_received_us > told_us} <= {"hot", "sweep"}, "the polls alone"
        assert all(tick.heartbeat_s for tick in mine if tick.ts_received_us > told_us)
        for before, after in pairwise(tick for tick in mine if tick.heartbeat_s):
            late_us = after.ts_received_us - before.ts_received_us - before.heartbeat_s * GAP_PROMISES * US_PER_S
            assert late_us <= SLACK_US, "what was promised holds"
    assert unaccounted("polymarket", ledger, out) == []
    assert len(ledger) > 100

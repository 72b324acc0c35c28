"""A live stretch with frames and histories in it, played from its tape, gives the live run's events, bit for bit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from kernel.clock import ManualClock, SystemClock
from kernel.settings import CollectorSettings
from producers.base import Errand, Received
from producers.before import Before
from producers.jobs import Jobs
from producers.outbox import Outbox, raw_message
from producers.recording import arrival, is_noted, read_tape, write_tape
from producers.registry import VENUES
from producers.replaying import Replay
from producers.shards import Shard
from producers.tracked import Told
from schemas.events import RawMessage
from schemas.units import US_PER_S
from simulator.app import Simulator
from simulator.tape import RecordedTape
from tests.producers.test_histories import LASTS_S, MARKET, TAPE, http_of, put_together
from tests.producers.test_histories import START_US as HISTORY_START_US
from tests.producers.whole_collector import STREAMS, Kept, Published, Venue, collecting
from tests.simulator.conftest import Running
from tests.simulator.conftest import start as start
from tests.stack.waiting import until

_LIVED: dict[str, Published] = {}


async def stretch(venue: Venue, out: Published, shard: Shard, before: Before | None = None) -> None:
    """Streams, then a connection that dies, frames that are lost, a market that freezes, and another listing."""

    def streamed() -> int:
        return sum(tick.source == "stream" for tick in out.ticks)

    def answers() -> int:
        return sum(raw.kind == "rest" and raw.errand == "sweep" for raw in out.raw)

    async def so_many_more(more: int, what: str) -> None:
        goal = streamed() + more
        await until(lambda: streamed() >= goal, what, 180)

    async with collecting(venue, out, shard, before):
        await so_many_more(40, f"{venue.name} streams")
        await venue.fault("close")
        await so_many_more(20, "it streams again")
        await venue.fault("lost", every=5)
        await so_many_more(20, "it streams in spite of it")
        await venue.fault("off")
        await venue.fault("frozen_market", share=0.5, cure="subscribe")
        await so_many_more(20, "the rest streams on")
        listed = answers()
        await until(lambda: answers() >= listed + 2, "the next sweep", 180)
        await so_many_more(30, "and what it listed streams on")


def replayed(venue: str, raws: list[RawMessage], folder: Path) -> tuple[Kept, Replay]:
    """The same from a tape."""
    tape, out = folder / "stretch.raw.gz", Kept()
    write_tape(tape, venue, iter(sorted(raws, key=arrival)))
    name, messages = read_tape(tape)
    noted = is_noted(read_tape(tape)[1])
    replay = Replay(VENUES[name], name, out, max_skew_s=5, start_us=raws[0].ts_received_us, noted=noted)
    for raw in messages:
        replay.play(raw)
    replay.end()
    return out, replay


@pytest.fixture(params=list(STREAMS))
def venue(request: pytest.FixtureRequest, start: Callable[..., Running], tmp_path: Path) -> Venue:
    """Thirty markets that move when told to."""
    running = start("--markets", "60", "--since", "20s", "--speed", "1", "--seed", "3")
    return Venue(request.param, running, tmp_path)


def lived(venue: Venue) -> Published:
    """One stretch of a venue, lived once for all tests that play it."""
    if venue.name not in _LIVED:
        live = Published(venue.name)
        asyncio.run(stretch(venue, live, Shard(venue.name)))
        _LIVED[venue.name] = live
    return _LIVED[venue.name]


def test_a_stretch_with_faults_in_its_frames_is_played_bit_for_bit(venue: Venue, tmp_path: Path) -> None:
    live = lived(venue)

    again, replay = replayed(venue.name, live.raw, tmp_path)

    sources = {tick.source for tick in live.ticks}
    print(f"{len(live.ticks)} ticks, {replay.frames} frames, {len(live.markets)} markets, {sorted(sources)}")
    assert (replay.missed, replay.unread) == (0, 0)
    assert again.ticks == live.ticks
    assert again.markets == live.markets
    assert {"stream", "sweep", "hot"} <= sources
    assert live.gaps_of_streams("gap_opened") >= 1 or venue.name == "kalshi"
    assert any("after_gap" in tick.flags for tick in again.ticks) or venue.name == "kalshi"


@pytest.mark.parametrize("name", MARKET)
def test_histories_are_played_out_of_their_answers(name: str, tmp_path: Path) -> None:
    live, clock = Published(name), ManualClock(HISTORY_START_US + LASTS_S * US_PER_S)

    async def run() -> None:
        simulator = Simulator(RecordedTape(TAPE), speed=1e6, lockstep=False)
        app, outbox = httpx.ASGITransport(app=simulator.app), cast("Outbox", live)
        collector = put_together(name, lambda path: http_of(path, cast("Any", live), clock, app), cast("Any", live))
        jobs = Jobs(collector, CollectorSettings(), 0.5, outbox, clock)
        while not simulator.players[name].finished:
            simulator.players[name].catch_up()
        await jobs.rounds.crawl()
        clock.advance(20)
        await jobs.rounds.hot_poll()
        await jobs.rounds.sweep()
        await jobs.close()

    asyncio.run(run())
    again, replay = replayed(name, live.raw, tmp_path)

    assert sum(tick.source == "backfill" for tick in live.ticks) >= 5
    assert (again.ticks, again.markets) == (live.ticks, live.markets)
    assert (replay.missed, replay.unread) == (0, 0)


def test_two_halves_and_a_restart_on_one_tape_are_each_played_as_they_lived(venue: Venue, tmp_path: Path) -> None:
    live = [Published(venue.name) for _ in range(3)]
    halves = [Shard(venue.name, number=number, of=2) for number in (1, 2)]

    async def run() -> None:
        await asyncio.gather(*(short(out, half) for out, half in zip(live, halves, strict=False)))
        told = {market.market_id: Told.of(market) for market in live[0].markets}
        await short(live[2], halves[0], Before(told, SystemClock().now_us() - 700_000_000))

    async def short(out: Published, half: Shard, before: Before | None = None) -> None:
        async with collecting(venue, out, half, before):
            await until(lambda: sum(t.source == "stream" for t in out.ticks) >= 10, f"{half.label} streams", 180)

    asyncio.run(run())
    again, replay = replayed(venue.name, [raw for out in live for raw in out.raw], tmp_path)

    assert (replay.missed, replay.unread) == (0, 0)
    for half, lives in zip(halves, ((live[0], live[2]), (live[1],)), strict=True):
        assert [t for t in again.ticks if half.owns(t.market_id, "")] == [t for out in lives for t in out.ticks]
        assert [m for m in again.markets if half.owns(m.market_id, "")] == [m for out in lives for m in out.markets]


def test_a_tape_that_begins_in_the_middle_plays_what_it_can(venue: Venue, tmp_path: Path) -> None:
    live = lived(venue)
    frames_at = [at for at, raw in enumerate(live.raw) if raw.kind == "ws"]
    begin = frames_at[len(frames_at) // 3]

    again, replay = replayed(venue.name, live.raw[begin:], tmp_path)

    later = [tick for tick in live.ticks if tick.ts_received_us >= live.raw[begin].ts_received_us]
    same = {tick.event_id for tick in later} & {tick.event_id for tick in again.ticks}
    print(f"{len(same)} of {len(later)} ticks are the same")
    assert replay.missed > 0
    assert sum(tick.source == "stream" for tick in again.ticks) > 10
    assert len(same) > 10


@pytest.mark.parametrize("odd", [b"no json", b'{"step": 1}', b'{"step": "x"}', b"[]", b'{"step": 0, "note": "never"}'])
def test_notes_that_cannot_be_read_are_counted(odd: bytes, tmp_path: Path) -> None:
    raw = raw_message("kalshi", Received(
        kind="notes", errand=Errand("stream"), channel="notes", connection_id="life", sequence=0,
        body=odd, ts_received_us=1,
    ))  # fmt: skip

    out, replay = replayed("kalshi", [raw], tmp_path)

    assert replay.unread + replay.missed > 0
    assert out.ticks == []

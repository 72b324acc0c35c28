"""Whole collectors on streams that misbehave, with a real Kafka: what was told is published, or told as missed."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from producers.batch import CONTENT_TYPE, frames
from schemas import topics
from schemas.events import FeedStatus, RawMessage, Tick
from schemas.units import PPM, US_PER_S
from tests.producers.conftest import Stack
from tests.producers.test_collect import Collecting, settings_for, simulate
from tests.stack.waiting import wait_until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

SLACK_US = 3 * US_PER_S
QUIET_US = 60 * US_PER_S
"""A gap begins when its connection was heard last, and the quietest markets may have said nothing for so long."""
PREFIXES = {"polymarket": "/poly-ws", "kalshi": "/kalshi/trade-api/ws"}

BLINDS: dict[str, dict[str, Any]] = {
    "close": {},  # with 1013, as to a slow consumer
    "drop": {},
    "frozen": {},
    "half_open": {},
    "frozen_market": {"share": 0.3},
    "refused": {},  # all connections are cut, and the key is rejected for a while
}
"""Faults of streams after which nobody is told what goes on, each on all connections of a venue at once."""
DEAF = ("frozen", "half_open")
"""Faults that leave a connection standing: the next is to strike new ones, none that nobody listens to any more."""
AT_ONCE = [("kalshi", "close"), ("kalshi", "drop")]
"""Where one of two connections may tell again before the other is gone: then nobody is blind, as the ledger shows."""
BLINDED = [(venue, mode) for venue in PREFIXES for mode in BLINDS if (venue, mode) not in AT_ONCE]


@dataclass(frozen=True, slots=True)
class Struck:
    """A venue that was put through a fault, by our clock."""

    mode: str
    venue: str
    since_us: int
    until_us: int


@dataclass
class Streaming:
    """Two collectors on streams, and the venue's own account of what it told them."""

    run: Collecting
    ports: dict[str, int]
    started_us: int
    read_us: int = 0
    """What was told before this moment was read before the collectors were stopped."""
    over: dict[str, int] = field(default_factory=dict)
    """Gaps of each venue that had been told, and all closed, at a moment near the end. What is lost shows with a later
    frame, so that one more may begin whenever the collectors are stopped."""
    lossless_until: int = 0
    """Number of the last line of the venue's account before frames were lost on their way."""
    ledger: list[dict[str, Any]] = field(default_factory=list)
    struck: list[Struck] = field(default_factory=list)

    def health(self, venue: str) -> dict[str, Any]:
        """What the collector says of itself; nothing while it starts."""
        try:
            answer = httpx.get(f"http://127.0.0.1:{self.ports[venue]}/health", trust_env=False, timeout=10)
        except httpx.HTTPError:
            return {}
        found: dict[str, Any] = answer.json()
        return found

    def fault(self, mode: str, venue: str, **more: Any) -> None:
        order = {"path_prefix": PREFIXES[venue], "mode": mode, **more}
        httpx.post(f"{self.run.simulator}/simulator/faults", json=order, trust_env=False, timeout=60).raise_for_status()

    def account(self) -> list[dict[str, Any]]:
        """What the venue says that it told."""
        found: list[dict[str, Any]] = httpx.get(
            f"{self.run.simulator}/simulator/ledger?limit=200000", trust_env=False, timeout=60
        ).json()
        return found

    def ticks(self, venue: str) -> list[Tick]:
        return self.run.events(topics.TICKS, venue)

    def words(self, venue: str) -> list[FeedStatus]:
        """What was said of single connections, in order."""
        statuses: list[FeedStatus] = self.run.events(topics.FEED_STATUS, venue)
        return [status for status in statuses if "/stream-" in status.shard]

    def gaps(self, venue: str) -> list[tuple[str, int, int, frozenset[str]]]:
        """Connection, begin, end and markets of each gap that was told, by the venue's time."""
        streams = self.words(venue)
        found = []
        for opened in (s for s in streams if s.state == "gap_opened"):
            closed = (s for s in streams if s.state == "gap_closed" and s.shard == opened.shard)
            end_us = min((s.ts_event_us for s in closed if s.ts_received_us >= opened.ts_received_us), default=2**62)
            found.append((opened.shard, opened.gap_started_us or 0, end_us, frozenset(opened.market_ids)))
        return found


def key_file(folder: Path) -> Path:
    """A private key. The simulator takes any while none is registered; `test_streams.py` has it verified."""
    path = folder / "kalshi.pem"
    private = rsa.generate_private_key(65_537, 2_048)
    path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


@pytest.fixture(scope="module")
def streaming(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Streaming]:
    """Both venues streamed in real time through one fault after another; then stopped by SIGTERM."""
    folder = tmp_path_factory.mktemp("stream")
    process, simulator = simulate(folder, "--markets", "700", "--since", "5s", "--speed", "1")
    httpx.post(f"{simulator}/simulator/ledger", json={"on": True}, trust_env=False, timeout=60).raise_for_status()
    ws = simulator.replace("http", "ws")
    settings = settings_for(stack, simulator, folder) | {
        "POLYMARKET_WS_URL": f"{ws}/poly-ws/ws/market",
        "POLYMARKET_WITNESS_URL": f"{ws}/poly-bolt/ws",
        "POLYMARKET_STREAM_CONNECTIONS": "2",
        "KALSHI_WS_URL": f"{ws}/kalshi/trade-api/ws/v2",
        "KALSHI_API_KEY": "key",
        "KALSHI_PRIVATE_KEY_FILE": str(key_file(folder)),
        "KALSHI_STREAM_BOOKS": "20",
        "COLLECTOR_PRICE_INTERVAL": "15",  # a frozen stream is found by the next sweep that contradicts it
    }
    run = Collecting(stack, simulator, folder, settings)
    started_us = time.time_ns() // 1_000
    collectors = {venue: run.start(venue) for venue in PREFIXES}
    streams = Streaming(run, {venue: port for venue, (_, port) in collectors.items()}, started_us)
    try:
        _misbehave(streams)
        for collector, _ in collectors.values():
            collector.send_signal(signal.SIGTERM)
        assert [collector.wait(90) for collector, _ in collectors.values()] == [0, 0]
        streams.ledger = streams.account()
        yield streams
    finally:
        _end([process, *(collector for collector, _ in collectors.values())])


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    for running in processes:
        if running.poll() is None:
            running.kill()
            running.wait()


def _misbehave(streams: Streaming) -> None:
    """One fault after another on each venue, each awaited until it is over."""

    def grown(venue: str, name: str, than: int) -> Callable[[], bool]:
        return lambda: streams.health(venue).get(name, 0) > than

    for venue in PREFIXES:
        wait_until(grown(venue, "stream_ticks", 20), f"{venue} streams")
    for mode, more in ({"giant": {"bytes": 3_000_000}} | BLINDS).items():
        since_us = time.time_ns() // 1_000
        for venue in PREFIXES:
            streams.fault(mode, venue, **more)
            if mode == "refused":
                streams.fault("drop", venue)
        for venue in PREFIXES:
            if (venue, mode) in BLINDED:
                wait_until(partial(_told, streams, venue, since_us), f"{venue} {mode} is told")
            if mode in DEAF:
                wait_until(partial(_all_anew, streams, venue, since_us), f"{venue} {mode}: all opened anew")
        for venue in PREFIXES if mode == "refused" else ():
            streams.fault("off", venue)
        for venue in PREFIXES:
            wait_until(grown(venue, "stream_ticks", streams.health(venue)["stream_ticks"] + 20), f"{venue} {mode}")
            streams.struck.append(Struck(mode, venue, since_us, time.time_ns() // 1_000))
    for mode in ("duplicated", "reordered", "lost"):
        if mode == "lost":
            streams.lossless_until = max(row["number"] for row in streams.account())
        for venue in PREFIXES:
            streams.fault(mode, venue, every=7, **(_of_one(streams) if (mode, venue) == ("lost", "kalshi") else {}))
        for venue in PREFIXES:
            wait_until(grown(venue, "stream_ticks", streams.health(venue)["stream_ticks"] + 20), f"{venue} {mode}")
        for venue in PREFIXES:
            streams.fault("off", venue)
    streams.read_us = time.time_ns() // 1_000
    for venue in PREFIXES:
        wait_until(grown(venue, "stream_ticks", streams.health(venue)["stream_ticks"] + 20), f"{venue} at last")
        wait_until(partial(_all_closed, streams, venue), f"all gaps of {venue} are closed")


def _of_one(streams: Streaming) -> dict[str, int]:
    """Names one of Kalshi's two connections. Which ticker both lose, when they happen to count alike, nobody can know:
    it has no number (docs/feeds.md)."""
    answer = httpx.get(f"{streams.run.simulator}/simulator/connections", trust_env=False, timeout=60)
    return {"only": next(row["number"] for row in answer.json() if row["path"].startswith(PREFIXES["kalshi"]))}


def _told(streams: Streaming, venue: str, since_us: int) -> bool:
    """Whether a gap was told since then."""
    return any(word.state == "gap_opened" and word.ts_received_us >= since_us for word in streams.words(venue))


def _all_anew(streams: Streaming, venue: str, since_us: int) -> bool:
    """Whether each connection was opened since then."""
    words = streams.words(venue)
    opened = {word.shard for word in words if word.state == "connected" and word.ts_received_us >= since_us}
    return opened == {word.shard for word in words}


def _all_closed(streams: Streaming, venue: str) -> bool:
    """Whether no gap is open; then it is kept how many there were."""
    gaps = streams.gaps(venue)
    if any(end_us == 2**62 for _, _, end_us, _ in gaps):
        return False
    streams.over[venue] = len(gaps)
    return True


State = tuple[str, int | None, int | None]
"""Of a market: bid and ask."""


def _state(row: dict[str, Any]) -> State:
    return market_id(row), ppm(row["bid"]), ppm(row["ask"])


def _undone(quotes: list[dict[str, Any]], ticks: list[Tick]) -> set[int]:
    """Changes that never came and that their market's next one took back, by their numbers. Polymarket's frames have
    none: where such a one is lost on its way, the next one states what the book says already, and nobody can know
    (docs/feeds.md)."""
    published = {(tick.market_id, tick.bid_ppm, tick.ask_ppm) for tick in ticks}
    known = {tick.market_id: (tick.market_id, tick.bid_ppm, tick.ask_ppm) for tick in reversed(ticks)}
    never_came: dict[str, list[int]] = {}
    found: set[int] = set()
    for row in quotes:
        state = _state(row)
        if state not in published:
            never_came.setdefault(state[0], []).append(row["number"])
            continue
        lost = never_came.pop(state[0], [])
        found.update(lost if known.get(state[0]) == state else [])
        known[state[0]] = state
    return found


def market_id(row: dict[str, Any]) -> str:
    return f"{'POLY' if row['venue'] == 'polymarket' else 'KALSHI'}:{row['market']}"


def ppm(price: float | None) -> int | None:
    return None if price is None else round(price * PPM)


@pytest.mark.parametrize("venue", PREFIXES)
def test_every_change_the_venue_told_is_published_or_in_a_gap_that_was_told(streaming: Streaming, venue: str) -> None:
    ticks, gaps = streaming.ticks(venue), streaming.gaps(venue)
    published = {(tick.market_id, tick.bid_ppm, tick.ask_ppm) for tick in ticks}
    known = {tick.market_id for tick in ticks if tick.source == "stream"}
    unaccounted, in_gaps, told = [], 0, 0
    quotes = [row for row in streaming.ledger if (row["venue"], row["kind"]) == (venue, "quote")]
    undone = _undone(quotes, ticks) if venue == "polymarket" else set()
    for row in quotes:
        if market_id(row) not in known:
            continue
        if row["ts_us"] >= streaming.read_us:  # what a venue tells somebody who is hanging up
            continue
        inside = any(
            begin - SLACK_US <= row["ts_us"] <= end + SLACK_US and (not markets or market_id(row) in markets)
            for _, begin, end, markets in gaps
        )
        told += 1
        is_undone = row["number"] > streaming.lossless_until and row["number"] in undone
        if _state(row) not in published and not is_undone:
            in_gaps += inside
            unaccounted += [] if inside else [(streaming.read_us - row["ts_us"], row)]

    assert unaccounted == []
    print(f"{venue}: {in_gaps} of {told} changes lie in gaps")
    assert told > 100
    assert in_gaps < told / 4, "the gaps are no excuse for most of it"


@pytest.mark.parametrize("venue", PREFIXES)
def test_each_fault_that_blinds_is_a_gap_told_and_closed_and_the_ticks_after_it_say_so(
    streaming: Streaming, venue: str
) -> None:
    gaps = streaming.gaps(venue)
    statuses: list[FeedStatus] = streaming.run.events(topics.FEED_STATUS, venue)
    begun = [status.ts_received_us for status in statuses if status.state == "gap_opened"]
    after = [tick for tick in streaming.ticks(venue) if "after_gap" in tick.flags]

    assert streaming.over[venue] >= sum(blinded == venue for blinded, _ in BLINDED)
    assert after
    for tick in after:
        assert any(begin_us - SLACK_US <= tick.ts_received_us for begin_us in begun)
    first_us = min(begin_us for _, begin_us, _, _ in gaps)
    assert [tick for tick in after if tick.ts_event_us >= first_us], "not of the first look only"


@pytest.mark.parametrize(("venue", "mode"), BLINDED)
def test_a_fault_is_told_with_its_begin_its_markets_and_its_end_and_each_of_them_is_seen_anew(
    streaming: Streaming, venue: str, mode: str
) -> None:
    [struck] = [struck for struck in streaming.struck if (struck.mode, struck.venue) == (mode, venue)]
    words = streaming.words(venue)
    opened = [w for w in words if w.state == "gap_opened" and struck.since_us <= w.ts_received_us <= struck.until_us]
    first_after: dict[str, Tick] = {}
    for tick in streaming.ticks(venue):
        if tick.ts_received_us >= opened[0].ts_received_us:
            first_after.setdefault(tick.market_id, tick)

    assert {w.shard.partition("-")[0] for w in opened} == {"all/stream"}
    for gap in opened:
        closed = [w for w in words if w.shard == gap.shard and w.gap_started_us == gap.gap_started_us]
        closed = [w for w in closed if w.state == "gap_closed" and w.ts_received_us >= gap.ts_received_us]
        assert gap.market_ids, f"{gap.detail}: of which markets?"
        assert gap.markets_stale >= len(gap.market_ids)
        assert struck.since_us - SLACK_US - QUIET_US <= (gap.gap_started_us or 0) <= gap.ts_event_us < struck.until_us
        assert closed, f"{gap.detail}: its end was never told"
    named = {market for gap in opened for market in gap.market_ids} & first_after.keys()
    assert named
    assert {m for m in named if "after_gap" in first_after[m].flags}, "the first tick of each says so"


@pytest.mark.parametrize("venue", PREFIXES)
def test_streamed_ticks_carry_the_venues_stamp_and_their_market_goes_forward_in_time(
    streaming: Streaming, venue: str
) -> None:
    newest: dict[str, int] = {}
    streamed = 0
    for tick in streaming.ticks(venue):
        assert tick.ts_event_us > newest.get(tick.market_id, 0)
        newest[tick.market_id] = tick.ts_event_us
        if tick.source == "stream":
            streamed += 1
            assert tick.ts_event_basis in ("venue", "received")
            assert (tick.ts_venue_us is not None) or tick.ts_event_basis == "received"

    assert streamed > 100


@pytest.mark.parametrize("venue", PREFIXES)
def test_raw_frames_are_kept_in_batches_that_give_every_frame_back(streaming: Streaming, venue: str) -> None:
    raw: list[RawMessage] = streaming.run.events(topics.BY_NAME[topics.raw_topic(venue)], venue)
    batches = [message for message in raw if message.kind == "ws"]
    found = [frame.body for message in batches for frame in frames(message.body)]

    assert {message.content_type for message in batches} == {CONTENT_TYPE}
    assert len(found) > len(batches)
    for frame in found:
        assert isinstance(json.loads(frame), list | dict)
    for connection in {message.connection_id for message in batches}:
        numbers = [message.sequence for message in batches if message.connection_id == connection]
        assert sorted(numbers) == list(range(len(numbers)))


@pytest.mark.parametrize("venue", PREFIXES)
def test_what_is_listed_is_told_before_the_first_stream_is_open(streaming: Streaming, venue: str) -> None:
    ticks = streaming.ticks(venue)
    polled_us = min(tick.ts_received_us for tick in ticks if tick.source != "stream")
    streamed_us = min(tick.ts_received_us for tick in ticks if tick.source == "stream")

    # How soon says more of the machine than of us, so it is told and not asserted.
    first_s, streamed_s = ((at_us - streaming.started_us) / US_PER_S for at_us in (polled_us, streamed_us))
    print(f"{venue}: first tick {first_s:.1f} s after the start of the process, first streamed {streamed_s:.1f} s")
    assert polled_us < streamed_us

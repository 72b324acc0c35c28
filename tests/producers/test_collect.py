"""Whole collectors, as processes, against simulated venues and a real Kafka."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from kernel.kafka.readers import watermarks
from producers.registry import VENUES
from schemas import topics
from schemas.events import DeadLetter, FeedStatus, Market, RawMessage, Tick
from schemas.topics import Topic
from schemas.units import US_PER_S, event_id
from tests.producers.conftest import Stack
from tests.stack.ports import free_port
from tests.stack.processes import child_environment, kafka_at
from tests.stack.waiting import wait_until

pytestmark = pytest.mark.stack

MARKETS = 60
HTML = b"<!DOCTYPE html>"


@dataclass
class Collecting:
    """Processes of one run and where to ask them."""

    stack: Stack
    simulator: str
    folder: Path
    settings: dict[str, str]

    def start(self, venue: str, **settings: str) -> tuple[subprocess.Popen[bytes], int]:
        """A collector and its port for /health."""
        port = free_port()
        environment = child_environment({**self.settings, **settings, "METRICS_PORT": str(port)})
        with (self.folder / f"{venue}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "movers", "produce", venue], env=environment, stderr=log, cwd=self.folder
            )
        return process, port

    def events(self, topic: Topic, venue: str) -> list[Any]:
        """What a venue published, in order within a market."""
        return [event for event, _, headers in self.stack.read(topic) if headers["venue"].decode() == venue]


def count(stack: Stack, topic: Topic) -> int:
    return sum(high - low for low, high in watermarks(kafka_at(stack.bootstrap), topic.name).values())


def simulate(folder: Path, *arguments: str) -> tuple[subprocess.Popen[bytes], str]:
    """A simulator and its address."""
    log = folder / f"simulator.{'-'.join(arguments)}.log"
    command = [sys.executable, "-m", "simulator.server", "--port", "0", *arguments]
    with log.open("wb") as stderr:
        process = subprocess.Popen(command, stderr=stderr)
    found: list[str] = []

    def ready() -> bool:
        found[:] = re.findall(r"http://[\d.]+:\d+", log.read_text())
        return bool(found) or process.poll() is not None

    wait_until(ready, "the simulator is ready")
    return process, found[0]


def settings_for(stack: Stack, simulator: str, folder: Path) -> dict[str, str]:
    return {
        "KAFKA_BOOTSTRAP_SERVERS": stack.bootstrap,
        "SCHEMA_REGISTRY_URL": stack.registry_url,
        "POLYMARKET_GAMMA_URL": f"{simulator}/gamma",
        "POLYMARKET_CLOB_URL": f"{simulator}/clob",
        "POLYMARKET_STREAM_CONNECTIONS": "0",
        "POLYMARKET_REQUESTS_PER_S": "500",
        "KALSHI_API_URL": f"{simulator}/kalshi/trade-api/v2",
        "KALSHI_REQUESTS_PER_S": "500",
        "COLLECTOR_HOT_MARKETS": "10",
        "COLLECTOR_PRICE_INTERVAL": "60",
        "SPILL_DIR": str(folder / "spill dir"),
    }


@pytest.fixture(scope="module")
def collected(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collecting]:
    """Both venues collected at 120 times their speed, one answer in HTML, one cut short; then stopped by SIGTERM."""
    folder = tmp_path_factory.mktemp("collect")
    process, simulator = simulate(folder, "--markets", str(MARKETS), "--since", "3h", "--speed", "120")
    run = Collecting(stack, simulator, folder, settings_for(stack, simulator, folder))
    collectors = {venue: run.start(venue) for venue in VENUES}
    try:
        wait_until(lambda: count(stack, topics.TICKS) > 400, "ticks flow")
        for prefix, mode in (("/gamma/markets", "html"), ("/kalshi/trade-api/v2/markets", "truncated")):
            order = {"path_prefix": prefix, "mode": mode, "count": 1} | ({"status": 200} if mode == "html" else {})
            httpx.post(f"{simulator}/simulator/faults", json=order, trust_env=False, timeout=60).raise_for_status()
        wait_until(lambda: count(stack, topics.DEAD_LETTERS) >= 2, "both broken answers are refused")
        before = count(stack, topics.TICKS)
        wait_until(lambda: count(stack, topics.TICKS) > before + 400, "ticks flow again")
        for _, port in collectors.values():
            health = httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False, timeout=60)
            assert health.status_code == 200, health.text
            assert health.json()["pace"] == pytest.approx(120, rel=0.2), health.text
            assert health.json()["markets_tracked"] >= MARKETS // 2
        for collector, _ in collectors.values():
            collector.send_signal(signal.SIGTERM)
        assert [collector.wait(90) for collector, _ in collectors.values()] == [0, 0]
        yield run
    finally:
        for running in (process, *(collector for collector, _ in collectors.values())):
            if running.poll() is None:
                running.kill()
                running.wait()


@pytest.mark.parametrize("venue", VENUES)
def test_every_market_is_described_once_and_its_ticks_carry_its_category(collected: Collecting, venue: str) -> None:
    described: dict[str, Market] = {}
    for market in collected.events(topics.MARKETS, venue):
        before = described.get(market.market_id)
        assert before is None or before.event_id != market.event_id, "only when it says something new"
        described[market.market_id] = market

    ticked = {tick.market_id for tick in collected.events(topics.TICKS, venue)}

    assert len(ticked) >= MARKETS // 2
    assert len(ticked.intersection(described)) >= MARKETS // 2
    categories = {
        (event.market_id, headers.get("category", b"").decode())
        for event, _, headers in collected.stack.read(topics.TICKS)
        if isinstance(event, Tick) and event.venue == venue
    }
    for market_id, category in categories:
        assert category in ("", described[market_id].category if market_id in described else "")


@pytest.mark.parametrize("venue", VENUES)
def test_a_market_has_one_tick_a_moment_in_order_of_time(collected: Collecting, venue: str) -> None:
    moments: dict[str, list[int]] = defaultdict(list)
    for tick in collected.events(topics.TICKS, venue):
        assert tick.event_id == event_id(tick.market_id, tick.ts_event_us)
        moments[tick.market_id].append(tick.ts_event_us)

    for market_id, stamps in moments.items():
        assert stamps == sorted(set(stamps)), market_id


@pytest.mark.parametrize("venue", VENUES)
def test_ticks_keep_what_they_promise(collected: Collecting, venue: str) -> None:
    ticks: dict[str, list[Tick]] = defaultdict(list)
    for tick in collected.events(topics.TICKS, venue):
        ticks[tick.market_id].append(tick)

    kept = [
        later.ts_event_us - tick.ts_event_us <= 2.5 * tick.heartbeat_s * US_PER_S
        for of_market in ticks.values()
        for tick, later in pairwise(of_market)
        if tick.heartbeat_s
    ]

    assert sum(kept) / len(kept) > 0.95, "the broken answers cost a few"
    assert {tick.source for of_market in ticks.values() for tick in of_market} == {"backfill", "sweep", "hot"}


@pytest.mark.parametrize("venue", VENUES)
def test_a_hot_tick_carries_the_volume_by_which_movers_are_filtered(collected: Collecting, venue: str) -> None:
    hot = [tick for tick in collected.events(topics.TICKS, venue) if tick.source == "hot"]

    assert hot
    assert all(tick.volume_24h_usd is not None for tick in hot)
    assert any(tick.bid_size_contracts for tick in hot)


@pytest.mark.parametrize("venue", VENUES)
def test_every_answer_is_kept_as_it_came(collected: Collecting, venue: str) -> None:
    raw: list[RawMessage] = collected.events(topics.BY_NAME[topics.raw_topic(venue)], venue)

    sequences: dict[str, list[int]] = defaultdict(list)
    for message in raw:
        sequences[message.connection_id].append(message.sequence)
    assert all(sorted(of_one) == list(range(len(of_one))) for of_one in sequences.values()), "none is missing"
    answers = [message for message in raw if message.kind == "rest"]
    assert {message.kind for message in raw} == {"rest", "notes"}, "and what the collector did with them"
    assert {message.errand for message in answers} >= {"crawl", "sweep", "hot"}
    assert {message.http_status for message in answers} == {200}
    assert all(message.ts_event_us and message.content_type for message in answers)


@pytest.mark.parametrize(("venue", "start"), [("polymarket", HTML), ("kalshi", b'{"cursor"')])
def test_a_broken_answer_is_a_dead_letter_with_its_bytes(collected: Collecting, venue: str, start: bytes) -> None:
    letters: list[DeadLetter] = collected.events(topics.DEAD_LETTERS, venue)

    [letter] = [letter for letter in letters if letter.reason == "not_json"]
    assert letter.stage == "producer"
    assert letter.body.startswith(start)
    assert "/markets" in letter.channel


@pytest.mark.parametrize("venue", VENUES)
def test_the_feed_says_when_it_connects_and_when_it_stops(collected: Collecting, venue: str) -> None:
    told: list[FeedStatus] = collected.events(topics.FEED_STATUS, venue)

    words = [status.state for status in told]
    assert (words[0], words[-1]) == ("gap_opened", "disconnected"), "the first look of all is a gap, and then closed"
    assert words.index("connected") < words.index("gap_closed")
    assert not {"degraded", "disconnected"} & set(words[: words.index("connected")])
    assert told[-1].detail.startswith("the collector was stopped")
    assert told[-1].ticks_published == len(collected.events(topics.TICKS, venue))
    assert all(status.clock_skew_us is not None and status.clock_skew_us > 600 * US_PER_S for status in told[1:])


@pytest.mark.parametrize("venue", VENUES)
def test_the_old_time_of_a_tape_is_flagged_on_its_ticks(collected: Collecting, venue: str) -> None:
    assert all("clock_skew" in tick.flags for tick in collected.events(topics.TICKS, venue))


def test_a_venue_of_nonsense_stops_the_collector_loudly(collected: Collecting, tmp_path: Path) -> None:
    script = (
        "import json, http.server\n"
        "class H(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        body = json.dumps({'events': [{'n': n} for n in range(50)]}).encode()\n"
        "        self.send_response(200); self.send_header('Content-Length', str(len(body))); self.end_headers()\n"
        "        self.wfile.write(body)\n"
        "s = http.server.HTTPServer(('127.0.0.1', 0), H); print(s.server_port, flush=True); s.serve_forever()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as nonsense:
        assert nonsense.stdout is not None
        address = f"http://127.0.0.1:{nonsense.stdout.readline().strip()}"
        spill = str(tmp_path / "spill")
        process, _ = collected.start("polymarket", POLYMARKET_GAMMA_URL=address, SPILL_DIR=spill)
        try:
            code = process.wait(90)
        finally:
            nonsense.kill()

    assert code not in (0, -signal.SIGTERM)
    log = (collected.folder / "polymarket.log").read_text()
    assert "sync_markets: 50 of the last 50 could not be used" in log
    assert "Traceback" not in log
    told = [e for e in collected.events(topics.FEED_STATUS, "polymarket") if "50 of the last 50" in e.detail]
    assert [status.state for status in told] == ["disconnected"]

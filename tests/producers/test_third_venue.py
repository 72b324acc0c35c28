"""A venue is added by a folder and a line: a third one is collected by the process that collects the others."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import orjson
import pytest

from kernel.kafka.readers import watermarks
from kernel.kafka.topics import create_topics
from kernel.schema_registry import SchemaRegistry
from schemas import topics
from schemas.events import Market, RawMessage, Tick
from tests.producers.conftest import Stack
from tests.stack.processes import Child, kafka_at
from tests.stack.waiting import wait_until

pytestmark = pytest.mark.stack

RUN = """
from kernel.settings import load
from producers import runner
from producers.shards import Shard
from schemas import topics
from tests.producers.test_third_venue import RAW
from tests.producers.tiny.venue import VENUE

topics.CATALOGUE = (*topics.CATALOGUE, RAW)  # its name in schemas.topics.VENUES
topics.BY_NAME = {topic.name: topic for topic in topics.CATALOGUE}
runner.VENUES = {**runner.VENUES, "tiny": VENUE}  # its line in producers/registry.py
runner.run(load(), Shard("tiny"))
"""
RAW = replace(topics.BY_NAME[topics.raw_topic("kalshi")], name=topics.raw_topic("tiny"))


class Rows:
    """What the venue shows."""

    now: ClassVar[list[dict[str, Any]]] = []


class Handler(BaseHTTPRequestHandler):
    """The venue."""

    def do_GET(self) -> None:
        """All rows, whatever is asked."""
        body = orjson.dumps(Rows.now)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    """The venue's server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_venue_of_a_folder_and_a_line_is_collected_end_to_end(stack: Stack, address: str, tmp_path: Path) -> None:
    kafka = kafka_at(stack.bootstrap)
    create_topics(kafka, [RAW])
    store = SchemaRegistry(stack.registry_url)
    store.register([RAW])
    store.close()
    settings = {
        "KAFKA_BOOTSTRAP_SERVERS": stack.bootstrap,
        "SCHEMA_REGISTRY_URL": stack.registry_url,
        "SPILL_DIR": str(tmp_path / "spill"),
        "COLLECTOR_PRICE_INTERVAL": "0.2",
        "COLLECTOR_MARKET_INTERVAL": "0.5",
        "TINY_URL": address,
    }

    def ticks() -> list[Tick]:
        return [e for e, key, _ in stack.read(topics.TICKS) if isinstance(e, Tick) and key == "TINY:a"]

    def written() -> int:
        return sum(end for _, end in watermarks(kafka, topics.TICKS.name).values())

    Rows.now = [{"id": "a", "bid": "0.40", "ask": "0.42"}, {"id": "", "bid": "1"}]
    before = written()
    collector = Child([sys.executable, "-c", RUN], tmp_path / "tiny.log", settings)
    try:
        wait_until(lambda: not collector.running or written() > before + 2, "ticks come")
        Rows.now = [{"id": "a", "bid": "0.50", "ask": "0.52"}]
        wait_until(
            lambda: not collector.running or any(t.price_ppm == 510_000 for t in ticks()), "the change is seen", 30
        )
        Rows.now = [{"id": "a", "bid": "0.50", "ask": "0.52", "over": True}]
        wait_until(
            lambda: not collector.running or any(t.market_status == "settled" for t in ticks()), "the end is seen", 30
        )
        assert collector.terminate() == 0, collector.said
    finally:
        collector.kill()

    prices = [(t.price_ppm, t.market_status) for t in ticks()]
    assert list(dict.fromkeys(prices)) == [(410_000, "open"), (510_000, "open"), (None, "settled")]
    told = [e for e, key, _ in stack.read(topics.MARKETS) if isinstance(e, Market) and key == "TINY:a"]
    assert [market.status for market in told] == ["open", "settled"]
    raw = [e for e, _, _ in stack.read(RAW) if isinstance(e, RawMessage)]
    assert {message.errand for message in raw} >= {"crawl", "sweep"}

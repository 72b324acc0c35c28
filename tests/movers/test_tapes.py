"""The commands that record a venue's words from Kafka, and give a tape's events to it."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from kernel.errors import KafkaAwayError
from kernel.kafka.readers import read_to_end
from kernel.kafka.topics import create_topics
from kernel.schema_registry import SchemaRegistry
from kernel.settings import Settings
from movers import tapes
from producers.recording import write_tape
from schemas.codec import Codec
from schemas.events import RawMessage, Tick
from schemas.topics import CATALOGUE, TICKS
from tests.producers.bench import kalshi_row
from tests.stack.processes import KafkaProcess, ServiceProcess, kafka_at

NOBODY = "127.0.0.1:1"


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    """One answer of Kalshi, with two markets."""
    body = orjson.dumps({"cursor": "", "markets": [kalshi_row("KXT-1"), kalshi_row("KXT-2")]})
    raw = RawMessage(
        event_id="0" * 24, venue="kalshi", kind="rest", channel="/markets?limit=1000", connection_id="c", sequence=0,
        errand="sweep", promise_s=15, ts_received_us=1_800_000_000_000_000, http_status=200,
        content_type="application/json", body=body,
    )  # fmt: skip
    write_tape(tmp_path / "t.gz", "kalshi", iter([raw]))
    return tmp_path / "t.gz"


@pytest.fixture
def registry_url(registry: ServiceProcess) -> str:
    """A registry that knows our schemas."""
    store = SchemaRegistry(registry.url)
    store.register(CATALOGUE)
    store.close()
    return registry.url


def settings(bootstrap: str, registry_url: str, folder: Path) -> Settings:
    given = {"KAFKA_BOOTSTRAP_SERVERS": bootstrap, "SCHEMA_REGISTRY_URL": registry_url, "SPILL_DIR": str(folder)}
    return Settings(given)


def ticks_in(bootstrap: str, registry_url: str) -> set[str]:
    store = SchemaRegistry(registry_url)
    codec = Codec(TICKS, store, Tick)
    try:
        return {codec.decode(message.value()).market_id for message in read_to_end(kafka_at(bootstrap), TICKS.name)}
    finally:
        store.close()


@pytest.mark.stack
def test_a_tape_that_is_published_gives_its_ticks_to_kafka(
    tape: Path, kafka_stack: KafkaProcess, registry_url: str, tmp_path: Path
) -> None:
    create_topics(kafka_at(kafka_stack.bootstrap))
    of_this_run = settings(kafka_stack.bootstrap, registry_url, tmp_path / "spill")

    told = tapes.replay(of_this_run, tape, 0, publish=True, write=print)

    assert told.startswith("1 messages with 0 frames played: 2 ticks")
    assert ticks_in(kafka_stack.bootstrap, registry_url) == {"KALSHI:KXT-1", "KALSHI:KXT-2"}


@pytest.mark.stack
def test_a_tape_that_kafka_does_not_take_is_no_success_and_leaves_nothing_behind(
    tape: Path, registry_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tapes, "_FLUSH_S", 0.5)

    with pytest.raises(KafkaAwayError, match="play it again"):
        tapes.replay(settings(NOBODY, registry_url, tmp_path / "spill"), tape, 0, publish=True, write=print)

    assert not (tmp_path / "spill").exists()


def test_a_recording_of_a_kafka_that_is_away_is_refused_before_it_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tapes, "_ANSWER_S", 0.5)

    with pytest.raises(KafkaAwayError, match="does not answer"):
        tapes.record(settings(NOBODY, "http://127.0.0.1:1", tmp_path), "kalshi", tmp_path / "t.gz", 60, 3_600)

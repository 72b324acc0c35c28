"""The titles thread on a real broker: it outlives a registry that hiccups, and a restart reads on."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from kernel.clock import ManualClock
from kernel.errors import KafkaAwayError, RegistryAwayError
from kernel.kafka.publisher import Publisher
from kernel.kafka.topics import create_topics
from kernel.schema_registry import SchemaRegistry
from processors.titles import UNKNOWN, Title, TitleFile, Titles
from schemas.codec import Codec
from schemas.events import Market
from schemas.topics import CATALOGUE, LET_GO_TOLD_DAYS, MARKETS
from tests.processors.test_apps import market_facts
from tests.processors.test_step import SchemasInMemory
from tests.stack.processes import KafkaProcess, ServiceProcess, kafka_at
from tests.stack.waiting import wait_until


class HiccupingRegistry:
    """The real registry, away for the first calls."""

    def __init__(self, real: SchemaRegistry, away: int) -> None:
        self.real = real
        self.away = away

    def id_of(self, subject: str, schema: str) -> int:
        return self.real.id_of(subject, schema)

    def by_id(self, schema_id: int) -> str:
        self.away -= 1
        if self.away >= 0:
            raise RegistryAwayError("hiccup")
        return self.real.by_id(schema_id)


@pytest.mark.stack
def test_titles_come_although_the_registry_was_away_and_a_restart_reads_on(
    tmp_path: Path, registry: ServiceProcess, kafka_stack: KafkaProcess
) -> None:
    real = SchemaRegistry(registry.url)
    real.register(CATALOGUE)
    create_topics(kafka_at(kafka_stack.bootstrap, 2))
    codec = Codec(MARKETS, real, Market)
    publisher = Publisher(
        kafka_at(kafka_stack.bootstrap), "test", lambda _message, error, _place: pytest.fail(error.str())
    )

    def publish(market_id: str, value: bytes | None) -> None:
        publisher.publish(MARKETS.name, market_id.encode(), value)
        assert publisher.flush(60) == 0

    for i in range(20):
        publish(f"KALSHI:M{i}", codec.encode(market_facts(f"KALSHI:M{i}")))
    path = tmp_path / "state" / "titles.sqlite"

    titles = Titles(kafka_at(kafka_stack.bootstrap), HiccupingRegistry(real, away=2), path)
    titles.start(timeout_s=90)
    facts = market_facts("KALSHI:M3")
    assert titles.lookup("KALSHI:M3") == Title(facts.title, "climate", facts.url, facts.event_key, facts.event_title)
    assert titles.health() == {"titles": 20, "titles_trouble": ""}
    titles.stop()
    publish("KALSHI:M3", None)
    publish("KALSHI:M20", codec.encode(market_facts("KALSHI:M20")))

    again = Titles(kafka_at(kafka_stack.bootstrap), HiccupingRegistry(real, away=0), path)
    again.start(timeout_s=90)
    wait_until(lambda: again.lookup("KALSHI:M20") != UNKNOWN, "the new title")
    assert again.lookup("KALSHI:M3") == UNKNOWN
    assert again.lookup("KALSHI:M4") != UNKNOWN
    again.stop()
    real.close()


class Pauses(threading.Event):
    """Notes how long was waited, instead of waiting; set after five times."""

    def __init__(self) -> None:
        super().__init__()
        self.taken_s: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.taken_s.append(timeout)
        if len(self.taken_s) == 5:
            self.set()
        return self.is_set()


def test_each_trouble_is_waited_out_from_the_shortest_pause_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    titles = Titles(kafka_at("nowhere:1"), SchemasInMemory(), tmp_path / "titles.sqlite")
    pauses = Pauses()

    def follow() -> None:
        if len(pauses.taken_s) == 3:
            titles._trouble = ""  # the topic was followed again
        raise KafkaAwayError("away")

    monkeypatch.setattr(titles, "_stop", pauses)
    monkeypatch.setattr(titles, "_follow", follow)
    titles._follow_for_ever()

    assert pauses.taken_s == [0.5, 1.0, 2.0, 0.5, 1.0]


def test_what_was_read_of_another_log_is_forgotten(tmp_path: Path) -> None:
    file = TitleFile(tmp_path / "titles.sqlite")
    file.take("log1", {"A": Title("a"), "B": Title("b")}, {0: 7, 1: 3})

    assert file.positions("log1") == {0: 7, 1: 3}
    assert file.positions("log2") == {}
    assert file.lookup("A") == UNKNOWN


def test_who_was_away_for_longer_than_kafka_keeps_what_leaves_begins_anew(tmp_path: Path) -> None:
    clock = ManualClock()
    file = TitleFile(tmp_path / "titles.sqlite", clock)
    file.take("log", {"A": Title("a")}, {0: 7})
    clock.advance(LET_GO_TOLD_DAYS * 86_400 - 1)
    assert file.positions("log") == {0: 7}

    clock.advance(1)

    assert file.positions("log") == {}
    assert file.count() == 0


def test_who_follows_a_topic_on_which_nothing_comes_was_not_away(tmp_path: Path) -> None:
    clock = ManualClock()
    file = TitleFile(tmp_path / "titles.sqlite", clock)
    file.take("log", {"A": Title("a")}, {0: 7})
    for _ in range(30):
        clock.advance(86_400)
        file.take("log", {}, {})

    assert file.positions("log") == {0: 7}
    assert file.lookup("A") == Title("a")


def test_a_file_that_cannot_be_read_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "titles.sqlite"
    path.write_bytes(b"torn" * 2000)

    file = TitleFile(path)

    assert file.count() == 0
    file.take("log", {"A": Title("a"), "B": None}, {0: 1})
    assert file.lookup("A") == Title("a")


def test_a_file_of_the_version_before_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "titles.sqlite"
    with closing(sqlite3.connect(path)) as before, before:
        before.execute("CREATE TABLE titles (market_id TEXT PRIMARY KEY, title TEXT, category TEXT, url TEXT)")
        before.execute("CREATE TABLE positions (log TEXT, partition INTEGER, next_offset INTEGER)")
        before.execute("INSERT INTO titles VALUES ('A', 'a', 'world', '')")
        before.execute("INSERT INTO positions VALUES ('log', 0, 7)")

    TitleFile(path).take("log", {"B": Title("b", event_key="E")}, {1: 3})

    again = TitleFile(path)
    assert (again.lookup("A"), again.lookup("B")) == (UNKNOWN, Title("b", event_key="E"))
    assert again.positions("log") == {1: 3}

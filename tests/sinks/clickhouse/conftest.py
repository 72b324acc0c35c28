"""The one-machine stack without producers and processors, and the sink as a process of its own."""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from confluent_kafka import Producer

from kernel.kafka.publisher import Publisher
from kernel.schema_registry import SchemaRegistry
from kernel.settings import ClickHouseSettings
from schemas.codec import Codec
from schemas.events import Event, Tick
from schemas.topics import CATALOGUE, TICKS, Topic
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.store import Store
from tests.sinks.faulty_line import FaultyLine
from tests.stack.ports import free_port
from tests.stack.processes import KafkaProcess, MoversProcess, ServiceProcess, kafka_at
from tests.stack.topics import topics_made_anew
from tests.stack.waiting import wait_until

PARTITIONS = 3


@dataclass(frozen=True, slots=True)
class Broker:
    """Kafka and the registry."""

    node: KafkaProcess
    registry_url: str

    @property
    def bootstrap(self) -> str:
        """`bootstrap.servers`"""
        return self.node.bootstrap


@pytest.fixture(scope="package")
def broker(tmp_path_factory: pytest.TempPathFactory, registry: ServiceProcess) -> Iterator[Broker]:
    """Kafka and registry, schemas registered."""
    node = KafkaProcess(tmp_path_factory.mktemp("broker"))
    client = SchemaRegistry(registry.url)
    client.register(CATALOGUE)
    client.close()
    yield Broker(node, registry.url)
    node.stop()


@dataclass
class Stand:
    """Fresh topics, a fresh store behind a faulty line, and sinks on order."""

    broker: Broker
    line: FaultyLine
    clickhouse: ClickHouseSettings
    store: Store
    log_path: Path
    metrics_port: int = field(default_factory=free_port)
    sinks: list[MoversProcess] = field(default_factory=list)
    published: Counter[str] = field(default_factory=Counter)

    def start_sink(self, metrics_port: int | None = None) -> subprocess.Popen[bytes]:
        """Starts a sink, as `movers sink clickhouse` does."""
        port = metrics_port or self.metrics_port
        sink = MoversProcess.start("sink", "clickhouse", log=self.log_path, settings=self.environment(), port=port)
        self.sinks.append(sink)
        return sink.process

    def environment(self) -> dict[str, str]:
        """What a sink finds in its environment."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.broker.bootstrap,
            "SCHEMA_REGISTRY_URL": self.broker.registry_url,
            "CLICKHOUSE_PORT": str(self.line.port),
            "CLICKHOUSE_DATABASE": self.clickhouse.clickhouse_database,
            "LOG_LEVEL": "debug",
            "MIN_VOLUME_24H": "1000",  # so that the moves of these tests are movers
        }

    def publish(self, topic: Topic, *events: Event, flush_every: int = 10_000) -> None:
        """Publishes events and waits until Kafka has them, after each `flush_every`."""
        registry = SchemaRegistry(self.broker.registry_url)
        codec: Codec[Event] = Codec(topic, registry, topic.event)
        pairs = [(getattr(event, "market_id", "k"), codec.encode(event)) for event in events]
        registry.close()
        self.publish_bytes(topic, *pairs, flush_every=flush_every)

    def publish_stamped(self, topic: Topic, event: Event, *, ahead_s: int) -> None:
        """Publishes an event as a machine whose clock is so far ahead, and waits until Kafka has it."""
        registry = SchemaRegistry(self.broker.registry_url)
        value = Codec(topic, registry, topic.event).encode(event)
        registry.close()
        settings = {"bootstrap.servers": self.broker.bootstrap, "partitioner": "murmur2_random"}
        producer = Producer(settings)
        stamp_ms = int((time.time() + ahead_s) * 1000)
        producer.produce(topic.name, value, getattr(event, "market_id", "k").encode(), timestamp=stamp_ms)
        assert producer.flush(60) == 0
        self.published[topic.name] += 1

    def publish_bytes(self, topic: Topic, *pairs: tuple[str, bytes], flush_every: int = 10_000) -> None:
        """Publishes (key, value) and waits until Kafka has them, after each `flush_every`: a batch of Kafka's each."""
        failed: list[object] = []
        publisher = Publisher(
            kafka_at(self.broker.bootstrap), "test", lambda _message, error, _place: failed.append(error)
        )
        for start in range(0, len(pairs), flush_every):
            for key, value in pairs[start : start + flush_every]:
                publisher.publish(topic.name, key.encode(), value)
            assert publisher.flush(60) == 0
        assert failed == []
        self.published[topic.name] += len(pairs)

    def fenced(self, topic: Topic) -> int:
        """Messages of a topic that the store says it has, over all epochs of the topic."""
        return self.count("sum(last_offset + 1)", f"ingest_offsets FINAL WHERE topic = '{topic.name}'")

    def wait_until_taken(self, topic: Topic) -> None:
        """Returns when the store says that it has everything published to a topic."""
        wait_until(lambda: self.fenced(topic) == self.published[topic.name], f"all of {topic.name} taken")

    def count(self, what: str = "count()", table: str = "snapshots") -> int:
        """One number from a table, without FINAL."""
        return int(self.store.rows(f"SELECT {what} FROM {table}")[0][0])

    def log_text(self) -> str:
        """What the sinks said."""
        return self.log_path.read_text()


@pytest.fixture
def stand(broker: Broker, warehouse_port: int, database: ClickHouseSettings, tmp_path: Path) -> Iterator[Stand]:
    """A stand on the folder's warehouse."""
    topics_made_anew(broker.bootstrap, PARTITIONS)
    stand = Stand(broker, FaultyLine(warehouse_port), database, Store(database), tmp_path / "sink.log")
    yield stand
    close_stand(stand)


@pytest.fixture
def stand_with_own_warehouse(broker: Broker, tmp_path: Path) -> Iterator[tuple[Stand, Callable[[bool], None]]]:
    """A stand whose warehouse can be switched off (False) and on (True)."""
    topics_made_anew(broker.bootstrap, PARTITIONS)
    folder, module = tmp_path / "warehouse", "movers.local.warehouse.service"
    port = free_port()  # that it comes back to
    running = [ServiceProcess.start(module, folder, port)]

    def switch(on: bool) -> None:
        if on:
            running[0] = ServiceProcess.start(module, folder, port)
        else:
            running[0].terminate()

    settings = ClickHouseSettings(clickhouse_port=port, clickhouse_database="movers")
    migrate(settings)
    stand = Stand(broker, FaultyLine(port), settings, Store(settings), tmp_path / "sink.log")
    yield stand, switch
    close_stand(stand)
    running[0].terminate()


def assert_stored_once(stand: Stand, ticks: Sequence[Tick]) -> None:
    """Without FINAL, and only when the fence stands after the last message: a late second copy would show."""
    stand.wait_until_taken(TICKS)
    assert stored(stand) == identities(ticks)


def stored(stand: Stand) -> list[tuple[str, int]]:
    """Token and moment of every row of `snapshots`, in order."""
    rows = stand.store.rows("SELECT token_id, toUnixTimestamp64Micro(ts) AS t FROM snapshots ORDER BY token_id, t")
    return [(token, ts) for token, ts in rows]


def identities(ticks: Sequence[Tick]) -> list[tuple[str, int]]:
    """Token and moment of ticks, in order."""
    return sorted((tick.token_id, tick.ts_event_us) for tick in ticks)


def close_stand(stand: Stand) -> None:
    """Ends what a stand started. What its sinks said, but for debug lines, is shown should the test fail."""
    for sink in stand.sinks:
        sink.kill()
    if stand.log_path.exists():
        told = [line for line in stand.log_text().splitlines() if '"level": "debug"' not in line]
        print("the sinks said:", *[line[:300] for line in told if " FAIL [" not in line][-30:], sep="\n")
    stand.store.close()
    stand.line.close()

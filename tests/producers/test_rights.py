"""A right that is taken away while a collector publishes, on a Kafka that asks for rights."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka.admin import AclOperation, ResourceType

from kernel.kafka.link import LinkWatch
from kernel.kafka.publisher import OnUndelivered, Publisher
from kernel.kafka.readers import read_to_end
from kernel.kafka.topics import create_topics
from kernel.process import Process
from producers import publishing
from producers.publishing import SpillingPublisher, opener
from producers.spill import Spill
from schemas.topics import BY_NAME, CATALOGUE
from tests.producers.test_publishing import drain, flowing_again
from tests.stack.processes import KafkaProcess, kafka_at
from tests.stack.rights import ANYWHERE, Rights, guarded_kafka
from tests.stack.waiting import wait_until

pytestmark = pytest.mark.stack

_TOPICS = iter([topic.name for topic in CATALOGUE])


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[KafkaProcess, Rights]]:
    with guarded_kafka(tmp_path_factory.mktemp("guarded") / "a folder") as (node, rights):
        yield node, rights


@pytest.fixture
def topic(guarded: tuple[KafkaProcess, Rights]) -> str:
    """A topic of a test's own."""
    return _made(guarded[0])


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "_PROBE_EVERY_S", 0.2)


class Collector:
    """The publisher of a collector, and what its health says."""

    def __init__(self, rights: Rights, folder: Path) -> None:
        self.process = Process("collector")
        watch = LinkWatch(self.process, "test", "there", can_work=True)
        self.clients = 0
        self._opening = opener(rights.kafka, "test", watch, {"log_level": 0})
        self.publisher = SpillingPublisher(
            "test", self._open, rights.kafka, Spill(folder, 1 << 30), _nothing, watch.refused
        )
        self.published = 0

    def publish(self, topic: str, count: int) -> None:
        """Numbers, going on where it ended."""
        for _ in range(count):
            assert self.publisher.publish(topic, b"k", b"%d" % self.published, ())
            self.published += 1

    def says(self, words: str) -> bool:
        """Whether it is told, after another look at what Kafka says."""
        asyncio.run(self.publisher.pump())
        return words in self.process.health()["away"].get("kafka", "")

    def _open(self, on_undelivered: OnUndelivered) -> Publisher:
        self.clients += 1
        return self._opening(on_undelivered)


@contextmanager
def collecting(rights: Rights, folder: Path) -> Iterator[Collector]:
    """A collector that ends in order."""
    collector = Collector(rights, folder)
    try:
        yield collector
    finally:
        collector.publisher.close(1.0)


def test_a_right_to_write_that_is_taken_away_and_given_back_costs_no_message(
    guarded: tuple[KafkaProcess, Rights], topic: str, tmp_path: Path
) -> None:
    node, rights = guarded
    with collecting(rights, tmp_path) as collector:
        collector.publish(topic, 10)
        asyncio.run(drain(collector.publisher))
        with rights.taken((ResourceType.TOPIC, topic, AclOperation.WRITE)):
            collector.publish(topic, 10)
            wait_until(lambda: collector.says(f"Kafka does not let us write to {topic}"), "it is told")
            collector.publish(topic, 10)
        asyncio.run(flowing_again(collector.publisher))

        assert (collector.publisher.lost, collector.says("Kafka")) == (0, False)
    assert _in_order(_numbers(node, topic)) == list(range(30))


def test_a_collector_that_starts_without_a_right_to_write_anywhere_waits_for_it_and_tells_it_once(
    guarded: tuple[KafkaProcess, Rights], topic: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    node, rights = guarded
    with rights.taken(*ANYWHERE), collecting(rights, tmp_path) as collector:
        collector.publish(topic, 10)
        wait_until(lambda: collector.says("Kafka lets us write nowhere"), "it is told")
        wait_until(lambda: collector.says("Kafka") and collector.clients > 3, "it has tried again")
        collector.publish(topic, 10)
    with collecting(rights, tmp_path) as collector:
        asyncio.run(flowing_again(collector.publisher))

    assert _in_order(_numbers(node, topic)) == list(range(20))
    assert "FATAL" not in caplog.text


def test_what_kafka_takes_does_not_come_again_at_each_try_of_what_it_refuses(
    guarded: tuple[KafkaProcess, Rights], topic: str, tmp_path: Path
) -> None:
    node, rights = guarded
    other = _made(node)
    with collecting(rights, tmp_path) as collector:
        tried = _counting(collector.publisher)
        with rights.taken((ResourceType.TOPIC, topic, AclOperation.WRITE)):
            collector.publish(topic, 1)
            wait_until(lambda: collector.says(topic), "it is told")
            collector.publish(other, 20)
            wait_until(lambda: collector.says(topic) and tried() > 10, "it has tried often")
        asyncio.run(flowing_again(collector.publisher))

    assert _in_order(_numbers(node, other)) == list(range(1, 21))
    assert len(_numbers(node, other)) <= 40, "with the first try of all, and when the right was back"


def test_what_is_too_large_holds_up_nothing_behind_it(
    guarded: tuple[KafkaProcess, Rights], topic: str, tmp_path: Path
) -> None:
    node, rights = guarded
    with collecting(rights, tmp_path) as collector:
        with rights.taken((ResourceType.TOPIC, topic, AclOperation.WRITE)):
            collector.publish(topic, 1)
            wait_until(lambda: collector.says(topic), "it is told")
            assert collector.publisher.publish(topic, b"k", bytes(17 * 1024 * 1024), ()), "what waits is not weighed"
            collector.publish(topic, 5)
        asyncio.run(flowing_again(collector.publisher))

        assert collector.publisher.lost == 1
    assert _in_order(_numbers(node, topic)) == list(range(6))


def _made(node: KafkaProcess) -> str:
    name = next(_TOPICS)
    create_topics(kafka_at(node.bootstrap), [BY_NAME[name]])
    return name


def _numbers(node: KafkaProcess, topic: str) -> list[int]:
    return [int(message.value() or b"") for message in read_to_end(kafka_at(node.bootstrap), topic)]


def _in_order(values: list[int]) -> list[int]:
    """As they first came: each may come twice, none behind a newer one."""
    return list(dict.fromkeys(values))


def _counting(publisher: SpillingPublisher) -> Callable[[], int]:
    """How often it has tried to replay."""
    tries = 0
    replay = publisher._replay

    async def counted() -> None:
        nonlocal tries
        tries += 1
        await replay()

    publisher._replay = counted  # type: ignore[method-assign]
    return lambda: tries


def _nothing(_: object) -> None:
    """Deliveries are seen in the topic."""

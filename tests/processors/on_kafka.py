"""Processors as processes on a real broker and registry, for the tests of this folder."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaException

from kernel.errors import KafkaAwayError
from kernel.kafka.publisher import Publisher
from kernel.kafka.readers import read_to_end
from kernel.kafka.topics import create_topics
from kernel.schema_registry import SchemaRegistry
from schemas.codec import Codec
from schemas.topics import BY_NAME, CATALOGUE, Topic
from tests.stack.environment import child_environment
from tests.stack.ports import free_port
from tests.stack.processes import KafkaProcess, ServiceProcess, kafka_at
from tests.stack.waiting import wait_until


@dataclass
class Stack:
    """A broker of this file alone, the registry, and the processors that run on them."""

    bootstrap: str
    registry_url: str
    registry: SchemaRegistry
    folder: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    others: dict[str, Topic] = field(default_factory=dict)
    """Topics that are not in the catalogue."""

    def start(self, name: str, *command: str) -> None:
        """Starts a processor as the supervisor does, or another command under that name."""
        self.ports.setdefault(name, free_port())
        settings = {
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap,
            "SCHEMA_REGISTRY_URL": self.registry_url,
            "STATE_DIR": str(self.folder / "state" / name),
            "METRICS_PORT": str(self.ports[name]),
            "ALERT_THRESHOLD_PP": "10",
            "MIN_VOLUME_24H": "1000",
            "MAX_SPREAD_PP": "5",
        }
        env = child_environment(settings)
        argv = [sys.executable, "-m", *(command or ("movers", "process", name))]
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(argv, env=env, cwd=self.folder, stdout=log, stderr=log)

    def log(self, name: str) -> str:
        """End of a processor's log."""
        return (self.folder / f"{name}.log").read_text()[-3000:]

    def codec(self, topic: str) -> Codec[Any]:
        """Codec of a topic."""
        known = self.others.get(topic) or BY_NAME[topic]
        return Codec(known, self.registry, known.event)

    def publish(self, topic: str, events: list[Any], *, to: str = "") -> None:
        """Publishes events of a topic, with headers as the producers set them; `to` another name of it."""
        codec, publisher = self.codec(topic), self.publisher()
        for event in events:
            headers = [("venue", event.venue.encode()), ("category", b"climate")]
            publisher.publish(to or topic, event.market_id.encode(), codec.encode(event), headers)
        assert publisher.flush(60) == 0

    def publisher(self) -> Publisher:
        """A publisher that tolerates no loss."""
        return Publisher(kafka_at(self.bootstrap), "test", lambda _message, error, _place: pytest.fail(error.str()))

    def read(self, topic: str) -> list[Any]:
        """All events of a topic."""
        codec = self.codec(topic)
        return [codec.decode(m.value()) for m in read_to_end(kafka_at(self.bootstrap), topic)]

    def wait_for(self, topic: str, what: str, enough: Callable[[list[Any]], bool], timeout_s: float = 90) -> list[Any]:
        """Reads a topic until it holds enough."""
        events: list[Any] = []

        def reached() -> bool:
            for name, process in self.running.items():
                assert process.poll() is None, f"{name} ended: {self.log(name)}"
            try:
                events[:] = self.read(topic)
            except (KafkaException, KafkaAwayError):  # a broker that is coming back, or busy: not known now
                return False
            return enough(events)

        wait_until(reached, what, timeout_s)
        return events

    def end(self) -> None:
        """Ends every processor that still runs."""
        for process in self.running.values():
            if process.poll() is None:
                process.terminate()
                process.wait(90)


@contextmanager
def on_own_kafka(folder: Path, registry: ServiceProcess, partitions: int) -> Iterator[tuple[KafkaProcess, Stack]]:
    """A broker of whoever asks alone, with our topics, and what runs on it. All of it ends with him."""
    node = KafkaProcess(folder / "node")
    client = SchemaRegistry(registry.url)
    client.register(CATALOGUE)
    create_topics(kafka_at(node.bootstrap, partitions))
    stack = Stack(node.bootstrap, registry.url, client, folder)
    try:
        yield node, stack
    finally:
        stack.end()
        node.stop()
        client.close()

"""Each subscriber of examples/subscribers, run as it stands against a real broker and registry."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from kernel.kafka.publisher import Publisher
from kernel.kafka.topics import create_topics
from kernel.schema_registry import SchemaRegistry
from kernel.settings import KafkaSettings
from schemas.codec import Codec
from schemas.events import Alert
from schemas.topics import ALERTS, CATALOGUE
from tests.schemas.test_examples import load
from tests.stack.processes import Child, KafkaProcess, ServiceProcess, kafka_stack, registry, stack_dir, wait_until

__all__ = ["kafka_stack", "registry", "stack_dir"]

pytestmark = pytest.mark.stack
FOLDER = Path(__file__).resolve().parents[2] / "examples" / "subscribers"
EXAMPLE = Path(__file__).resolve().parents[2] / "schemas" / "examples" / "alerts" / "v1" / "detected.json"
MARKETS = ("POLY:0xa", "KALSHI:B", "KALSHI:C")


@dataclass
class Stack:
    """A stack with three alerts on its topic."""

    kafka: str
    registry: str
    event_ids: list[str]

    def environment(self, group: str) -> dict[str, str]:
        """What leads a subscriber to it."""
        return {"KAFKA_BOOTSTRAP_SERVERS": self.kafka, "SCHEMA_REGISTRY_URL": self.registry, "GROUP": group}


@pytest.fixture(scope="package")
def stack(kafka_stack: KafkaProcess, registry: ServiceProcess) -> Iterator[Stack]:
    """Topics, schemas and alerts, compressed as ours are."""
    settings = KafkaSettings(kafka_bootstrap_servers=kafka_stack.bootstrap, kafka_partitions=2)
    create_topics(settings)
    client = SchemaRegistry(registry.url)
    client.register(CATALOGUE)
    codec = Codec(ALERTS, client, Alert)
    publisher = Publisher(settings, "examples", lambda _message, error, _place: pytest.fail(str(error)))
    example = codec._from_record(load(EXAMPLE))
    ids = [f"{number:024d}" for number in range(len(MARKETS))]
    for event_id, market_id in zip(ids, MARKETS, strict=True):
        alert = replace(example, event_id=event_id, market_id=market_id)
        publisher.publish(ALERTS.name, market_id.encode(), codec.encode(alert), [("venue", alert.venue.encode())])
    assert publisher.flush(60) == 0
    yield Stack(kafka_stack.bootstrap, registry.url, ids)
    client.close()


@pytest.fixture
def run(stack: Stack, tmp_path: Path) -> Iterator[Callable[..., Child]]:
    """Starts a subscriber; it is ended with the test."""
    children: list[Child] = []

    def start(name: str, argv: list[str], cwd: Path = FOLDER) -> Child:
        child = Child(argv, tmp_path / f"{name}.log", {**stack.environment(f"test-{name}"), "HOME": str(tmp_path)}, cwd)
        children.append(child)
        return child

    yield start
    for child in children:
        child.kill()


def test_python_with_confluent_kafka(stack: Stack, run: Callable[..., Child]) -> None:
    child = run("python", [sys.executable, "-u", str(FOLDER / "alerts.py")])

    wait_until(lambda: all(event_id in child.said for event_id in stack.event_ids), "all alerts", ended=child.ended)


def test_the_python_example_fits_thirty_lines() -> None:
    lines = [line for line in (FOLDER / "alerts.py").read_text("utf-8").splitlines() if line.strip()]

    assert len(lines) <= 30


def test_quix_streams(stack: Stack, run: Callable[..., Child], tmp_path: Path) -> None:
    child = run("quix", [sys.executable, "-u", str(FOLDER / "alerts_quix.py")], tmp_path)

    wait_until(lambda: all(event_id in child.said for event_id in stack.event_ids), "all alerts", ended=child.ended)


def test_kcat(stack: Stack, run: Callable[..., Child]) -> None:
    if shutil.which("kcat") is None:
        pytest.skip("no kcat on this machine; Debian: apt-get install kcat")
    child = run("kcat", ["sh", str(FOLDER / "alerts_kcat.sh")])

    wait_until(lambda: all(market_id in child.said for market_id in MARKETS), "all alerts", ended=child.ended)


def test_go(stack: Stack, run: Callable[..., Child], tmp_path: Path) -> None:
    if shutil.which("go") is None:
        pytest.skip("no Go on this machine")
    program = tmp_path / "alerts"
    built = run("go-build", ["go", "build", "-o", str(program), "."], FOLDER / "go")
    wait_until(lambda: not built.running, "go build", 240)
    assert program.exists(), built.said
    child = run("go", [str(program)])

    wait_until(lambda: all(event_id in child.said for event_id in stack.event_ids), "all alerts", ended=child.ended)

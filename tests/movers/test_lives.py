"""Every process of ours lives the same way: a taken port is one line, and health says what is away."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from kernel.kafka.topics import create_topics
from kernel.schema_registry import SchemaRegistry
from kernel.settings import ClickHouseSettings
from schemas.topics import CATALOGUE
from sinks.clickhouse.migrate import migrate
from tests.stack.ports import free_port
from tests.stack.processes import KafkaProcess, ServiceProcess, child_environment, kafka_at
from tests.stack.waiting import wait_until

PROCESSES = {
    "produce-kalshi": ("produce", "kalshi"),
    "process-analytics": ("process", "analytics"),
    "sink-clickhouse": ("sink", "clickhouse"),
}
"""Each kind of process once."""

WORKS_WITHOUT_KAFKA = {"produce-kalshi"}


@pytest.mark.parametrize("name", PROCESSES)
def test_a_taken_metrics_port_is_one_clear_line(name: str, tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = str(listener.getsockname()[1])
        result = subprocess.run(
            [sys.executable, "-m", "movers", *PROCESSES[name]],
            env=child_environment({"MOVERS_HOME": str(tmp_path / "home"), "METRICS_PORT": port}),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    assert f"METRICS_PORT {port}" in result.stderr.splitlines()[-1]
    assert [line for line in result.stderr.splitlines() if not line.startswith("{")] == []


@pytest.mark.parametrize("given", [{"METRICS_HOST": "0.0.0.0", "METRICS_PORT": "1"}, {"KAFKA_PARTITIONS": "none"}])
def test_what_ends_a_process_is_told_as_all_else_in_its_log(given: dict[str, str], tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "movers", "produce", "kalshi"],
        env=child_environment({"MOVERS_HOME": str(tmp_path / "home"), **given}),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    told = json.loads(result.stderr.splitlines()[-1])
    assert (result.returncode, told["event"], told["level"]) == (2, "failed", "error")
    assert (told["process"], told.keys()) == ("produce-kalshi", {"process", "timestamp", "event", "level", "detail"})


class Lives:
    """Each process once, on one stack."""

    def __init__(self, folder: Path, settings: dict[str, str], running: ExitStack) -> None:
        self.ports = {name: free_port() for name in PROCESSES}
        self._folder = folder
        for name, command in PROCESSES.items():
            environment = child_environment({**settings, "METRICS_PORT": str(self.ports[name])})
            with (folder / f"{name}.log").open("wb") as log:
                process = subprocess.Popen(
                    [sys.executable, "-m", "movers", *command], env=environment, cwd=folder, stderr=log, stdout=log
                )
            running.callback(process.wait, 90)
            running.callback(process.terminate)

    def health(self, name: str) -> httpx.Response:
        """What a process says of itself."""
        return httpx.get(f"http://127.0.0.1:{self.ports[name]}/health", trust_env=False, timeout=5)

    def wait_for(self, name: str, ok: bool, away: set[str]) -> None:
        """Returns once the health of a process is so."""

        def so() -> bool:
            try:
                answer = self.health(name)
            except httpx.TransportError:
                return False
            return (answer.status_code == 200, set(answer.json()["away"])) == (ok, away)

        wait_until(so, f"{name}: ok {ok}, away {away}; log: {self.log(name)[-1500:]}")

    def log(self, name: str) -> str:
        """The log of a process."""
        return (self._folder / f"{name}.log").read_text()

    def said_of_kafka(self, name: str) -> list[str]:
        """Lines of a process's log that a person reads as news of Kafka, beside the two that it is to say."""
        return [
            line
            for line in self.log(name).splitlines()
            if re.search(r"kafka|broker|rdkafka", line, re.IGNORECASE)
            and not re.search(r'"level": "(info|debug)"|"event": "need_(away|back)"', line)
        ]

    def told(self, name: str, event: str) -> list[str]:
        """Which needs a process said were away (or back), in order."""
        lines = [json.loads(line) for line in self.log(name).splitlines() if line.startswith("{")]
        return [line["need"] for line in lines if line.get("event") == event]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[KafkaProcess]:
    """A Kafka node of this test alone: it is stopped and started again."""
    node = KafkaProcess(tmp_path / "a node")
    yield node
    node.stop()


@pytest.mark.stack
def test_with_kafka_away_health_says_so_until_it_is_back(
    tmp_path: Path, node: KafkaProcess, registry: ServiceProcess, warehouse: ServiceProcess
) -> None:
    create_topics(kafka_at(node.bootstrap, 2))
    client = SchemaRegistry(registry.url)
    client.register(CATALOGUE)
    client.close()
    migrate(ClickHouseSettings(clickhouse_port=warehouse.port))
    settings = {
        "MOVERS_HOME": str(tmp_path / "home"),
        "KAFKA_BOOTSTRAP_SERVERS": node.bootstrap,
        "SCHEMA_REGISTRY_URL": registry.url,
        "CLICKHOUSE_PORT": str(warehouse.port),
        "KALSHI_API_URL": "http://127.0.0.1:1",
        "SPILL_DIR": str(tmp_path / "spill"),
        "STATE_DIR": str(tmp_path / "state"),
    }
    with ExitStack() as running:
        lives = Lives(tmp_path, settings, running)
        for name in PROCESSES:
            lives.wait_for(name, ok=True, away=set())

        node.kill()

        for name in PROCESSES:
            lives.wait_for(name, ok=name in WORKS_WITHOUT_KAFKA, away={"kafka"})
        node.restart()
        for name in PROCESSES:
            lives.wait_for(name, ok=True, away=set())
            assert lives.told(name, "need_away") == ["kafka"], lives.log(name)
            assert lives.told(name, "need_back") == ["kafka"], lives.log(name)
            assert lives.said_of_kafka(name) == []

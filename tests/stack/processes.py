"""The one-machine stack for tests: real processes on free ports, in folders whose names have a space.

`kafka_stack`, `registry` and `warehouse` are shared by the tests of one folder; tests that kill a process start their
own with `ServiceProcess.start` or `KafkaProcess`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from movers.local.broker.node import LocalKafka
from movers.local.ports import free_port

REPO = Path(__file__).resolve().parents[2]
JAR_CACHE = REPO / ".movers" / "cache"


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = 30.0) -> None:
    """Polls until `condition` holds; fails the test after `timeout_s`."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline_s:
            pytest.fail(f"not within {timeout_s:.0f} s: {what}")
        time.sleep(0.02)


@dataclass
class ServiceProcess:
    """A running `python -m movers.local.<module>`."""

    process: subprocess.Popen[bytes]
    url: str
    folder: Path
    log: Path

    @classmethod
    def start(cls, module: str, folder: Path, port: int = 0) -> ServiceProcess:
        """Starts the module and waits for its ready line."""
        log = folder.parent / f"{module.rpartition('.')[2]}.{time.monotonic_ns()}.log"
        folder.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", module, "--port", str(port), "--data", str(folder)]
        with log.open("wb") as stderr:
            process = subprocess.Popen(command, stderr=stderr, stdout=stderr, cwd=REPO)
        service = cls(process, "", folder, log)
        wait_until(lambda: service._read_ready() or process.poll() is not None, f"{module} is ready")
        if not service.url:
            pytest.fail(f"{module} ended with {process.returncode}: {log.read_text()[-800:]}")
        return service

    @property
    def port(self) -> int:
        """Its port on 127.0.0.1."""
        return int(self.url.rpartition(":")[2])

    def terminate(self, timeout_s: float = 20.0) -> int:
        """Sends SIGTERM and returns the exit code."""
        self.process.terminate()
        return self.process.wait(timeout_s)

    def kill(self) -> None:
        """Sends SIGKILL."""
        self.process.kill()
        self.process.wait(20)

    def _read_ready(self) -> bool:
        for line in self.log.read_text().splitlines():
            event: dict[str, Any] = json.loads(line) if line.startswith("{") else {}
            if event.get("event") == "ready":
                self.url = event["address"]
        return bool(self.url)


class KafkaProcess:
    """A Kafka node of the tests."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.kafka = LocalKafka(folder / "kafka data", JAR_CACHE, free_port(), free_port())
        self.kafka.prepare(lambda _message: None)
        self._log = folder / "kafka.log"
        self.process = self._start()

    @property
    def bootstrap(self) -> str:
        """`bootstrap.servers`"""
        return self.kafka.bootstrap

    def kill(self) -> None:
        """Sends SIGKILL."""
        self.process.kill()
        self.process.wait(20)

    def restart(self) -> None:
        """Starts the node again on its folder and waits until it works."""
        self.process = self._start()

    def stop(self) -> int:
        """Sends SIGTERM, frees the folder and returns the exit code."""
        self.process.terminate()
        code = self.process.wait(30)
        self.kafka.release()
        return code

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as output:
            process = subprocess.Popen(
                self.kafka.argv(), env={**os.environ, **self.kafka.env()}, stdout=output, stderr=output
            )
        self.kafka.wait_ready(90)
        return process


@pytest.fixture(scope="package")
def stack_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a space in its name."""
    folder = tmp_path_factory.mktemp("stack") / "a folder"
    folder.mkdir()
    return folder


@pytest.fixture(scope="package")
def warehouse(stack_dir: Path) -> Iterator[ServiceProcess]:
    """A warehouse; connect with `clickhouse_connect.get_client(host="127.0.0.1", port=warehouse.port)`."""
    service = ServiceProcess.start("movers.local.warehouse.service", stack_dir / "warehouse data")
    yield service
    assert service.terminate() == 0, service.log.read_text()[-800:]


@pytest.fixture(scope="package")
def registry(stack_dir: Path) -> Iterator[ServiceProcess]:
    """An empty schema registry."""
    service = ServiceProcess.start("movers.local.registry.service", stack_dir / "registry data")
    yield service
    assert service.terminate() == 0, service.log.read_text()[-800:]


@pytest.fixture(scope="package")
def kafka_stack(stack_dir: Path) -> Iterator[KafkaProcess]:
    """A Kafka node without topics."""
    node = KafkaProcess(stack_dir / "node")
    yield node
    node.stop()

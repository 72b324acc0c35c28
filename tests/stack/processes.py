"""The one-machine stack for tests: real processes on free ports, in folders whose names have a space.

`kafka_stack`, `registry` and `warehouse` are shared by the tests of one folder; tests that kill a process start their
own with `ServiceProcess.start`, `SimulatorProcess.start`, `MoversProcess.start` or `KafkaProcess`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import pytest

from kernel.settings import KafkaSettings
from movers.local.broker.node import LocalKafka, LockedDoor
from tests.stack.class_archive import ClassArchive
from tests.stack.environment import child_environment as child_environment
from tests.stack.ports import free_port
from tests.stack.waiting import PATIENCE_S
from tests.stack.waiting import wait_until as wait_until

REPO = Path(__file__).resolve().parents[2]
JAR_CACHE = REPO / ".movers" / "cache"


def kafka_at(bootstrap: str, partitions: int = 1) -> KafkaSettings:
    """Settings of a Kafka without a lock on its door; topics made with them have so many partitions."""
    return KafkaSettings(kafka_bootstrap_servers=bootstrap, kafka_partitions=partitions)


class Child:
    """A process of a test's own: a log file, an end by SIGTERM or SIGKILL, always reaped."""

    def __init__(
        self, argv: list[str], log: Path, settings: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> None:
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                argv,
                env=child_environment(settings or {}),
                cwd=cwd or REPO,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    @property
    def said(self) -> str:
        """All it has said, on both streams."""
        return self.log.read_text(errors="replace")

    def ended(self) -> str | None:
        """Why nothing more is to be expected of it, or None while it runs."""
        return None if self.running else f"ended with {self.process.returncode}: {self.said[-1500:]}"

    def terminate(self, timeout_s: float = 30.0) -> int:
        """Sends SIGTERM and returns the exit code."""
        if self.running:
            self.process.terminate()
        return self.process.wait(timeout_s)

    def kill(self) -> None:
        """Sends SIGKILL and reaps it."""
        if self.running:
            self.process.kill()
        self.process.wait(90)

    def suspend(self) -> None:
        """Stands still, as on a laptop whose lid was shut."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Goes on."""
        self.process.send_signal(signal.SIGCONT)


class MoversProcess(Child):
    """A running `movers …` with its port for /health and /metrics."""

    metrics_port: int

    @classmethod
    def start(
        cls, *arguments: str, log: Path, settings: Mapping[str, str], cwd: Path | None = None, port: int = 0
    ) -> MoversProcess:
        """Starts the command, as the supervisor does. Does not wait for its health."""
        port = port or free_port()
        given = {"METRICS_PORT": str(port), **settings}
        child = cls([sys.executable, "-m", "movers", *arguments], log, given, cwd)
        child.metrics_port = port
        return child

    def health(self) -> dict[str, Any]:
        """What it says of itself; empty while it does not answer."""
        try:
            told: dict[str, Any] = httpx.get(
                f"http://127.0.0.1:{self.metrics_port}/health", trust_env=False, timeout=5
            ).json()
        except (httpx.HTTPError, ValueError):
            return {}
        return told

    @property
    def healthy(self) -> bool:
        """Whether it says that it does its work."""
        return bool(self.health().get("ok"))


class ServiceProcess(Child):
    """A running `python -m movers.local.<module>`."""

    url: str
    folder: Path

    @classmethod
    def start(
        cls, module: str, folder: Path, port: int = 0, settings: Mapping[str, str] | None = None
    ) -> ServiceProcess:
        """Starts the module and waits for its ready line."""
        log = folder.parent / f"{module.split('.')[2]}.{time.monotonic_ns()}.log"
        child = cls([sys.executable, "-m", module, "--port", str(port), "--data", str(folder)], log, settings)
        child.url, child.folder = "", folder
        wait_until(child._read_ready, f"{module} is ready", ended=child.ended)
        return child

    @property
    def port(self) -> int:
        """Its port on 127.0.0.1."""
        return int(self.url.rpartition(":")[2])

    def _read_ready(self) -> bool:
        for line in self.said.splitlines():
            event: dict[str, Any] = {}
            with contextlib.suppress(ValueError):  # half a line, or a library's words
                event = json.loads(line) if line.startswith("{") else {}
            if event.get("event") == "ready":
                self.url = event["address"]
        return bool(self.url)


class SimulatorProcess(Child):
    """Running simulated venues."""

    url: str

    @property
    def port(self) -> int:
        """Its port."""
        return int(self.url.rpartition(":")[2])

    @classmethod
    def start(cls, log: Path, *arguments: str, port: int = 0) -> SimulatorProcess:
        """Starts them and waits until they answer. The arguments are those of `movers simulate`."""
        child = cls([sys.executable, "-m", "simulator.server", "--port", str(port), *arguments], log)
        found: list[str] = []

        def ready() -> bool:
            found[:] = re.findall(r"http://[\d.]+:\d+", child.said)
            return bool(found)

        wait_until(ready, "the simulator is ready", ended=child.ended)
        child.url = found[-1]
        return child

    def ask(self, path: str, body: object | None = None) -> dict[str, Any]:
        """Asks `/simulator/<path>`; with a body, orders."""
        url = f"{self.url}/simulator/{path}"
        answer = (
            httpx.get(url, trust_env=False, timeout=60)
            if body is None
            else httpx.post(url, json=body, trust_env=False, timeout=60)
        )
        told: dict[str, Any] = answer.raise_for_status().json()
        return told

    def venue_settings(self) -> dict[str, str]:
        """Settings that lead the collectors here."""
        return {
            "POLYMARKET_GAMMA_URL": f"{self.url}/gamma",
            "POLYMARKET_CLOB_URL": f"{self.url}/clob",
            "POLYMARKET_WS_URL": f"{self.url.replace('http', 'ws', 1)}/poly-ws/ws/market",
            "POLYMARKET_WITNESS_URL": f"{self.url.replace('http', 'ws', 1)}/poly-bolt/ws",
            "POLYMARKET_REQUESTS_PER_S": "500",
            "KALSHI_API_URL": f"{self.url}/kalshi/trade-api/v2",
            "KALSHI_WS_URL": f"{self.url.replace('http', 'ws', 1)}/kalshi/trade-api/ws/v2",
            "KALSHI_REQUESTS_PER_S": "500",
        }


class _Node(LocalKafka):
    """A node that tells its clients another port than its own."""

    def __init__(
        self,
        data_dir: Path,
        cache_dir: Path,
        port: int,
        controller_port: int,
        reached_at: int,
        doors: Sequence[LockedDoor],
        more: Mapping[str, str],
    ) -> None:
        super().__init__(data_dir, cache_dir, port, controller_port, doors=doors)
        self._reached_at = reached_at
        self._more = more
        self.classes = ClassArchive(cache_dir)

    def properties(self) -> dict[str, str | int]:
        own = super().properties()
        told = str(own["advertised.listeners"]).replace(f"127.0.0.1:{self.port}", f"127.0.0.1:{self._reached_at}", 1)
        return {**own, "advertised.listeners": told, **self._more}

    def _java_command(self) -> list[str]:
        return self.classes.faster(super()._java_command())

    def _format(self) -> None:
        """As the product does, once for each set of jars; later folders get a copy, under a cluster id of their own.

        Not where users are written into the storage.
        """
        if self._doors:
            super()._format()
            return
        jars = "\0".join(jar.name for jar in self._jars)
        model = self.cache_dir / f"kafka-storage-{hashlib.sha256(jars.encode()).hexdigest()[:16]}"
        if not model.exists():
            super()._format()
            copy = model.with_suffix(f".{os.getpid()}")
            shutil.copytree(self.log_dir, copy)
            with contextlib.suppress(OSError):  # another run was first
                copy.rename(model)
            shutil.rmtree(copy, ignore_errors=True)
            return
        shutil.copytree(model, self.log_dir, dirs_exist_ok=True)
        facts = self.log_dir / "meta.properties"
        facts.write_text(re.sub("(?m)^cluster.id=.*$", f"cluster.id={self.cluster_id}", facts.read_text()))


class KafkaProcess:
    """A Kafka node of the tests."""

    def __init__(
        self,
        folder: Path,
        *,
        reached_at: int | None = None,
        port: int | None = None,
        doors: Sequence[LockedDoor] = (),
        more: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Starts it. `reached_at` is the port that clients are led to, when a `Link` stands before the node; `more` are
        settings of the broker beyond the product's."""
        port = port or free_port()
        self.kafka = _Node(folder / "kafka data", JAR_CACHE, port, free_port(), reached_at or port, doors, more)
        self.kafka.prepare(lambda _message: None)
        self._log = folder / "kafka.log"
        self._child = self._start()

    @property
    def bootstrap(self) -> str:
        """`bootstrap.servers`"""
        return self.kafka.bootstrap

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The node as a process."""
        return self._child.process

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._child.running

    def kill(self) -> None:
        """Sends SIGKILL."""
        self._child.kill()

    def suspend(self) -> None:
        """Stands still."""
        self._child.suspend()

    def resume(self) -> None:
        """Goes on."""
        self._child.resume()

    def restart(self) -> None:
        """Starts the node again on its folder and waits until it works."""
        self._child = self._start()

    def stop(self) -> int:
        """Sends SIGTERM, frees the folder and returns the exit code."""
        code = self._child.terminate()
        self.kafka.release()
        return code

    def _start(self) -> Child:
        child = Child(self.kafka.argv(), self._log)
        self.kafka.wait_ready(2 * PATIENCE_S)
        self.kafka.classes.make()
        return child


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
    assert service.terminate() == 0, service.said[-800:]


@pytest.fixture(scope="package")
def registry(stack_dir: Path) -> Iterator[ServiceProcess]:
    """An empty schema registry."""
    service = ServiceProcess.start("movers.local.registry.service", stack_dir / "registry data")
    yield service
    assert service.terminate() == 0, service.said[-800:]


@pytest.fixture(scope="package")
def kafka_stack(stack_dir: Path) -> Iterator[KafkaProcess]:
    """A Kafka node without topics."""
    node = KafkaProcess(stack_dir / "node")
    yield node
    node.stop()

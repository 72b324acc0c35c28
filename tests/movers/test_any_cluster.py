"""Every process of ours through TLS and a login: to Kafka, to the schema registry and to the store.

Kafka is the real one, with a door of TLS and SASL; before registry and warehouse stands a door of TLS and basic
authorization. What is refused there is one clear line here.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from dashboard.toasts import AlertFeed
from kernel.settings import Settings
from movers.local.broker.node import LockedDoor
from movers.local.ports import free_port
from tests.stack.certificates import Authority
from tests.stack.processes import KafkaProcess, MoversProcess, ServiceProcess, SimulatorProcess, child_environment
from tests.stack.tls_front import TlsFront
from tests.stack.waiting import wait_until

pytestmark = pytest.mark.stack

USER, PASSWORD = "movers", "canary-9f3e"


@dataclass(frozen=True, slots=True)
class Cluster:
    """A locked cluster, the settings that open it, and doors with an expired certificate."""

    folder: Path
    settings: dict[str, str]
    other_ca: Path
    expired: dict[str, str]

    def command(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """A command of ours, as a user runs it."""
        return subprocess.run(
            [sys.executable, "-m", "movers", *arguments],
            cwd=self.folder,
            env=child_environment({**self.settings, **settings}),
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )


@pytest.fixture(scope="module")
def cluster(
    tmp_path_factory: pytest.TempPathFactory, registry: ServiceProcess, warehouse: ServiceProcess
) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    authority, stranger = Authority(folder, "ca"), Authority(folder, "stranger")
    good, expired = authority.issue("good"), authority.issue("expired", expired=True)
    doors = [LockedDoor(port=free_port(), keystore=store, users={USER: PASSWORD}) for store in (good, expired)]
    login = (USER, PASSWORD)
    with ExitStack() as until_end:
        node = KafkaProcess(folder / "a node", doors=doors)
        until_end.callback(node.stop)
        registry_door, old_registry_door, store_door, old_store_door = (
            until_end.enter_context(TlsFront(service.port, keystore, login))
            for service in (registry, warehouse)
            for keystore in (good, expired)
        )
        ca = str(authority.ca_file)
        yield Cluster(
            folder,
            settings={
                "MOVERS_HOME": str(folder / "home"),
                "STATE_DIR": str(folder / "state"),
                "SPILL_DIR": str(folder / "spill"),
                "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{doors[0].port}",
                "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
                "KAFKA_USERNAME": USER,
                "KAFKA_PASSWORD": PASSWORD,
                "KAFKA_CA_FILE": ca,
                "KAFKA_PARTITIONS": "2",
                "SCHEMA_REGISTRY_URL": f"https://127.0.0.1:{registry_door.port}",
                "SCHEMA_REGISTRY_USERNAME": USER,
                "SCHEMA_REGISTRY_PASSWORD": PASSWORD,
                "SCHEMA_REGISTRY_CA_FILE": ca,
                "CLICKHOUSE_PORT": str(store_door.port),
                "CLICKHOUSE_SECURE": "true",
                "CLICKHOUSE_CA_FILE": ca,
                "CLICKHOUSE_USER": USER,
                "CLICKHOUSE_PASSWORD": PASSWORD,
                "CLICKHOUSE_DATABASE": "locked",
            },
            other_ca=stranger.ca_file,
            expired={
                "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{doors[1].port}",
                "SCHEMA_REGISTRY_URL": f"https://127.0.0.1:{old_registry_door.port}",
                "CLICKHOUSE_PORT": str(old_store_door.port),
            },
        )


@pytest.fixture(scope="module")
def prepared(cluster: Cluster) -> Cluster:
    """With topics, schemas and tables, made through the doors."""
    for arguments in (("topics", "create"), ("schemas", "register"), ("migrate",)):
        done = cluster.command(*arguments)
        assert done.returncode == 0, done.stderr
    return cluster


def test_the_whole_pipeline_runs_through_locked_doors_and_no_log_shows_a_secret(prepared: Cluster) -> None:
    folder = prepared.folder
    with ExitStack() as until_end:
        venue = SimulatorProcess.start(folder / "simulator.log", "--markets", "40", "--since", "1h", "--speed", "120")
        until_end.callback(venue.terminate)
        settings = {**prepared.settings, "KALSHI_API_URL": f"{venue.url}/kalshi/trade-api/v2", "MIN_VOLUME_24H": "0"}
        running = {
            name: MoversProcess.start(*arguments, log=folder / f"{name}.log", settings=settings, cwd=folder)
            for name, arguments in {
                "produce": ("produce", "kalshi"),
                "process": ("process", "analytics"),
                "sink": ("sink", "clickhouse"),
            }.items()
        }
        for process in running.values():
            until_end.callback(process.terminate)

        def stored(table: str) -> int:
            done = prepared.command("sql", "--json", f"SELECT count() AS n FROM {table}")
            return int(json.loads(done.stdout)["n"]) if done.returncode == 0 else 0

        for table in ("snapshots", "movers_latest", "ohlcv_1m"):
            wait_until(lambda table=table: stored(table) > 0, f"rows in {table}", 120)  # type: ignore[misc]
        for name, process in running.items():
            wait_until(lambda process=process: bool(process.health().get("ok")), f"{name} is healthy", 30)  # type: ignore[misc]
        feed = AlertFeed(Settings(settings).kafka)
        until_end.callback(feed.close)
        wait_until(lambda: feed.state == "live", "the dashboard follows the alerts", 30)
    shown = [prepared.command("config").stdout, *(process.said for process in running.values())]
    assert not [text for text in shown if PASSWORD in text]


def test_plain_passwords_do_as_well(prepared: Cluster) -> None:
    done = prepared.command("topics", "create", KAFKA_SASL_MECHANISM="PLAIN")

    assert (done.returncode, done.stdout) == (0, "all topics exist\n"), done.stderr


COMMANDS: dict[str, list[tuple[str, ...]]] = {
    "kafka": [("produce", "kalshi"), ("process", "analytics"), ("sink", "clickhouse"), ("topics", "create")],
    "registry": [("produce", "kalshi"), ("process", "analytics"), ("schemas", "register")],
    "store": [("sink", "clickhouse"), ("migrate",), ("sql", "SELECT 1")],
}
WRONG_PASSWORD = {
    "kafka": {"KAFKA_PASSWORD": "canary-wrong"},
    "registry": {"SCHEMA_REGISTRY_PASSWORD": "canary-wrong"},
    "store": {"CLICKHOUSE_PASSWORD": "canary-wrong"},
}
CA = {"kafka": "KAFKA_CA_FILE", "registry": "SCHEMA_REGISTRY_CA_FILE", "store": "CLICKHOUSE_CA_FILE"}
ADDRESS = {"kafka": "KAFKA_BOOTSTRAP_SERVERS", "registry": "SCHEMA_REGISTRY_URL", "store": "CLICKHOUSE_PORT"}
EACH = [(part, command) for part, commands in COMMANDS.items() for command in commands]
each = pytest.mark.parametrize(("part", "command"), EACH, ids=[f"{part}-{' '.join(c)}" for part, c in EACH])


def assert_one_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1].lower()
    assert [word for word in words if word not in last] == [], last
    assert "canary" not in done.stderr


@each
def test_a_wrong_password_is_one_clear_line(prepared: Cluster, part: str, command: tuple[str, ...]) -> None:
    assert_one_line(
        prepared.command(*command, **WRONG_PASSWORD[part]), "authentication" if part != "registry" else "login"
    )


@each
def test_an_unknown_ca_is_one_clear_line(prepared: Cluster, part: str, command: tuple[str, ...]) -> None:
    assert_one_line(prepared.command(*command, **{CA[part]: str(prepared.other_ca)}), "certificate")


@each
def test_an_expired_certificate_is_one_clear_line(prepared: Cluster, part: str, command: tuple[str, ...]) -> None:
    done = prepared.command(*command, **{ADDRESS[part]: prepared.expired[ADDRESS[part]]})

    assert_one_line(done, "certificate", "expired")

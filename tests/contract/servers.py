"""Which servers the contracts are asked of: ours always, others where they are named or can be started.

`CONTRACT_KAFKA=host:port`, `CONTRACT_REGISTRY=http://host:port` and `CONTRACT_CLICKHOUSE=http://user:password@host:port`
name servers of somebody's. Where a Docker engine answers, Redpanda and ClickHouse are started; where none does, those
tests are skipped, unless `MOVERS_REQUIRE_DOCKER=1` says that this must not happen.
"""

from __future__ import annotations

import os
import socket
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from pydantic import SecretStr

from kernel.settings import ClickHouseSettings, KafkaSettings

SERVERS = ("ours", "named", "container")
COMPOSE_FILE = Path(__file__).resolve().parents[2] / "docker-compose.yml"


def image(service: str) -> str:
    """What docker-compose.yml runs, unless the variable that it reads names another."""
    written = yaml.safe_load(COMPOSE_FILE.read_text("utf-8"))["services"][service]["image"]
    variable, _, default = written.removeprefix("${").removesuffix("}").partition(":-")
    return os.environ.get(variable) or str(default)


def named(variable: str) -> str:
    """The server that a variable names; skips where it names none."""
    server = os.environ.get(variable, "")
    if not server:
        pytest.skip(f"{variable} names no server")
    return server


def kafka_named() -> KafkaSettings:
    """Somebody's Kafka."""
    return KafkaSettings(kafka_bootstrap_servers=named("CONTRACT_KAFKA"))


def warehouse_at(url: str) -> ClickHouseSettings:
    """Settings of a ClickHouse from its address."""
    parts = urlsplit(url)
    return ClickHouseSettings(
        clickhouse_host=parts.hostname or "127.0.0.1",
        clickhouse_port=parts.port or 8123,
        clickhouse_user=parts.username or "default",
        clickhouse_password=SecretStr(parts.password or ""),
    )


@contextmanager
def redpanda() -> Iterator[tuple[str, str]]:
    """A Redpanda in a container: its bootstrap servers and its registry's address."""
    _require_docker()
    from testcontainers.kafka import RedpandaContainer

    with _container(lambda: RedpandaContainer(image("redpanda"))) as running:
        yield running.get_bootstrap_server(), running.get_schema_registry_address()


@contextmanager
def clickhouse() -> Iterator[ClickHouseSettings]:
    """A ClickHouse in a container."""
    _require_docker()
    from testcontainers.clickhouse import ClickHouseContainer

    with _container(
        lambda: ClickHouseContainer(image("clickhouse"), port=8123, username="test", password="test")
    ) as running:
        host, port = running.get_container_host_ip(), running.get_exposed_port(8123)
        yield warehouse_at(f"http://test:test@{host}:{port}")


@contextmanager
def _container(make: Callable[[], Any]) -> Iterator[Any]:
    """A started container. The library warns of its own past; that is no fault of a test's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        running = make()
        running.start()
    try:
        yield running
    finally:
        running.stop()


def _require_docker() -> None:
    host = urlsplit(os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock"))
    try:
        # Asked by hand: the client library leaves its socket open when nobody answers.
        if host.scheme == "unix":
            with socket.socket(socket.AF_UNIX) as engine:
                engine.connect(host.path)
        else:
            socket.create_connection((host.hostname or "127.0.0.1", host.port or 2375), 5).close()
    except OSError as error:
        reason = f"no Docker engine answers at {host.geturl()} ({error.strerror})"
        if os.environ.get("MOVERS_REQUIRE_DOCKER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)

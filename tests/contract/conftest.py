"""The servers, one after the other; each is started once for the folder that asks it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kernel.settings import ClickHouseSettings, KafkaSettings
from tests.contract.servers import SERVERS, clickhouse, kafka_named, named, redpanda, warehouse_at
from tests.stack.processes import (
    KafkaProcess,
    ServiceProcess,
    kafka_at,
    kafka_stack,
    registry,
    stack_dir,
    warehouse,
)

__all__ = ["kafka_stack", "registry", "stack_dir", "warehouse"]


@pytest.fixture(scope="package", params=SERVERS)
def kafka(request: pytest.FixtureRequest) -> Iterator[KafkaSettings]:
    """A Kafka."""
    if request.param == "ours":
        node: KafkaProcess = request.getfixturevalue("kafka_stack")
        yield kafka_at(node.bootstrap)
    elif request.param == "named":
        yield kafka_named()
    else:
        with redpanda() as (bootstrap, _):
            yield kafka_at(bootstrap)


@pytest.fixture(scope="package", params=SERVERS)
def registry_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A schema registry."""
    if request.param == "ours":
        service: ServiceProcess = request.getfixturevalue("registry")
        yield service.url
    elif request.param == "named":
        yield named("CONTRACT_REGISTRY")
    else:
        with redpanda() as (_, url):
            yield url


@pytest.fixture(scope="package", params=SERVERS)
def store(request: pytest.FixtureRequest) -> Iterator[ClickHouseSettings]:
    """A ClickHouse."""
    if request.param == "ours":
        service: ServiceProcess = request.getfixturevalue("warehouse")
        yield ClickHouseSettings(clickhouse_port=service.port)
    elif request.param == "named":
        yield warehouse_at(named("CONTRACT_CLICKHOUSE"))
    else:
        with clickhouse() as settings:
            yield settings

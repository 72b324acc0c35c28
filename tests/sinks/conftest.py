"""A real warehouse for the sink's tests: one process, one database per test."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from kernel.settings import ClickHouseSettings
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.store import Store
from tests.stack.processes import ServiceProcess, registry, stack_dir, warehouse

__all__ = ["registry", "stack_dir", "warehouse"]


@pytest.fixture(scope="package")
def warehouse_port(warehouse: ServiceProcess) -> int:
    """Port of this folder's warehouse."""
    return warehouse.port


@pytest.fixture
def empty_database(warehouse_port: int) -> ClickHouseSettings:
    """Settings with the name of a database that does not exist yet."""
    return ClickHouseSettings(clickhouse_port=warehouse_port, clickhouse_database=f"test_{uuid4().hex}")


@pytest.fixture
def database(empty_database: ClickHouseSettings) -> ClickHouseSettings:
    """Settings of a migrated database."""
    migrate(empty_database)
    return empty_database


@pytest.fixture
def store(database: ClickHouseSettings) -> Iterator[Store]:
    """The store on a migrated database."""
    store = Store(database)
    yield store
    store.close()

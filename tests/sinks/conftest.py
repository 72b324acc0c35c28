"""A real warehouse for the sink's tests: one process, one database per test."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from kernel.settings import ClickHouseSettings
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.store import Store
from tests.stack.databases import copy_tables, drop
from tests.stack.processes import ServiceProcess, registry, stack_dir, warehouse

__all__ = ["registry", "stack_dir", "warehouse"]


@pytest.fixture(scope="package")
def warehouse_port(warehouse: ServiceProcess) -> int:
    """Port of this folder's warehouse."""
    return warehouse.port


@pytest.fixture(scope="package")
def migrated(warehouse_port: int) -> ClickHouseSettings:
    """A database with our tables, for `database` to be made after. Nobody writes to it."""
    settings = _named(warehouse_port)
    migrate(settings)
    return settings


@pytest.fixture
def empty_database(warehouse_port: int) -> Iterator[ClickHouseSettings]:
    """Settings with the name of a database that does not exist yet."""
    settings = _named(warehouse_port)
    yield settings
    drop(settings)


@pytest.fixture
def database(empty_database: ClickHouseSettings, migrated: ClickHouseSettings) -> ClickHouseSettings:
    """Settings of a migrated database."""
    copy_tables(migrated, empty_database)
    return empty_database


def _named(port: int) -> ClickHouseSettings:
    return ClickHouseSettings(clickhouse_port=port, clickhouse_database=f"test_{uuid4().hex}")


@pytest.fixture
def store(database: ClickHouseSettings) -> Iterator[Store]:
    """The store on a migrated database."""
    store = Store(database)
    yield store
    store.close()

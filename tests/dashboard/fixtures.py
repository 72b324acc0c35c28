"""Databases for the dashboard's tests: one with the seeded world, one with tables and nothing in them, one without."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from dashboard.context import context
from dashboard.store import Store
from kernel.clickhouse import connect
from kernel.settings import ClickHouseSettings
from sinks.clickhouse.migrate import migrate
from tests.dashboard.seed import Path, seed
from tests.stack.databases import copy_tables, drop
from tests.stack.processes import ServiceProcess


@dataclass(frozen=True, slots=True)
class SeededStore:
    """A store with the seeded world: its settings, the reads of the dashboard, the truth behind the rows, its end."""

    settings: ClickHouseSettings
    store: Store
    paths: list[Path]
    now: datetime


def _settings(warehouse: ServiceProcess, database: str) -> ClickHouseSettings:
    return ClickHouseSettings(clickhouse_port=warehouse.port, clickhouse_database=database)


def _seeded(settings: ClickHouseSettings, history_min: int) -> SeededStore:
    migrate(settings)
    client = connect(settings, client_name="seed", role="write")
    now = datetime.now(tz=UTC)
    try:
        return SeededStore(settings, Store(settings), seed(client, now=now, history_min=history_min), now)
    finally:
        client.close()


@pytest.fixture(scope="package")
def seeded(warehouse: ServiceProcess) -> SeededStore:
    """26 hours of history: every window is covered. Tests only read it."""
    return _seeded(_settings(warehouse, "dashboard_seeded"), 26 * 60)


@pytest.fixture(scope="package")
def young(warehouse: ServiceProcess) -> SeededStore:
    """125 minutes of history: the 24-hour window is not covered yet. Tests may write to it."""
    return _seeded(_settings(warehouse, "dashboard_young"), 125)


@pytest.fixture(scope="package")
def begun(warehouse: ServiceProcess) -> SeededStore:
    """Three minutes of history: no window is covered."""
    return _seeded(_settings(warehouse, "dashboard_begun"), 3)


@pytest.fixture(scope="package")
def empty(warehouse: ServiceProcess) -> ClickHouseSettings:
    """Tables without rows."""
    settings = _settings(warehouse, "dashboard_empty")
    migrate(settings)
    return settings


@pytest.fixture
def database(warehouse: ServiceProcess, empty: ClickHouseSettings) -> Iterator[ClickHouseSettings]:
    """Tables without rows, for one test to fill."""
    settings = _settings(warehouse, "dashboard_database")
    copy_tables(empty, settings)
    yield settings
    drop(settings)


@pytest.fixture
def app_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """An environment in which Kafka and the store are away, until a test points it at a store."""
    context.clear()
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setenv("SCHEMA_REGISTRY_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("CLICKHOUSE_PORT", "1")
    yield monkeypatch
    context.clear()


def point_at(monkeypatch: pytest.MonkeyPatch, settings: ClickHouseSettings) -> None:
    """Lets the dashboard read this store."""
    monkeypatch.setenv("CLICKHOUSE_PORT", str(settings.clickhouse_port))
    monkeypatch.setenv("CLICKHOUSE_DATABASE", settings.clickhouse_database)

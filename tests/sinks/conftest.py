"""A real warehouse for the sink's tests: one process, one database per test."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from kernel.settings import ClickHouseSettings
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.store import Store


@pytest.fixture(scope="package")
def warehouse_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Port of a warehouse on an empty folder."""
    process, port = start_warehouse(tmp_path_factory.mktemp("warehouse"))
    yield port
    stop(process)


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


def start_warehouse(folder: Path, port: int = 0) -> tuple[subprocess.Popen[str], int]:
    """Starts a warehouse and waits until it is ready."""
    command = [sys.executable, "-m", "movers.local.warehouse.service", "--port", str(port), "--data", str(folder)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if '"ready"' in line:
            return process, int(json.loads(line)["address"].rsplit(":", 1)[1])
    raise RuntimeError(f"the warehouse ended with {process.wait()} before it was ready")


def stop(process: subprocess.Popen[str]) -> None:
    """Ends a process of ours and reaps it."""
    process.terminate()
    process.communicate(timeout=30)

"""The store's disk fills up under a running sink: it says so, and no acknowledged row is missing once there is room."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernel.settings import ClickHouseSettings
from schemas.topics import TICKS
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.store import Store
from tests.sinks.clickhouse.conftest import PARTITIONS, Broker, Stand, assert_stored_once, close_stand
from tests.sinks.events import some_ticks
from tests.sinks.faulty_line import FaultyLine
from tests.stack.processes import ServiceProcess
from tests.stack.small_disk import small_disk
from tests.stack.topics import topics_made_anew
from tests.stack.waiting import wait_until

pytestmark = pytest.mark.stack


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 200 MiB."""
    with small_disk(tmp_path / "disk", 200) as folder:
        yield folder


@pytest.fixture
def stand(broker: Broker, disk: Path, tmp_path: Path) -> Iterator[Stand]:
    topics_made_anew(broker.bootstrap, PARTITIONS)
    warehouse = ServiceProcess.start("movers.local.warehouse.service", disk / "warehouse")
    settings = ClickHouseSettings(clickhouse_port=warehouse.port, clickhouse_database="movers")
    migrate(settings)
    stand = Stand(broker, FaultyLine(warehouse.port), settings, Store(settings), tmp_path / "sink.log")
    yield stand
    close_stand(stand)
    warehouse.kill()


def test_a_full_disk_is_told_and_loses_no_row(stand: Stand, disk: Path) -> None:
    ticks = some_ticks(14_400, days=3)
    stand.publish(TICKS, *ticks[:2_400])
    stand.start_sink()
    assert_stored_once(stand, ticks[:2_400])
    sink = stand.sinks[-1]

    # 200 MiB are little from the start on: that is told before anything fails.
    assert sink.health()["store_disk_low"] is True
    assert 0 < sink.health()["store_free_mib"] < 200
    assert '"event": "store_disk_low"' in stand.log_text()

    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        file.write(b"\0" * (shutil.disk_usage(disk).free - (64 << 10)))
    for start in range(2_400, 14_400, 3_000):
        stand.publish(TICKS, *ticks[start : start + 3_000])
    wait_until(lambda: sink.health().get("ok") is False, "health says that the store cannot")
    assert "store" in sink.health()["away"]

    ballast.unlink()

    assert_stored_once(stand, ticks)
    wait_until(lambda: sink.healthy, "health is good again")


def test_a_full_disk_is_told_although_nothing_has_to_be_stored(stand: Stand, disk: Path) -> None:
    ticks = some_ticks(2_400, days=1)
    stand.publish(TICKS, *ticks)
    stand.start_sink()
    assert_stored_once(stand, ticks)
    sink = stand.sinks[-1]

    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        file.write(b"\0" * (shutil.disk_usage(disk).free - (64 << 10)))
    wait_until(lambda: sink.health().get("ok") is False, "health says that the store cannot")
    assert sink.health()["store_disk_full"] is True

    ballast.unlink()

    wait_until(lambda: sink.healthy, "health is good again")

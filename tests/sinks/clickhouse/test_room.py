"""A store's disk that fills up is told once, makes /health bad before an insert fails, and is asked in moderation."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from kernel.errors import StoreAwayError, UserError
from sinks.clickhouse.room import FULL_MIB, LOOK_S, LOW_MIB, Room
from sinks.clickhouse.store import Store


class Disk:
    """Answers with so many MiB, or fails; counts the questions."""

    def __init__(self, free_mib: int) -> None:
        self.free_mib = free_mib
        self.error: Exception | None = None
        self.asked = 0
        self.now_s = 100.0

    def rows(self, _sql: str) -> Sequence[Sequence[Any]]:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return [[self.free_mib << 20]]


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk(LOW_MIB)
    monkeypatch.setattr("sinks.clickhouse.room.time", SimpleNamespace(monotonic=lambda: disk.now_s))
    return disk


def looks(watch: Room, disk: Disk, *free_mib: int) -> list[str]:
    with capture_logs() as lines:
        for disk.free_mib in free_mib:
            disk.now_s += LOOK_S
            watch.look()
    return [line["event"] for line in lines if line["log_level"] == "warning"]


def test_a_disk_that_gets_low_is_told_once_and_once_when_it_has_room(disk: Disk) -> None:
    watch = Room(cast("Store", disk))

    told = looks(watch, disk, LOW_MIB, LOW_MIB - 1, 100, FULL_MIB, LOW_MIB, 9_999, 0)

    assert told == ["store_disk_low", "store_disk_has_room", "store_disk_low"]


@pytest.mark.parametrize(
    ("free_mib", "low", "full"),
    [(LOW_MIB, False, False), (LOW_MIB - 1, True, False), (FULL_MIB, True, False), (FULL_MIB - 1, True, True)],
)
def test_only_a_full_disk_makes_the_process_unwell(disk: Disk, free_mib: int, low: bool, full: bool) -> None:
    watch = Room(cast("Store", disk))
    looks(watch, disk, free_mib)

    assert watch.facts() == {
        "store_free_mib": free_mib,
        "store_disk_low": low,
        "store_disk_full": full,
        "ok": not full,
    }


def test_before_the_first_look_nothing_is_wrong() -> None:
    facts = Room(cast("Store", Disk(0))).facts()

    assert (facts["ok"], facts["store_free_mib"]) == (True, None)


def test_the_store_is_asked_at_most_each_five_seconds(disk: Disk) -> None:
    watch = Room(cast("Store", disk))
    for _ in range(100):
        watch.look()
        disk.now_s += LOOK_S / 10

    assert disk.asked == 10


@pytest.mark.parametrize("error", [StoreAwayError("away"), UserError("not allowed")])
def test_a_store_that_does_not_say_is_not_full_and_the_sink_goes_on(disk: Disk, error: Exception) -> None:
    watch = Room(cast("Store", disk))
    looks(watch, disk, FULL_MIB - 1)
    assert not watch.facts()["ok"]

    disk.error = error
    looks(watch, disk, 0)

    assert (watch.facts()["ok"], watch.facts()["store_free_mib"]) == (True, None)

"""Scarce room is told once, early, and again when it is over."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from movers.disk import DiskWatch, Room


@pytest.mark.parametrize(
    ("free_mib", "rooms"),
    [
        ([5000, 2048, 2047, 500, 499], ["enough", "enough", "low", "low", "full"]),
        ([100], ["full"]),
        ([2000, 2100, 2300], ["low", "low", "enough"]),
        ([400, 520, 600, 3000], ["full", "full", "low", "enough"]),
    ],
)
def test_room_is_judged_with_some_hysteresis(tmp_path: Path, free_mib: list[int], rooms: list[Room]) -> None:
    left = iter(free_mib)
    watch = DiskWatch(tmp_path, low_mib=2048, full_mib=500, free_bytes=lambda _: next(left) << 20)

    assert [watch.look() for _ in free_mib] == rooms


def test_each_change_is_one_line(tmp_path: Path) -> None:
    left = iter([5000, 1500, 1400, 1300, 400, 300, 5000, 5000])
    watch = DiskWatch(tmp_path, low_mib=2048, full_mib=500, free_bytes=lambda _: next(left) << 20)

    with capture_logs() as lines:
        for _ in range(8):
            watch.look()

    assert [(line["event"], line.get("room"), line["free_mib"]) for line in lines] == [
        ("disk_scarce", "low", 1500),
        ("disk_scarce", "full", 400),
        ("disk_room_back", None, 5000),
    ]


def test_it_asks_the_disk_of_the_folder(tmp_path: Path) -> None:
    watch = DiskWatch(tmp_path, low_mib=0, full_mib=0)

    assert watch.look() == "enough"
    assert watch.free_mib > 0

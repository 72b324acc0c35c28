"""The soak's measuring measures, and its judgement tells growth from noise."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.soak.sampling import Course, Kind, Sample, courses, folder_bytes, take


def course_of(kind: Kind, values: list[float]) -> Course:
    samples = [Sample(number * 10.0, {(kind, "sink"): value}) for number, value in enumerate(values)]
    (found,) = courses(samples)
    return found


@pytest.mark.parametrize(
    ("values", "flat"),
    [
        ([200.0] * 30, True),
        ([float(min(10 * i, 200)) for i in range(60)], True),  # it warms up and stands
        ([200.0 + 15 * (i % 2) for i in range(30)], True),  # it swings
        ([200.0 + 5 * i for i in range(30)], False),  # it grows for ever
    ],
)
def test_growth_after_warm_up_is_told_from_warming_up_and_from_swinging(values: list[float], flat: bool) -> None:
    assert course_of("rss_mib", values).flat is flat


def test_handles_that_leak_slowly_are_not_flat() -> None:
    assert not course_of("handles", [60.0 + i for i in range(60)]).flat


def test_a_peak_before_the_end_is_kept() -> None:
    assert course_of("rss_mib", [100.0] * 20 + [900.0] + [100.0] * 9).peak == 900


def test_it_measures_a_process_and_what_it_opens(tmp_path: Path) -> None:
    before = take(0, {"me": os.getpid()}, {})
    files = [(tmp_path / str(number)).open("w") for number in range(5)]
    after = take(1, {"me": os.getpid()}, {})
    for file in files:
        file.close()

    assert after.values["handles", "me"] - before.values["handles", "me"] == 5
    assert before.values["rss_mib", "me"] > 1


def test_a_process_that_has_ended_is_left_out(tmp_path: Path) -> None:
    assert take(0, {"gone": 2**22 + 1}, {"data": tmp_path}).values.keys() == {("disk_mib", "data")}


def test_a_folder_counts_what_its_files_take(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "full").write_bytes(os.urandom(1 << 20))
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 30)

    assert 1 << 20 <= folder_bytes(tmp_path) < 2 << 20

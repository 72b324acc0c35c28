"""Short bad days with fixed seeds. The long ones: `make chaos ARGS=long`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.run import Outcome, bad_day
from tests.chaos.trouble import (
    OUTAGES,
    Trouble,
    a_day,
    fill_disk,
    kill_collector_with_full_hands,
    kill_processor,
    kill_sink,
    more_partitions,
)
from tests.stack.small_disk import small_disk

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]


def _good(outcome: Outcome) -> None:
    assert outcome.verdict.good, "\n".join([outcome.line, *outcome.verdict.details()])


def test_a_day_of_kills_and_outages_of_every_kind_loses_doubles_and_hides_nothing(tmp_path: Path) -> None:
    outcome = bad_day(tmp_path / "a day", 11, a_day(11, 6, OUTAGES, longest_s=4), print)

    _good(outcome)
    assert outcome.kills >= 8
    assert outcome.verdict.counted["stored"] > 1_000
    assert outcome.verdict.counted["alerts"] > 0


def test_a_partition_more_in_every_topic_is_read_without_a_restart_by_hand(tmp_path: Path) -> None:
    day = [Trouble(3, 0, more_partitions), Trouble(3, 0, kill_processor), Trouble(3, 0, kill_sink)]

    _good(bad_day(tmp_path / "more partitions", 12, day, print))


def test_what_a_killed_collector_had_in_memory_is_told_as_a_gap(tmp_path: Path) -> None:
    _good(bad_day(tmp_path / "full hands", 13, [Trouble(3, 3, kill_collector_with_full_hands)], print))


def test_a_disk_that_fills_under_the_whole_pipeline_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 600) as disk:
        _good(bad_day(tmp_path / "full disk", 14, [Trouble(3, 20, fill_disk)], print, disk=disk))

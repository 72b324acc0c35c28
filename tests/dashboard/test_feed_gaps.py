"""What a market's chart shades: the gaps of its venue's feed."""

from __future__ import annotations

from typing import Any

import pytest

from dashboard.columns import COLUMNS
from dashboard.store import Store as Reader
from kernel.settings import ClickHouseSettings
from schemas.units import US_PER_S, datetime_from_micros
from sinks.clickhouse import rows as to
from sinks.clickhouse.store import Store
from tests.sinks.events import NOON_US, a_status

pytestmark = pytest.mark.stack

MIN_US = 60 * US_PER_S


def gaps(database: ClickHouseSettings, *said: tuple[str, str, int, int]) -> list[tuple[int, int | None]]:
    """Begin and end, in minutes from noon, of what was said: word, shard, when, and since when, in the same."""
    store = Store(database)
    statuses = [
        a_status(
            event_id=f"{number:024x}", state=word, shard=shard, ts_event_us=NOON_US + at_min * MIN_US,
            gap_started_us=NOON_US + since_min * MIN_US,
        )
        for number, (word, shard, at_min, since_min) in enumerate(said)
    ]  # fmt: skip
    store.insert(to.FEED_STATUS, [to.feed_status_row(status) for status in statuses], "said")
    store.close()
    until = datetime_from_micros(NOON_US + 60 * MIN_US)
    asked: dict[str, Any] = {"venue": statuses[0].venue, "until": until, "span_s": 86_400}
    found = Reader(database).rows("feed_gaps", COLUMNS["feed_gaps"], **asked)
    return [
        (round(_minutes(started)), None if ended != ended else round(_minutes(ended)))
        for started, ended in zip(found["started_at"], found["ended_at"], strict=True)
    ]


def _minutes(moment: Any) -> float:
    return float((moment - datetime_from_micros(NOON_US)).total_seconds() / 60)


def test_a_gap_ends_when_its_shard_says_so_and_is_open_until_then(database: ClickHouseSettings) -> None:
    said = [("gap_opened", "1/2", 2, 1), ("gap_closed", "1/2", 5, 1), ("gap_opened", "2/2", 4, 3)]

    assert gaps(database, *said) == [(1, 5), (3, None)]


def test_a_gap_whose_process_was_killed_ends_with_the_next_that_its_shard_ends(database: ClickHouseSettings) -> None:
    said = [("gap_opened", "1/1", 2, 1), ("gap_opened", "1/1", 9, 8), ("gap_closed", "1/1", 11, 8)]

    assert gaps(database, *said) == [(1, 11), (8, 11)]


def test_a_gap_that_was_told_before_the_span_ends_as_it_did(database: ClickHouseSettings) -> None:
    said = [("gap_opened", "1/1", -1500, -1501), ("gap_closed", "1/1", 5, -1501)]

    assert gaps(database, *said) == [(-1501, 5)]

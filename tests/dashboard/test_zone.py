"""Times as a reader's clock shows them, and what stands beside them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import cast

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.zone import UTC_ZONE, Zone

_NOW = datetime(2026, 11, 23, 18, 42, tzinfo=UTC)
_ZONES = st.builds(Zone, st.integers(-12 * 4, 14 * 4).map(lambda quarters: quarters * 15))


def test_a_moment_reads_as_the_clock_shows_it() -> None:
    assert UTC_ZONE.clock(_NOW) == "18:42"
    assert UTC_ZONE.clock(_NOW, date=True) == "23 Nov 18:42"
    assert UTC_ZONE.clock(_NOW, seconds=True) == "18:42:00"
    assert UTC_ZONE.day(_NOW) == "23 Nov 2026"
    assert UTC_ZONE.day(None) == "–"
    assert UTC_ZONE.clock(cast("datetime", pd.NaT)) == "–"
    assert Zone(345).clock(_NOW, date=True) == "24 Nov 00:27"
    assert Zone(345).day(_NOW) == "24 Nov 2026"


@pytest.mark.parametrize(
    ("ahead_min", "name"),
    [(0, "UTC"), (60, "UTC+1"), (330, "UTC+5:30"), (-210, "UTC−3:30"), (-480, "UTC−8"), (-30, "UTC−0:30")],
)
def test_the_zone_is_named_by_how_far_it_is_ahead(ahead_min: int, name: str) -> None:
    assert Zone(ahead_min).name == name
    assert Zone(ahead_min).at(_NOW).endswith(f" {name}")


@given(_ZONES, st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)))  # noqa: DTZ001  what a clock shows
def test_what_a_clock_shows_is_a_moment_that_it_shows_so(zone: Zone, wall: datetime) -> None:
    assert zone.wall(zone.moment(wall)) == wall


@given(_ZONES, st.lists(st.integers(0, 10**6)))
def test_a_column_of_times_reads_as_each_of_them(zone: Zone, minutes: list[int]) -> None:
    moments = [_NOW + timedelta(minutes=at) for at in minutes]

    walls = zone.walls(pd.Series(moments, dtype="datetime64[us, UTC]"))

    assert list(walls) == [zone.wall(moment) for moment in moments]
    assert walls.dtype.kind == "M"

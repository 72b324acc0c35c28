"""Numbers and times as people read them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pandas as pd
import pytest

from dashboard import formats

_NOW = datetime(2026, 11, 23, 18, 42, tzinfo=UTC)


@pytest.mark.parametrize(
    ("function", "value", "expected"),
    [
        (formats.percent, 0.625, "62.5 %"),
        (formats.percent, 0.0, "0.0 %"),
        (formats.percent, 1.0, "100.0 %"),
        (formats.percent, 0.0035, "0.35 %"),
        (formats.percent, 0.9965, "99.65 %"),
        (formats.percent, None, "–"),
        (formats.percent, float("nan"), "–"),
        (formats.points, 7.3, "+7.3 pp"),
        (formats.points, -7.25, "−7.2 pp"),
        (formats.points, 0.0, "+0.0 pp"),
        (formats.arrow, 7.3, "▲ +7.3 pp"),
        (formats.arrow, -7.3, "▼ −7.3 pp"),
        (formats.arrow, None, "–"),
        (formats.money, 950, "$950"),
        (formats.money, 56_000, "$56.0k"),
        (formats.money, 340_000, "$340k"),
        (formats.money, 1_234_567, "$1.2M"),
        (formats.money, 2.5e9, "$2.5B"),
        (formats.money, float("nan"), "–"),
        (formats.span, 12, "12 s"),
        (formats.span, 299, "4 min"),
        (formats.span, 7500, "2 h 05 m"),
        (formats.span, 7200, "2 h"),
        (formats.span, 3 * 86_400, "3 d"),
        (formats.span, 800 * 86_400, "2.2 y"),
        (formats.ends_in, 3 * 86_400 + 5, "in 3 d"),
        (formats.ends_in, 26 * 3600 + 900, "in 26 h"),
        (formats.ends_in, 7500, "in 2 h 05 m"),
        (formats.ends_in, 0, "past"),
        (formats.ends_in, None, "–"),
        (formats.window, 300, "5m"),
        (formats.window, 1800, "1800s"),
        (formats.category, "science_tech", "Science & tech"),
        (formats.category, "", "Not known yet"),
        (formats.venue, "polymarket", "Polymarket"),
        (formats.venue, "new_venue", "New venue"),
    ],
)
def test_format(function: Callable[[Any], str], value: object, expected: str) -> None:
    assert function(value) == expected


def test_moments() -> None:
    assert formats.ago(_NOW - timedelta(seconds=250), _NOW) == "4 min ago"
    assert formats.ago(None, _NOW) == "–"
    assert formats.clock(_NOW) == "18:42"
    assert formats.clock(_NOW, date=True) == "23 Nov 18:42"
    assert formats.clock(cast("datetime", pd.NaT)) == "–"


def test_titles_cannot_become_markup() -> None:
    assert formats.escape("$5 [a](b) *x*") == "\\$5 \\[a\\]\\(b\\) \\*x\\*"

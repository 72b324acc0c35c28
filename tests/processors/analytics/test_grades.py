from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.analytics.grades import kept_share
from schemas.units import US_PER_S


@dataclass
class Mids:
    ts_us: list[int]
    price_ppm: list[int]


def mids(*points: tuple[float, int]) -> Mids:
    return Mids([round(s * US_PER_S) for s, _ in points], [price for _, price in points])


@pytest.mark.parametrize(
    ("points", "kept"),
    [
        ([(0, 500_000), (60, 520_000)], 1.2),
        ([(0, 500_000), (60, 450_000), (61, 0)], 0.5),
        ([(0, 500_000), (59, 400_000)], 0.0),
        ([(0, 500_000), (30, 350_000)], -0.5),
        ([(0, 500_000)], 1.0),
        ([(-1, 500_000)], None),
        ([], None),
    ],
)
def test_a_grade_is_the_share_of_the_move_that_stood_then(points: list[tuple[float, int]], kept: float | None) -> None:
    share = kept_share(0, 400_000, 500_000, 60, mids(*points))

    assert share == (None if kept is None else pytest.approx(kept))


def test_a_price_older_than_a_quarter_of_an_hour_grades_nothing() -> None:
    known = mids((0, 500_000), (2699, 500_000), (2700, 500_000))

    assert kept_share(0, 400_000, 500_000, 3600, known) == 1.0
    assert kept_share(0, 400_000, 500_000, 3601, known) is None


_POINTS = st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 1_000_000)), max_size=30, unique_by=lambda p: p[0])


@given(_POINTS, st.integers(0, 3000), st.sampled_from([60, 300, 900]))
def test_grades_agree_with_a_brute_force(points: list[tuple[int, int]], told_s: int, horizon_s: int) -> None:
    due_s = told_s + horizon_s
    seen = [(s, price) for s, price in points if max(told_s, due_s - 900) <= s <= due_s]
    expected = (max(seen)[1] - 400_000) / 100_000 if seen else None

    assert kept_share(told_s * US_PER_S, 400_000, 500_000, horizon_s, mids(*sorted(points))) == expected

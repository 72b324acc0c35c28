from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from movers.pairs.together import Quote, Together, divergence, steps, together
from producers.quotes import MAX_MID_SPREAD_PPM
from schemas.units import US_PER_S
from sinks.clickhouse.along import Series, Step


def series(*points: tuple[float, float]) -> Series:
    """Seconds and percentage points."""
    return Series([round(s * US_PER_S) for s, _ in points], [round(pp * 10_000) for _, pp in points])


def test_a_step_is_told_once_however_long_it_stands() -> None:
    told = steps(series((0, 40), (3600, 50), (3610, 50.5), (3700, 51), (7200, 45)))

    assert told == [Step(3600 * US_PER_S, 100_000), Step(7200 * US_PER_S, -60_000)]


def quoted(at_s: int, bid_ppm: int | None, ask_ppm: int | None) -> Quote:
    is_mid = bid_ppm is not None and ask_ppm is not None and ask_ppm - bid_ppm <= MAX_MID_SPREAD_PPM
    return Quote(at_s * US_PER_S, bid_ppm, ask_ppm, is_mid)


def test_who_moves_first_and_by_how_much_is_told_and_a_step_of_both_counts_once() -> None:
    a = series((0, 40), (3600, 50), (9000, 50), (18_000, 40))
    b = series((0, 41), (3612, 51), (9000, 51), (18_008, 41))

    assert together(a, b) == Together(steps=2, answered=2, lag_s=10.0)
    assert together(b, a) == Together(steps=2, answered=2, lag_s=-10.0)


def test_a_step_of_both_counts_once_also_where_one_goes_more_than_twice_as_far() -> None:
    """The smaller one is answered by the larger; the larger is the same step, not one more that nobody answered."""
    small, large = series((0, 40), (3600, 44.5)), series((0, 41), (3605, 51))

    assert together(small, large) == Together(1, 1, 5.0)
    assert together(large, small) == Together(1, 1, -5.0)
    assert together(small, series((0, 41), (3605, 51), (3700, 30))) == Together(2, 1, 5.0), "the way back is another"


def test_a_step_that_the_other_does_not_make_is_not_answered() -> None:
    assert together(series((0, 40), (3600, 50)), series((0, 41), (3600, 42))) == Together(1, 0, None)
    assert together(series((0, 40), (3600, 50)), series((0, 60), (3600, 50))) == Together(2, 0, None)


@pytest.mark.parametrize(
    ("a", "b", "apart_pp", "crossed_pp"),
    [
        ((400_000, 420_000), (410_000, 430_000), 1.0, None),
        ((400_000, 420_000), (450_000, 470_000), 5.0, 3.0),
        ((450_000, 470_000), (400_000, 420_000), -5.0, 3.0),
        ((450_000, None), (400_000, 420_000), None, 3.0),
        ((None, None), (400_000, 420_000), None, None),
        ((300_000, 450_000), (470_000, 490_000), None, 2.0),  # 15 points wide: no price, so no distance either
    ],
)
def test_divergence_compares_bid_with_ask_and_says_how_old_the_older_quote_is(
    a: tuple[int | None, int | None], b: tuple[int | None, int | None], apart_pp: float | None, crossed_pp: float | None
) -> None:
    told = divergence(quoted(10, *a), quoted(40, *b), 50 * US_PER_S)

    assert (told.apart_pp, told.crossed_pp, told.older_s) == (apart_pp, crossed_pp, 40.0)


walks = st.lists(st.tuples(st.integers(0, 20_000), st.integers(1, 99)), max_size=15, unique_by=lambda point: point[0])


@given(walks, walks)
def test_turning_a_pair_round_turns_the_lag_round(one: list[tuple[int, int]], other: list[tuple[int, int]]) -> None:
    a, b = series(*sorted(one)), series(*sorted(other))
    there, back = together(a, b), together(b, a)

    assert 0 <= there.answered <= there.steps
    assert (there.lag_s is None) is (there.answered == 0)
    if len(steps(a)) + len(steps(b)) == 1:  # of several, which of two neighbours counts is a matter of order
        assert (there.steps, there.answered) == (back.steps, back.answered)
        assert there.lag_s is None or there.lag_s == -(back.lag_s or 0.0)


@given(walks)
def test_steps_up_and_down_are_mirror_images(points: list[tuple[int, int]]) -> None:
    told = steps(series(*sorted(points)))
    mirrored = steps(series(*((s, 100 - pp) for s, pp in sorted(points))))

    assert [(step.ts_us, -step.change_ppm) for step in told] == [(step.ts_us, step.change_ppm) for step in mirrored]


@given(walks)
def test_a_market_goes_along_with_itself_without_delay(points: list[tuple[int, int]]) -> None:
    told = together(series(*sorted(points)), series(*sorted(points)))

    assert told.lag_s in (None, 0.0)

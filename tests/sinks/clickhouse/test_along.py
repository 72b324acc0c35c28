from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.units import US_PER_S
from sinks.clickhouse.along import (
    AROUND_US,
    LOOKS_S,
    Series,
    Sibling,
    Step,
    begin_us,
    half_us,
    other_venue,
    siblings_agree,
)

RISE = Step(3600 * US_PER_S, 100_000)


def series(*points: tuple[float, float]) -> Series:
    """Seconds and percentage points."""
    return Series([round(s * US_PER_S) for s, _ in points], [round(pp * 10_000) for _, pp in points])


def test_a_market_of_which_nothing_is_known_before_the_step_answers_nothing() -> None:
    assert half_us(series((3600, 50)), RISE) is None
    assert half_us(series(), RISE) is None


def test_half_of_a_slow_move_may_be_gone_since_the_move_began() -> None:
    slowly = series((0, 42), (1800, 47), (3590, 49))

    assert half_us(slowly, RISE) is None, "the last quarter of an hour alone was too little"
    assert half_us(slowly, RISE, begin_us(RISE.ts_us, 3600)) == 1800 * US_PER_S


def test_a_move_of_five_minutes_may_be_answered_a_quarter_of_an_hour_before() -> None:
    assert begin_us(RISE.ts_us, 300) == RISE.ts_us - AROUND_US


@pytest.mark.parametrize(
    ("points", "is_over", "verdict"),
    [
        ([(0, 42), (3634, 47)], False, (True, 34.0)),
        ([(0, 42), (3634, 46)], False, (None, None)),
        ([(0, 42), (3634, 46)], True, (False, None)),
        ([(0, 42)], True, (None, None)),
        ([(3600, 42), (3634, 43)], True, (None, None)),
        ([], True, (None, None)),
    ],
    ids=["went along", "has time", "did not", "was not heard", "was not known before", "is not known"],
)
def test_the_other_venue_speaks_against_a_move_only_where_it_was_quoted_and_its_time_is_over(
    points: list[tuple[float, float]], is_over: bool, verdict: tuple[bool | None, float | None]
) -> None:
    assert other_venue(series(*points), RISE, 0, is_over=is_over) == verdict


GONE = st.one_of(st.none(), st.integers(-500_000, 500_000))
SIBLINGS = st.lists(st.builds(Sibling, st.tuples(*[GONE] * len(LOOKS_S)), st.booleans()), max_size=6)


@given(SIBLINGS, st.integers(1, 500_000), st.booleans(), st.booleans())
def test_siblings_say_the_same_of_a_fall_as_of_its_mirrored_rise(
    siblings: list[Sibling], size_ppm: int, exclusive: bool, is_over: bool
) -> None:
    mirrored = [Sibling(tuple(None if g is None else -g for g in s.gone_ppm), s.is_heard) for s in siblings]

    rise = siblings_agree(size_ppm, siblings, exclusive=exclusive, is_over=is_over)

    assert rise == siblings_agree(-size_ppm, mirrored, exclusive=exclusive, is_over=is_over)


@given(SIBLINGS, st.integers(1, 500_000), st.booleans(), st.booleans())
def test_nothing_speaks_against_a_move_where_something_is_unknown_or_several_can_win(
    siblings: list[Sibling], size_ppm: int, exclusive: bool, is_over: bool
) -> None:
    verdict = siblings_agree(size_ppm, siblings, exclusive=exclusive, is_over=is_over)

    unknown = not siblings or any(None in s.gone_ppm or not s.is_heard for s in siblings)
    assert verdict is not False or (exclusive and is_over and not unknown)
    assert verdict is not True or any(any(s.gone_ppm) for s in siblings)

"""What was traded between two readings of a counter: never more than was, whatever the counter does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.analytics.volume import CONTRACT_COUNTER, NO_COUNTER, USD_COUNTER, highest, reading, traded_usd
from schemas.units import PPM
from tests.processors.ticks import make_tick

_READINGS = st.lists(st.integers(0, 10_000).map(float), min_size=1, max_size=30)


def told(kind: int, readings: list[float], price_ppm: int) -> float:
    """What a history adds up while a counter shows these readings."""
    at, total = readings[0], 0.0
    for now in readings[1:]:
        total += traded_usd(kind, at, now, price_ppm)
        at = highest(kind, at, kind, now)
    return total


@given(_READINGS)
def test_all_that_is_told_together_is_how_far_the_counter_rose_over_its_first_reading(readings: list[float]) -> None:
    assert told(USD_COUNTER, readings, PPM // 2) == max(readings) - readings[0]


@given(_READINGS, st.integers(0, PPM))
def test_contracts_are_worth_their_price_and_never_more_than_a_dollar(readings: list[float], price_ppm: int) -> None:
    contracts = max(readings) - readings[0]

    assert told(CONTRACT_COUNTER, readings, price_ppm) == pytest.approx(contracts * price_ppm / PPM)


@given(_READINGS, st.data())
def test_a_reading_that_comes_twice_or_falls_to_zero_for_a_moment_adds_nothing(
    readings: list[float], data: st.DataObject
) -> None:
    place = data.draw(st.integers(1, len(readings)))
    odd = data.draw(st.sampled_from([0.0, readings[place - 1]]))

    assert told(USD_COUNTER, [*readings[:place], odd, *readings[place:]], PPM) == told(USD_COUNTER, readings, PPM)


def test_another_kind_of_counter_starts_from_its_own_reading() -> None:
    assert highest(USD_COUNTER, 5000.0, CONTRACT_COUNTER, 20.0) == 20.0
    assert highest(USD_COUNTER, 5000.0, USD_COUNTER, 20.0) == 5000.0


def test_dollars_are_read_before_contracts_and_zero_is_a_reading() -> None:
    both = make_tick(0, 500_000, volume_total_usd=0.0, volume_total_contracts=7.0)

    assert reading(both) == (USD_COUNTER, 0.0)
    assert reading(make_tick(0, 500_000, volume_total_contracts=7.0)) == (CONTRACT_COUNTER, 7.0)
    assert reading(make_tick(0, 500_000)) == (NO_COUNTER, 0.0)

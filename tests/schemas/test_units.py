"""Units at the border."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.units import PPM, micros_from_iso, ppm_from_venue


@pytest.mark.parametrize(
    ("value", "ppm"),
    [
        ("0.7300", 730_000),
        ("0.73", 730_000),
        (0.505, 505_000),
        (1, PPM),
        (0, 0),
        ("0.0025", 2_500),
        ("1e-3", 1_000),
        ("0.0000005", 0),
        ("0.0000015", 2),
        ("-0.1", -100_000),
        ("1.5", 1_500_000),
    ],
)
def test_prices_become_whole_parts_per_million(value: str | float, ppm: int) -> None:
    assert ppm_from_venue(value) == ppm
    assert ppm_from_venue(value) == ppm, "also when it is remembered"


@pytest.mark.parametrize("value", ["", "abc", "nan", "inf", True, None, [1], {}])
def test_what_is_no_number_is_refused_each_time(value: object) -> None:
    ppm_from_venue(1)
    for _ in range(2):
        with pytest.raises(ValueError, match="not a decimal number"):
            ppm_from_venue(value)


@given(st.decimals(min_value=0, max_value=1, places=9))
def test_rounding_is_half_to_even(value: Decimal) -> None:
    assert ppm_from_venue(str(value)) == int((value * PPM).to_integral_value(rounding=ROUND_HALF_EVEN))


@pytest.mark.parametrize("text", ["2026-06-10T13:13:13Z", "2026-06-10 13:13:13+00", "2026-06-10T15:13:13+02:00"])
def test_the_venues_time_formats_are_one_instant(text: str) -> None:
    assert micros_from_iso(text) == 1_781_097_193_000_000

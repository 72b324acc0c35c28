"""How politely a venue is asked, and how long it is left alone."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.limits import MAX_AGE_S, MAX_WAIT_S, RateLimit, age_s, backoff_s, http_date_us
from schemas.units import US_PER_S, micros_from_datetime

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
NOW_US = micros_from_datetime(NOW)


class SteppedClock:
    """Time that passes only while somebody sleeps, or when it is told to."""

    def __init__(self) -> None:
        self.s = 1000.0

    def now_us(self) -> int:
        return round(self.s * US_PER_S)

    def monotonic_s(self) -> float:
        return self.s

    async def sleep(self, seconds: float) -> None:
        self.s += seconds


def asked_at(limit: RateLimit, clock: SteppedClock, idle_s: list[float]) -> list[float]:
    """When each request went, the one after so much idle time."""

    async def ask() -> list[float]:
        moments = []
        for seconds in idle_s:
            clock.s += seconds
            await limit.wait()
            moments.append(clock.s)
        return moments

    return asyncio.run(ask())


@given(
    st.sampled_from([0.5, 1.0, 5.0, 20.0]),
    st.lists(st.sampled_from([0.0, 0.01, 0.2, 1.0, 30.0]), min_size=2, max_size=40),
)
def test_in_no_stretch_of_time_do_more_requests_go_than_its_rate_and_one_burst(
    rate: float, idle_s: list[float]
) -> None:
    clock = SteppedClock()

    moments = asked_at(RateLimit(rate, clock), clock, idle_s)

    burst = max(0.25 * rate, 1.0)
    for first in range(len(moments)):
        for last in range(first, len(moments)):
            assert last - first + 1 <= (moments[last] - moments[first]) * rate + burst + 1 + 1e-6


def test_a_long_silence_saves_up_a_quarter_of_a_second_and_no_more() -> None:
    clock = SteppedClock()
    limit = RateLimit(20.0, clock)

    moments = asked_at(limit, clock, [3600.0, *[0.0] * 9])

    waited = [round(after - before, 6) for before, after in pairwise(moments)]
    assert waited == [0.0] * 5 + [0.05] * 4


def test_a_held_host_is_left_alone_for_the_longer_of_two_holds() -> None:
    clock = SteppedClock()
    limit = RateLimit(5.0, clock)
    limit.hold(30.0)
    limit.hold(10.0)

    assert asked_at(limit, clock, [0.0]) == [1030.0]


@given(st.integers(1, 10_000))
def test_a_wait_is_over_zero_and_bounded_however_often_the_venue_has_failed(failures: int) -> None:
    assert 0.25 <= backoff_s(failures, None, NOW_US) <= MAX_WAIT_S


def test_waits_double_until_the_longest() -> None:
    for failures in range(1, 12):
        full_s = min(0.5 * 2 ** (failures - 1), MAX_WAIT_S)
        waits = [backoff_s(failures, None, NOW_US) for _ in range(50)]
        assert full_s / 2 <= min(waits) < max(waits) <= full_s


@given(st.integers(-100_000, 100_000))
def test_both_forms_of_retry_after_mean_the_same_wait(seconds: int) -> None:
    date = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    expected = float(min(max(seconds, 0), MAX_WAIT_S))

    assert backoff_s(3, date, NOW_US) == expected
    if seconds >= 0:
        assert backoff_s(3, str(seconds), NOW_US) == expected


@pytest.mark.parametrize("text", ["-5", "1.5", "١٢", "1e3", "9" * 10, "soon", "", "  ", "12 s"])
def test_a_retry_after_that_cannot_be_read_leaves_the_doubling_wait(text: str) -> None:
    assert 0.25 <= backoff_s(1, text, NOW_US) <= 0.5


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        (" 17 ", 17),
        (str(MAX_AGE_S), MAX_AGE_S),
        (str(MAX_AGE_S + 1), None),
        ("-1", None),
        ("", None),
        (None, None),
        ("³", None),
    ],
)
def test_an_age_is_seconds_of_at_most_a_day(text: str | None, seconds: int | None) -> None:
    assert age_s(text) == seconds


@given(st.integers(0, 32_000_000_000))
def test_a_date_header_is_read_as_it_was_written(at_s: int) -> None:
    at = datetime.fromtimestamp(at_s, tz=UTC)

    assert http_date_us(format_datetime(at, usegmt=True)) == micros_from_datetime(at)


@given(st.text(max_size=80))
def test_no_text_in_the_place_of_a_date_or_an_age_breaks_the_reader(text: str) -> None:
    assert http_date_us(text) is None or len(text) <= 64
    age = age_s(text)
    assert age is None or 0 <= age <= MAX_AGE_S


def test_a_date_without_a_zone_is_none() -> None:
    assert http_date_us("Sun, 22 Nov 2026 12:00:00 -0000") is None
    assert http_date_us("Sun, 22 Nov 2026 12:00:00 GMT") == NOW_US

"""Which Dates of a venue are believed, and how fast its time runs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.base import Received
from producers.venue_clock import MAX_PACE, Stamp, VenueClock
from schemas.times import MAX_AHEAD_S
from schemas.units import US_PER_S
from tests.producers.fixture_lines import RECEIVED

START_S = 1_790_000_000
SKEW_S = 5


def read(clock: VenueClock, ours_s: float, date_s: float | None, age_s: int | None = None, pace: str = "") -> Stamp:
    """An answer that came at one of our moments with a Date (whole seconds), both told from `START_S`."""
    date_us = None if date_s is None else int(START_S + date_s) * US_PER_S
    received_us = int((START_S + ours_s) * US_PER_S)
    return clock.read(replace(RECEIVED, ts_received_us=received_us, date_us=date_us, age_s=age_s, pace=pace))


def at_s(stamp: Stamp) -> float:
    return stamp.as_of_us / US_PER_S - START_S


@pytest.fixture
def clock() -> VenueClock:
    """Before the first answer."""
    return VenueClock(SKEW_S, START_S * US_PER_S)


def test_an_answer_is_as_of_its_date_less_its_age(clock: VenueClock) -> None:
    assert read(clock, 0.7, 0) == Stamp(START_S * US_PER_S, "http_date", ())
    assert at_s(read(clock, 1.7, 1, age_s=60)) == -59


def test_one_answer_dated_an_hour_ahead_is_not_believed_and_moves_nothing(clock: VenueClock) -> None:
    read(clock, 0.5, 0)

    wrong = read(clock, 1.5, 3_600)

    assert at_s(wrong) == pytest.approx(1.0), "as our clock says, from the last good Date on"
    assert (wrong.basis, wrong.flags) == ("received", ("clock_skew",))
    assert read(clock, 2.5, 2) == Stamp((START_S + 2) * US_PER_S, "http_date", ())
    assert clock.disbelieved == 1


def test_a_date_ahead_of_its_receipt_by_more_than_events_may_be_is_never_believed(clock: VenueClock) -> None:
    ahead = [read(clock, s, s + MAX_AHEAD_S + 1.5).basis for s in range(10)]

    assert ahead == ["received"] * 10


def test_a_clock_that_is_really_ahead_of_ours_is_followed_after_three_answers(clock: VenueClock) -> None:
    for s in range(5):
        read(clock, s, s)

    stamps = [read(clock, s, s + 20) for s in range(5, 9)]

    assert [stamp.basis for stamp in stamps] == ["received", "received", "http_date", "http_date"]
    assert at_s(stamps[-1]) == 8 + 20


def test_however_many_dates_say_so_the_venues_time_does_not_go_back(clock: VenueClock) -> None:
    for s in range(5):
        read(clock, s, s)

    wrong = [read(clock, s, s - 4_000) for s in range(5, 20)]
    right = [read(clock, s, s) for s in range(20, 25)]

    assert [at_s(stamp) for stamp in (*wrong, *right)] == list(range(5, 25))
    assert {(stamp.basis, stamp.flags) for stamp in wrong} == {("received", ("clock_skew",))}
    assert {(stamp.basis, stamp.flags) for stamp in right} == {("http_date", ())}


def test_after_dates_that_ran_ahead_the_venues_time_stands_until_it_has_come_there(clock: VenueClock) -> None:
    for s in range(5):
        read(clock, s, s + 20)

    back = [at_s(read(clock, s, s)) for s in range(5, 40)]

    assert set(back[: 24 - 5 - SKEW_S]) == {24}
    assert back[20:] == list(range(25, 40))
    assert clock.now_us((START_S + 40) * US_PER_S) == (START_S + 40) * US_PER_S


def test_without_any_date_time_goes_on_by_our_clock(clock: VenueClock) -> None:
    stamps = [read(clock, s, None) for s in (0, 30, 600)]

    assert [at_s(stamp) for stamp in stamps] == [0, 30, 600]
    assert {(stamp.basis, stamp.flags) for stamp in stamps} == {("received", ("clock_skew",))}
    assert clock.now_us((START_S + 660) * US_PER_S) == (START_S + 660) * US_PER_S


def test_a_tape_of_last_week_is_believed_at_once(clock: VenueClock) -> None:
    stamp = read(clock, 0, -7 * 86_400, pace="120")

    assert (at_s(stamp), stamp.basis, stamp.flags) == (-7 * 86_400, "http_date", ("clock_skew",))
    assert clock.now_us((START_S + 10) * US_PER_S) == (START_S - 7 * 86_400 + 1_200) * US_PER_S


def test_after_a_suspend_the_pace_is_still_one(clock: VenueClock) -> None:
    read(clock, 0, 0)

    assert at_s(read(clock, 28_800, 28_800)) == 28_800
    assert clock.pace == 1


def test_a_tape_runs_at_the_pace_it_says_until_it_says_another(clock: VenueClock) -> None:
    read(clock, 0, -3_600, pace="60")
    assert clock.now_us((START_S + 10) * US_PER_S) == (START_S - 3_000) * US_PER_S

    read(clock, 60, 0, pace="1")

    assert clock.pace == 1
    assert clock.now_us((START_S + 70) * US_PER_S) == (START_S + 10) * US_PER_S


def test_a_tape_that_catches_up_is_not_taken_to_have_passed_the_present(clock: VenueClock) -> None:
    """It runs at our pace from then on; that is heard with its next answer, which may be late."""
    read(clock, 0, -60, pace="120")

    assert clock.now_us((START_S + 3) * US_PER_S) == (START_S + 3) * US_PER_S
    assert at_s(read(clock, 3, 3, pace="1")) == 3


def test_in_lockstep_time_stands_still_between_answers(clock: VenueClock) -> None:
    read(clock, 0, -500, pace="lockstep")

    assert clock.lockstep
    assert clock.now_us((START_S + 99) * US_PER_S) == (START_S - 500) * US_PER_S


@given(pace=st.text(max_size=12) | st.floats().map(str))
def test_whatever_is_said_of_the_pace_it_stays_within_reason(pace: str) -> None:
    clock = VenueClock(SKEW_S, START_S * US_PER_S)

    read(clock, 0, 0, pace=pace)

    assert 1 <= clock.pace <= MAX_PACE


@given(st.lists(st.tuples(st.floats(0.1, 30), st.integers(-100_000, 100_000)), max_size=30))
def test_nothing_is_stamped_further_ahead_than_an_event_may_be(answers: list[tuple[float, int]]) -> None:
    clock, ours_s = VenueClock(SKEW_S, START_S * US_PER_S), 0.0
    for later_s, off_s in answers:
        ours_s += later_s
        assert at_s(read(clock, ours_s, ours_s + off_s)) <= ours_s + MAX_AHEAD_S


def test_before_its_first_answer_nobody_says_that_a_venues_time_runs_as_ours(clock: VenueClock) -> None:
    before = clock.runs_as_ours
    read(clock, 0.5, 0)
    live = clock.runs_as_ours
    read(clock, 1.5, 1, pace="lockstep")

    assert (before, live, clock.runs_as_ours) == (False, True, False)


def test_an_answer_that_another_one_overtook_is_as_old_as_its_date_says(clock: VenueClock) -> None:
    read(clock, 0, 0)
    read(clock, 20, 20)

    overtaken = clock.read(asked(2, received_s=21, date_s=3))
    wrong = clock.read(asked(2, received_s=21, date_s=3 - 3_600))

    assert (at_s(overtaken), overtaken.basis) == (3, "http_date")
    assert (at_s(wrong), wrong.basis) == (21, "received"), "no answer is older than its question"
    assert at_s(read(clock, 22, 22)) == 22


def test_in_lockstep_an_overtaken_answer_is_of_the_moment_before(clock: VenueClock) -> None:
    read(clock, 0, -1_000, pace="lockstep")
    read(clock, 1, -400, pace="lockstep")

    overtaken = clock.read(replace(asked(0.5, received_s=1.5, date_s=-1_000), pace="lockstep"))

    assert (at_s(overtaken), overtaken.basis) == (-1_000, "http_date")


def asked(asked_s: float, *, received_s: float, date_s: float) -> Received:
    """An answer to a question asked then."""
    asked_us, received_us, date_us = (int((START_S + s) * US_PER_S) for s in (asked_s, received_s, date_s))
    return replace(RECEIVED, ts_asked_us=asked_us, ts_received_us=received_us, date_us=date_us)

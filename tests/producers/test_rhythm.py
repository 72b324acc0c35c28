"""What a job promises, and when a changed promise is worth telling."""

from __future__ import annotations

from producers.rhythm import Rhythm
from schemas.units import US_PER_S


def test_an_interval_that_is_kept_is_not_told() -> None:
    rhythm = Rhythm(15)

    for round_ in range(5):
        rhythm.came_round(round_ * 16 * US_PER_S, took_s=4, disturbed=False)
        assert rhythm.changed() is False

    assert rhythm.kept is True


def test_an_interval_that_cannot_be_kept_is_told_once_with_what_is_kept() -> None:
    rhythm = Rhythm(15)
    rhythm.came_round(0, took_s=110, disturbed=False)

    assert (rhythm.changed(), rhythm.kept, rhythm.promise_s) == (True, False, 110)
    rhythm.came_round(112 * US_PER_S, took_s=109, disturbed=False)
    assert rhythm.changed() is False


def test_it_is_told_when_the_interval_is_kept_again() -> None:
    rhythm = Rhythm(15)
    rhythm.came_round(0, took_s=110, disturbed=False)
    rhythm.changed()

    rhythm.came_round(15 * US_PER_S, took_s=4, disturbed=True)

    assert (rhythm.changed(), rhythm.kept) == (True, True)


def test_the_next_round_is_due_by_the_least_that_is_promised_to_anybody() -> None:
    rhythm = Rhythm(15)
    assert rhythm.due_s == 0, "nothing is promised"

    rhythm.came_round(0, took_s=27, disturbed=False)
    assert rhythm.due_s == 27, "what the first round showed came without a promise"
    rhythm.came_round(27 * US_PER_S, took_s=600, disturbed=False)
    assert (rhythm.promise_s, rhythm.due_s) == (600, 27), "so was promised what that round showed"
    rhythm.came_round(627 * US_PER_S, took_s=590, disturbed=True)
    assert (rhythm.promise_s, rhythm.due_s) == (590, 590)
    rhythm.came_round(1_217 * US_PER_S, took_s=10, disturbed=True)
    assert (rhythm.promise_s, rhythm.due_s) == (15, 15), "so hot ticks and streams promise since"


def test_until_a_round_is_done_what_the_process_before_promised_is_owed() -> None:
    rhythm = Rhythm(15)
    rhythm.takes_over(110)
    assert (rhythm.heartbeat_s, rhythm.due_s, rhythm.promise_s) == (110, 110, 0), "owed, and not yet promised anew"

    rhythm.came_round(0, took_s=27, disturbed=False)

    assert (rhythm.heartbeat_s, rhythm.due_s) == (27, 27)


def test_of_a_process_before_whose_promise_is_not_known_only_the_interval_is_expected() -> None:
    rhythm = Rhythm(15)

    rhythm.takes_over(0)

    assert (rhythm.heartbeat_s, rhythm.due_s) == (0, 15)


def test_a_round_that_begins_no_later_than_the_one_before_stands_still() -> None:
    rhythm = Rhythm(15)

    stands_still = []
    for began_us in (US_PER_S, US_PER_S, 2 * US_PER_S):
        rhythm.came_round(began_us, took_s=1, disturbed=False)
        stands_still.append(rhythm.stands_still)

    assert stands_still == [False, True, False]

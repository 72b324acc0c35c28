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

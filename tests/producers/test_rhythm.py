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

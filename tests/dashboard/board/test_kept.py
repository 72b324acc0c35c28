"""An answer that is kept up: readers find it ready, and never one that is old or whose store has failed since."""

from __future__ import annotations

import pytest

from dashboard.board.kept import Kept
from dashboard.store import StoreUnavailableError
from tests.dashboard.board.conftest import Clock


class Question:
    """Answers the number of times it was asked."""

    def __init__(self) -> None:
        self.asked, self.is_away = 0, False

    def __call__(self) -> int:
        self.asked += 1
        if self.is_away:
            raise StoreUnavailableError("The store does not answer; trying again.")
        return self.asked


@pytest.fixture
def question() -> Question:
    return Question()


@pytest.fixture
def kept(question: Question, clock: Clock) -> Kept[int]:
    """Asks only when told."""
    kept = Kept("strip", question, pause_s=2, current_s=5, clock=clock)
    kept.close()
    return kept


def test_a_reader_finds_the_newest_answer_ready(kept: Kept[int], question: Question, clock: Clock) -> None:
    assert [kept.answer(), kept.answer()] == [1, 1]

    kept.look()
    clock.now_s += 5

    assert (kept.answer(), question.asked) == (2, 2)


def test_a_reader_asks_himself_when_the_answer_is_old(kept: Kept[int], clock: Clock) -> None:
    kept.look()
    clock.now_s += 5.1

    assert kept.answer() == 2


def test_a_store_that_is_away_is_told_at_once_and_asked_again(kept: Kept[int], question: Question) -> None:
    kept.look()
    question.is_away = True
    with pytest.raises(StoreUnavailableError):
        kept.look()

    with pytest.raises(StoreUnavailableError):
        kept.answer()
    question.is_away = False

    assert kept.answer() == 4

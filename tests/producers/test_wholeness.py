"""A listing that may have been cut is told from one that is whole."""

from __future__ import annotations

from producers.wholeness import Wholeness


def test_a_listing_that_shows_far_fewer_markets_than_the_last_whole_one_is_short() -> None:
    whole = Wholeness()
    assert not whole.is_short(1_000), "nothing is known yet"
    whole.was_whole(1_000)

    assert [whole.is_short(markets) for markets in (1_200, 800, 799, 0)] == [False, False, True, True]


def test_a_handful_of_markets_may_shrink_as_it_likes() -> None:
    whole = Wholeness()
    whole.was_whole(19)

    assert not whole.is_short(0)

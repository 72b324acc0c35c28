"""A cut listing is told from a venue that has become smaller."""

from __future__ import annotations

import pytest

from kernel.errors import TransientError
from producers.wholeness import Wholeness


def test_a_listing_that_shows_far_fewer_markets_than_before_was_cut() -> None:
    whole = Wholeness()
    whole.check("sweep", 1_000)
    whole.check("sweep", 900)

    with pytest.raises(TransientError, match="the listing ended after 100 markets, 900 were listed before"):
        whole.check("sweep", 100)
    whole.check("sweep", 890)


def test_the_first_listing_is_compared_with_what_is_known_from_before() -> None:
    with pytest.raises(TransientError):
        Wholeness(expected=50_000).check("crawl", 0)


def test_a_venue_that_has_really_become_small_is_believed_at_the_third_listing() -> None:
    whole = Wholeness(expected=1_000)
    for markets in (400, 390):
        with pytest.raises(TransientError):
            whole.check("sweep", markets)

    whole.check("sweep", 395)

    assert whole.expected == 395


def test_listings_cut_at_different_places_prove_nothing() -> None:
    whole = Wholeness(expected=1_000)
    for markets in (100, 400, 700, 100, 400, 700):
        with pytest.raises(TransientError):
            whole.check("sweep", markets)


def test_a_handful_of_markets_may_shrink_as_it_likes() -> None:
    whole = Wholeness(expected=19)

    whole.check("sweep", 0)

    assert whole.expected == 0

from __future__ import annotations

import pytest

from movers.pairs.match import Listing, candidates, contradiction
from schemas.units import US_PER_S

DAY_US = 86_400 * US_PER_S
CLOSE_US = 1_790_000_000 * US_PER_S


def listing(name: str, title: str, venue: str = "one", outcome: str = "", close_us: int | None = CLOSE_US) -> Listing:
    return Listing(name, venue, title, outcome, close_us)


def found(*listings: Listing) -> list[tuple[str, str]]:
    return [(one.a.market_id, one.b.market_id) for one in candidates(listings)]


def test_two_titles_of_one_event_are_a_candidate_and_another_level_is_not() -> None:
    listings = [
        listing("P1", "Will Bitcoin be above $100,000 on December 31, 2026?"),
        listing("P2", "Will Bitcoin be above $110,000 on December 31, 2026?"),
        listing("K1", "Bitcoin above 100k on Dec 31?", venue="two"),
        listing("K2", "Bitcoin above 110k on Dec 31?", venue="two"),
        listing("K3", "Will it rain in New York on December 31?", venue="two"),
    ]

    assert found(*listings) == [("P1", "K1"), ("P2", "K2")]


def test_the_outcome_is_part_of_what_a_market_says() -> None:
    listings = [
        listing("P", "Who will win the Super Bowl? Kansas City Chiefs"),
        listing("K1", "Who will win the Super Bowl?", venue="two", outcome="Kansas City Chiefs"),
        listing("K2", "Who will win the Super Bowl?", venue="two", outcome="Buffalo Bills"),
    ]

    assert found(*listings) == [("P", "K1")]


@pytest.mark.parametrize(
    ("a", "b", "why"),
    [
        ("Fed cuts rates by 25 bps in December?", "Fed cuts rates by 50bps in December?", "numbers"),
        ("Will X win in 2026?", "Will X win in 2028?", "years"),
        ("Fed cuts rates in October?", "Fed cuts rates in December?", "months"),
        ("High temperature above 40°", "High temperature below 40°", "above and below"),
        ("Will the bill pass?", "Will the bill not pass?", "denial"),
        ("Fed cuts by 25 bps in Dec 2026", "Fed cuts by 25bps in December", None),
    ],
)
def test_what_speaks_against_a_pair_is_named(a: str, b: str, why: str | None) -> None:
    assert contradiction(listing("A", a), listing("B", b, venue="two")) == why


def test_markets_of_one_venue_are_no_pair() -> None:
    assert found(listing("A", "Will it rain in Paris tomorrow?"), listing("B", "Will it rain in Paris tomorrow?")) == []


def test_closing_far_apart_makes_a_candidate_less_sure() -> None:
    a = listing("A", "Will the moon landing succeed?")
    near, far = (
        candidates(
            [a, listing("B", "Will the moon landing succeed?", venue="two", close_us=CLOSE_US + days * DAY_US)], 0
        )
        for days in (1, 100)
    )

    assert near[0].confidence == 1.0 > far[0].confidence


def test_a_market_is_in_one_candidate_at_most() -> None:
    listings = [
        listing("A", "Will the moon landing succeed?"),
        listing("B", "Will the moon landing succeed?", venue="two"),
        listing("C", "Will the moon landing by anyone succeed?", venue="two"),
    ]

    assert found(*listings) == [("A", "B")]

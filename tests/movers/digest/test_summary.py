"""What a digest tells of the episodes of a span, and when it says that they are many."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from movers.digest.summary import Digest, Episode, Gap, summed_up, together
from tests.movers.digest.episodes import DAY, HOUR, NOON, an_episode, hours_of


def of(episodes: Sequence[Episode], days: int = 8) -> Digest:
    return summed_up(episodes, hours_of(days, "kalshi", "polymarket"), [], NOON, DAY)


def days_with(*events: int) -> list[Episode]:
    """So many events on each day before the one told of, the latest first."""
    return [
        an_episode(f"{day}-{number}", hours_ago=24 * (day + 1) + 2)
        for day, count in enumerate(events)
        for number in range(count)
    ]


def test_only_confirmed_moves_are_told_and_all_are_counted() -> None:
    reverted, undecided = an_episode("b", judged="reverted"), an_episode("c", judged="undecided")

    digest = of([an_episode("a"), reverted, undecided])

    assert [told.episode.alert_id for told in digest.told] == ["a"]
    assert digest.episodes == {"confirmed": 1, "reverted": 1, "undecided": 1}


def test_an_event_is_told_once_by_its_market_that_moved_furthest() -> None:
    markets = [an_episode(name, event_key="E", peak_move_pp=pp) for name, pp in [("a", 7.0), ("b", -12.0), ("c", 9.0)]]

    (told,) = of(markets).told

    assert (told.episode.alert_id, told.more_markets) == ("b", 2)


def test_a_market_that_moved_twice_is_no_more_than_one_market() -> None:
    (told,) = of([an_episode("a", market_id="M", event_key="M"), an_episode("b", market_id="M", event_key="M")]).told

    assert told.more_markets == 0


def test_an_event_of_the_span_before_stands_behind_the_new_ones() -> None:
    old = an_episode("old", peak_move_pp=30.0, event_key="E")
    before = an_episode("before", hours_ago=30, event_key="E")

    told = of([old, before, an_episode("new", peak_move_pp=7.0)]).told

    assert [(t.episode.alert_id, t.is_old_story) for t in told] == [("new", False), ("old", True)]


def test_the_moment_between_two_spans_belongs_to_one() -> None:
    digest = of([an_episode("edge", hours_ago=24)])

    assert digest.told == ()
    assert digest.before[0] == 1


@pytest.mark.parametrize(
    ("today", "much"), [(0, "less"), (1, "less"), (2, "usual"), (3, "usual"), (4, "usual"), (5, "more")]
)
def test_much_is_more_than_in_each_day_before(today: int, much: str) -> None:
    episodes = [*days_with(2, 4, 3), *(an_episode(f"now-{n}") for n in range(today))]

    digest = of(episodes, days=4)

    assert digest.before == (2, 4, 3)
    assert digest.much == much


def test_of_two_days_before_nothing_is_said() -> None:
    assert of(days_with(1, 1), days=3).much == "unknown"


def test_a_day_of_which_an_hour_is_missing_is_not_compared_with() -> None:
    hours = [at for at in hours_of(8, "kalshi") if at[1] != NOON - 30 * HOUR]

    digest = summed_up(days_with(9, 1, 1, 1), hours, [], NOON, DAY)

    assert digest.before == (1, 1, 1, 0, 0, 0)


def test_nothing_is_said_of_a_day_that_lacks_an_hour_of_one_venue() -> None:
    hours = [at for at in hours_of(8, "kalshi", "polymarket") if at != ("kalshi", NOON - 3 * HOUR)]

    digest = summed_up([an_episode()], hours, [], NOON, DAY)

    assert not digest.is_whole
    assert digest.much == "unknown"


def test_the_hour_that_has_only_begun_is_not_missed() -> None:
    hours = [at for at in hours_of(8, "kalshi") if at[1] != NOON]

    assert summed_up([], hours, [], NOON + timedelta(minutes=10), DAY).is_whole


def test_gaps_of_a_venue_that_overlap_are_one() -> None:
    gaps = [
        Gap("kalshi", NOON + 2 * HOUR, NOON + 4 * HOUR),
        Gap("kalshi", NOON, NOON + 3 * HOUR),
        Gap("polymarket", NOON + HOUR, NOON + 2 * HOUR),
        Gap("kalshi", NOON + 5 * HOUR, None),
        Gap("kalshi", NOON + 6 * HOUR, NOON + 7 * HOUR),
    ]

    assert together(gaps) == (
        Gap("kalshi", NOON, NOON + 4 * HOUR),
        Gap("polymarket", NOON + HOUR, NOON + 2 * HOUR),
        Gap("kalshi", NOON + 5 * HOUR, None),
    )


def test_of_nothing_there_is_nothing_to_tell() -> None:
    digest = of([], days=1)

    assert (digest.told, digest.much) == ((), "unknown")

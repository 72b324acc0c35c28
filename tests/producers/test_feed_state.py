"""How a feed says that it is connected, degraded, away, or has a gap."""

from __future__ import annotations

from producers.feed_state import DISCONNECTED_AFTER, Change, FeedState
from producers.rhythm import Rhythm
from schemas.units import US_PER_S


def states(changes: list[Change]) -> list[str]:
    return [change.state for change in changes]


def test_a_feed_connects_once_and_says_no_more_while_all_goes_well() -> None:
    feed = FeedState()

    assert states(feed.succeeded("sync_markets")) == ["connected"]
    assert feed.succeeded("sync_prices") == []


def test_failures_degrade_then_disconnect_then_success_reconnects() -> None:
    feed = FeedState()
    feed.succeeded("sync_prices")

    told = [states(feed.failed("sync_prices", "HTTP 503")) for _ in range(DISCONNECTED_AFTER + 2)]

    assert told == [["degraded"], [], [], [], ["disconnected"], [], []]
    assert states(feed.succeeded("sync_prices")) == ["connected"]


def test_hot_polls_that_fail_degrade_but_never_disconnect() -> None:
    feed = FeedState()
    feed.succeeded("sync_prices")

    told = [state for _ in range(20) for state in states(feed.failed("hot", "away"))]

    assert told == ["degraded"]
    assert feed.succeeded("sync_prices") == [], "still degraded: the hot polls fail"
    assert states(feed.succeeded("hot")) == ["connected"]


def test_failing_crawls_degrade_but_never_disconnect_while_sweeps_work() -> None:
    feed = FeedState()
    told: list[str] = []
    for _ in range(20):
        told += states(feed.failed("sync_markets", "HTTP 500") + feed.succeeded("sync_prices"))

    assert told == ["degraded"]


def test_the_time_before_the_start_is_a_gap_until_the_first_whole_sweep() -> None:
    feed = FeedState()

    opened = feed.was_away(1_000 * US_PER_S, 4_600 * US_PER_S)
    closed = feed.swept(4_700 * US_PER_S, 0)

    assert [(change.state, change.gap_started_us) for change in opened + closed] == [
        ("gap_opened", 1_000 * US_PER_S),
        ("gap_closed", 1_000 * US_PER_S),
    ]


def test_the_first_look_of_all_is_a_gap_until_the_first_whole_sweep() -> None:
    feed = FeedState()

    opened = feed.begins(1_000 * US_PER_S)
    closed = feed.swept(1_200 * US_PER_S, 0)

    assert [(change.state, change.gap_started_us) for change in opened + closed] == [
        ("gap_opened", 1_000 * US_PER_S),
        ("gap_closed", 1_000 * US_PER_S),
    ]


def test_who_takes_over_in_time_owes_what_the_one_before_had_promised() -> None:
    feed = FeedState()
    feed.took_over(1_000 * US_PER_S, 15)

    assert feed.watch(1_022 * US_PER_S, 15) == []
    opened = feed.watch(1_023 * US_PER_S, 15)
    closed = feed.swept(1_100 * US_PER_S, 15)

    assert [(change.state, change.gap_started_us) for change in opened + closed] == [
        ("gap_opened", 1_000 * US_PER_S),
        ("gap_closed", 1_000 * US_PER_S),
    ]


def test_who_took_over_in_time_owes_from_his_own_sweep_on() -> None:
    feed = FeedState()
    feed.took_over(1_000 * US_PER_S, 15)

    assert feed.swept(1_010 * US_PER_S, 15) == []
    assert feed.watch(1_047 * US_PER_S, 15) == []
    assert states(feed.watch(1_048 * US_PER_S, 15)) == ["gap_opened"]


def test_before_it_is_known_how_long_a_sweep_takes_nothing_is_promised() -> None:
    feed = FeedState()
    feed.swept(1_000 * US_PER_S, 0)

    assert feed.watch(9_000 * US_PER_S, 0) == []


def test_a_late_sweep_opens_a_gap_and_the_next_one_closes_it() -> None:
    feed = FeedState()
    assert feed.watch(10**15, 60) == [], "nothing was promised yet"
    assert feed.swept(1_000 * US_PER_S, 60) == []
    assert feed.swept(1_060 * US_PER_S, 60) == []

    assert feed.watch(1_210 * US_PER_S, 60) == []
    opened = feed.watch(1_211 * US_PER_S, 60)
    assert feed.watch(1_300 * US_PER_S, 60) == [], "told once"
    closed = feed.swept(1_400 * US_PER_S, 60)

    assert states(opened) == ["gap_opened"]
    assert states(closed) == ["gap_closed"]
    assert {change.gap_started_us for change in opened + closed} == {1_060 * US_PER_S}
    assert feed.swept(1_460 * US_PER_S, 60) == []


def test_a_gap_that_nobody_watched_is_told_when_it_is_over() -> None:
    feed = FeedState()
    feed.swept(1_000 * US_PER_S, 60)

    assert states(feed.swept(1_400 * US_PER_S, 60)) == ["gap_opened", "gap_closed"]


def test_the_promise_is_the_interval_or_what_the_job_really_keeps() -> None:
    rhythm = Rhythm(60)
    assert rhythm.heartbeat_s == 0, "nobody knows yet how long a round takes"

    rhythm.came_round(1_000 * US_PER_S, 110.0, disturbed=False)
    assert rhythm.heartbeat_s == 110, "a sweep that takes longer than the interval"
    rhythm.came_round(1_112 * US_PER_S, 110.0, disturbed=False)
    assert rhythm.heartbeat_s == 112
    rhythm.came_round(5_000 * US_PER_S, 30.5, disturbed=True)
    assert rhythm.heartbeat_s == 60, "an outage is no rhythm"
    rhythm.came_round(5_060 * US_PER_S + 1, 30.5, disturbed=False)
    assert rhythm.heartbeat_s == 61

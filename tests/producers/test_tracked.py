"""What is tracked: changes, the order of arrival, leases, the vanished, the busiest, the ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from producers.quotes import quote
from producers.ticks import Moment, Shown
from producers.tracked import Known, Told, Tracked, Verdict, content_id
from schemas.events import Market
from schemas.units import US_PER_S
from schemas.words import MarketStatus, TickSource

MARKET = Market(
    event_id="",
    venue="v",
    market_id="V:a",
    venue_market_id="a",
    token_ids=("V:1", "V:2"),
    outcomes=("Yes", "No"),
    title="A?",
    event_key="",
    event_title="",
    mutually_exclusive=False,
    category="sports",
    venue_category="",
    tags=(),
    status="open",
    url="",
    ts_event_us=1,
    ts_received_us=2,
)


def market(name: str = "a", **change: Any) -> Market:
    made = replace(MARKET, market_id=f"V:{name}", venue_market_id=name, **change)
    return replace(made, event_id=content_id(made))


def shown(name: str = "a", cents: int = 50, **change: Any) -> Shown:
    """A market's quote, one cent wide."""
    sides = quote(cents * 10_000, cents * 10_000 + 10_000, None)
    made = Shown(market_id=f"V:{name}", token_id=f"V:{name}:1", quote=sides, market_status="open")
    return replace(made, **change)


def moment(at_s: float, source: TickSource = "sweep", heartbeat_s: int = 60) -> Moment:
    us = int(at_s * US_PER_S)
    return Moment(
        as_of_us=us, ts_received_us=us, ts_event_basis="http_date", source=source, heartbeat_s=heartbeat_s
    )  # fmt: skip


# ── metadata ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_market_goes_out_once_at_the_start_and_then_only_when_it_changed() -> None:
    tracked = Tracked()

    told = [
        tracked.changed(market()),
        tracked.changed(market(ts_event_us=99)),
        tracked.changed(market(title="B?")),
        tracked.changed(market(title="B?")),
        tracked.changed(market()),
    ]

    assert told == [True, False, True, False, True]
    assert tracked.category("V:a") == "sports"
    assert tracked.category("V:unknown") == ""


def test_a_market_in_two_events_stays_with_the_first_until_that_lists_it_no_more() -> None:
    tracked = Tracked()
    both = (market(event_key="E1"), market(event_key="E2"))

    told = []
    for _ in range(3):
        tracked.begin_crawl()
        told += [tracked.changed(each) for each in both]
    for _ in range(3):
        tracked.begin_crawl()
        told.append(tracked.changed(both[1]))

    assert told == [True, False, False, False, False, False, False, True, False]


def test_an_older_cached_page_does_not_take_back_a_settlement() -> None:
    tracked = Tracked()
    tracked.begin_crawl()
    now_us = 1_000 * US_PER_S
    tracked.changed(market(ts_event_us=now_us))
    tracked.admit(shown(), moment(1_000))
    assert tracked.changed(market(status="settled", ts_event_us=now_us + 10 * US_PER_S))
    tracked.admit(shown(market_status="settled"), moment(1_010))

    assert not tracked.changed(market(ts_event_us=now_us + 5 * US_PER_S))
    assert tracked.admit(shown(), moment(1_005)).left_out == "ended"
    assert tracked.held == 0


def test_an_older_cached_page_does_not_take_back_a_new_title() -> None:
    tracked = Tracked()
    tracked.changed(market(title="New?", ts_event_us=100 * US_PER_S))

    assert not tracked.changed(market(title="Old?", ts_event_us=40 * US_PER_S))
    assert tracked.changed(market(title="Newer?", ts_event_us=99 * US_PER_S)), (
        "within the seconds that Dates are cut to"
    )


def test_a_market_that_opens_again_after_its_end_is_followed_again() -> None:
    tracked = Tracked()
    tracked.changed(market(status="settled", ts_event_us=10 * US_PER_S))

    assert tracked.changed(market(ts_event_us=60 * US_PER_S))
    assert tracked.admit(shown(), moment(61)).left_out is None


def test_a_market_from_before_a_restart_is_not_told_again() -> None:
    tracked = Tracked()
    tracked.restore(Told.of(market()), None)
    tracked.begin_crawl()

    assert not tracked.changed(market(ts_event_us=99))
    assert tracked.changed(market(title="Changed meanwhile?", ts_event_us=99))


def test_a_market_that_settled_while_nobody_watched_still_gets_its_last_tick() -> None:
    tracked = Tracked()
    tracked.restore(Told.of(market()), None)

    assert tracked.changed(market(status="settled", ts_event_us=99))
    assert tracked.admit(shown(market_status="settled"), moment(1)).left_out is None
    assert tracked.held == 0


def test_a_market_first_met_when_settled_is_described_and_let_go_without_a_tick() -> None:
    tracked = Tracked()

    assert tracked.changed(market(status="settled"))
    assert tracked.admit(shown(market_status="settled"), moment(1)).left_out == "ended"
    assert not tracked.changed(market(status="settled"))
    assert tracked.held == 0


# ── the order of arrival ─────────────────────────────────────────────────────────────────────────────────────────────


def test_two_states_of_one_second_are_both_published_in_their_order_of_arrival() -> None:
    tracked = Tracked()

    verdicts = [tracked.admit(shown(cents=40), moment(7, "hot")), tracked.admit(shown(cents=60), moment(7, "sweep"))]

    assert verdicts == [Verdict(7 * US_PER_S, None), Verdict(7 * US_PER_S + 1, None)]


@pytest.mark.parametrize("status", ["open", "settled"])
def test_a_token_that_went_over_to_another_market_stays_there(status: MarketStatus) -> None:
    tracked = Tracked()
    tracked.changed(market())
    tracked.admit(shown(token_id="V:t"), moment(1))
    tracked.admit(shown("b", token_id="V:t"), moment(2))

    tracked.changed(market(status=status, ts_event_us=3 * US_PER_S))
    tracked.admit(shown(token_id="V:u", market_status=status), moment(3))

    last = tracked.last_shown("V:t")
    assert last is not None
    assert last.market_id == "V:b"


def test_the_same_state_of_the_same_second_is_published_once() -> None:
    tracked = Tracked()

    verdicts = [tracked.admit(shown(), moment(at_s)).left_out for at_s in (7, 7, 8)]

    assert verdicts == [None, "repeated", None]


def test_a_sweeps_newer_quote_is_published_though_the_market_is_polled_hot() -> None:
    tracked = Tracked()
    tracked.admit(shown(cents=40), moment(1_000, "hot"))

    assert tracked.admit(shown(cents=60), moment(1_001)).left_out is None
    assert tracked.admit(shown(cents=61), moment(1_002, "hot")).left_out is None
    assert tracked.admit(shown(cents=39), moment(1_001)).left_out == "older_than_shown", "beside a hot one no slack"


def test_an_answer_from_a_cache_is_older_than_what_was_shown() -> None:
    tracked = Tracked()
    tracked.admit(shown(cents=40), moment(1_000))

    assert tracked.admit(shown(cents=60), moment(940)).left_out == "older_than_shown"
    assert tracked.admit(shown(cents=61), moment(999)).left_out is None, "servers differ by a second"


def test_of_two_answers_on_their_way_at_once_the_older_date_is_the_older_state_whichever_comes_first() -> None:
    tracked = Tracked()
    tracked.admit(shown(cents=40), moment(1_001))

    overtaken = replace(moment(1_000), ts_asked_us=1_000 * US_PER_S, ts_received_us=1_002 * US_PER_S)
    asked_after = replace(overtaken, ts_asked_us=1_003 * US_PER_S)

    assert tracked.admit(shown(cents=60), overtaken).left_out == "older_than_shown"
    assert tracked.admit(shown(cents=60), replace(overtaken, as_of_us=1_001 * US_PER_S)).left_out is None, "no older"
    assert tracked.admit(shown(cents=61), asked_after).left_out is None, "it was asked for when the other had come"


@given(
    st.lists(st.tuples(st.integers(1, 30), st.sampled_from(["sweep", "hot", "stream"]), st.integers(1, 4)), max_size=60)
)
def test_every_state_is_published_under_a_later_instant_or_left_out_for_a_reason(
    arrivals: list[tuple[int, TickSource, int]],
) -> None:
    tracked = Tracked()
    instants: list[int] = []
    last: tuple[int, int] | None = None
    for at_s, source, cents in arrivals:
        verdict = tracked.admit(shown(cents=cents), moment(at_s, source))
        if verdict.left_out is None:
            instants.append(verdict.ts_event_us)
            last = (at_s, cents)
        elif verdict.left_out == "repeated":
            assert last is not None
            assert last[1] == cents
        else:
            assert verdict.left_out == "older_than_shown"
            assert last is not None
            assert at_s < last[0]

    assert instants == sorted(set(instants))


# ── streams ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_polls_leave_a_market_to_its_stream_while_that_is_alive() -> None:
    tracked = Tracked()
    tracked.admit(shown(cents=40), moment(100, "stream"))
    tracked.lease(["V:a"], 160 * US_PER_S)

    assert tracked.admit(shown(cents=60), moment(130)).left_out == "outranked"
    assert tracked.admit(shown(cents=60), moment(131, "hot")).left_out == "outranked"
    assert tracked.admit(shown(cents=60, market_status="closed"), moment(132)).left_out is None, (
        "an end is told at once"
    )
    assert tracked.admit(shown(cents=60), moment(161)).left_out is None, "the lease is over"


def test_an_end_within_the_second_of_the_streams_last_word_is_told() -> None:
    tracked = Tracked()
    tracked.changed(market())
    tracked.admit(shown(), moment(100.7, "stream"))
    tracked.lease(["V:a"], 160 * US_PER_S)

    tracked.changed(market(status="settled", ts_event_us=100 * US_PER_S))
    end = tracked.admit(shown(market_status="settled"), moment(100))

    assert (end.left_out, tracked.held) == (None, 0), "Dates are cut to seconds"


def test_a_market_whose_end_was_told_without_a_tick_is_asked_for_again() -> None:
    tracked = Tracked()
    tracked.begin_crawl()
    tracked.changed(market())
    tracked.admit(shown(), moment(100, "stream"))
    tracked.lease(["V:a"], 160 * US_PER_S)
    tracked.changed(market(status="settled", ts_event_us=100 * US_PER_S))
    assert tracked.admit(shown(market_status="settled"), moment(90)).left_out == "older_than_shown"

    tracked.begin_crawl()

    assert tracked.vanished(10) == ["a"]
    assert tracked.admit(shown(market_status="settled"), moment(110)).left_out is None
    assert tracked.held == 0


def test_a_stream_that_says_the_same_again_is_published_once() -> None:
    tracked = Tracked()

    verdicts = [tracked.admit(shown(), moment(at_s, "stream")).left_out for at_s in (1, 2, 3)]

    assert verdicts == [None, "repeated", "repeated"]


def test_after_a_stream_was_lost_the_next_tick_says_that_it_comes_after_a_gap() -> None:
    tracked = Tracked()
    tracked.admit(shown(cents=40), moment(100, "stream"))
    tracked.lease(["V:a"], 160 * US_PER_S)
    tracked.unlease(["V:a"])

    first, second = (tracked.admit(shown(cents=cents), moment(at_s)) for cents, at_s in ((41, 101), (42, 102)))

    assert (first.left_out, first.after_gap, second.after_gap) == (None, True, False)


def test_after_a_gap_of_the_whole_feed_each_polled_market_says_so_once() -> None:
    tracked = Tracked()
    for name in "ab":
        tracked.admit(shown(name), moment(100))
    tracked.lease(["V:b"], 10_000 * US_PER_S)

    tracked.gap_began(400 * US_PER_S)

    after = [
        tracked.admit(shown(name, 60), moment(at_s, "stream")).after_gap for name, at_s in (("a", 401), ("b", 401))
    ]
    assert after == [True, False], "its stream went on showing b"


# ── crawls ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_markets_that_a_crawl_did_not_meet_are_asked_for_until_their_end_is_told() -> None:
    tracked = Tracked()
    tracked.begin_crawl()
    for name, status in (("a", "open"), ("b", "open"), ("c", "closed"), ("d", "settled")):
        tracked.changed(market(name, status=status))
    assert tracked.vanished(10) == []

    tracked.begin_crawl()
    tracked.changed(market("b"))

    assert tracked.vanished(10) == ["a", "c"], "the open one first; the settled one has nothing more to tell"
    assert not tracked.met("V:a")
    tracked.changed(market("a", status="settled"))
    assert tracked.met("V:a")
    tracked.forget("V:c")
    tracked.begin_crawl()
    tracked.changed(market("b"))
    tracked.admit(shown("a", market_status="settled"), moment(5))
    assert tracked.vanished(10) == []
    assert len(tracked) == 1


def test_a_market_met_by_the_sweep_only_is_untold_and_asked_for_when_it_is_gone() -> None:
    tracked = Tracked()
    assert tracked.untold(shown())
    tracked.admit(shown(), moment(1))
    assert tracked.untold(shown())
    tracked.changed(market())
    assert not tracked.untold(shown())
    assert tracked.untold(shown(market_status="closed")), "its new status was not told yet"

    tracked.begin_crawl()

    assert tracked.vanished(10) == ["a"]


def test_look_ups_take_turns_when_there_are_many() -> None:
    tracked = Tracked()
    tracked.begin_crawl()
    for name in "abcde":
        tracked.changed(market(name, status="closed"))

    asked = []
    for _ in range(3):
        tracked.begin_crawl()
        asked += tracked.vanished(2)

    assert asked[:5] == list("abcde")


def test_ended_markets_leave_the_memory_and_are_forgotten_when_the_venue_lists_them_no_more() -> None:
    tracked = Tracked()
    for crawl in range(12):
        tracked.begin_crawl()
        for number in range(100):
            name = f"{crawl}-{number}"
            tracked.changed(market(name, ts_event_us=crawl))
            tracked.admit(shown(name), moment(crawl))
            tracked.changed(market(name, status="settled", ts_event_us=crawl))
            tracked.admit(shown(name, market_status="settled"), moment(crawl + 0.5))

    assert (len(tracked), tracked.held) == (0, 0)
    assert tracked.ended <= 700


def test_markets_behind_a_page_that_fails_are_known_by_when_they_were_last_seen() -> None:
    tracked = Tracked()
    for at_s, name in ((1, "a"), (2, "b"), (9, "c")):
        tracked.admit(shown(name), moment(at_s))

    assert [known.market_id for known in tracked.unseen_since(5 * US_PER_S, 10)] == ["V:a", "V:b"]
    assert [known.market_id for known in tracked.unseen_since(5 * US_PER_S, 1)] == ["V:a"]


# ── how they are ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_closed_market_is_neither_counted_nor_polled_hot() -> None:
    tracked = Tracked(busiest=9)
    for name, volume in (("a", 5.0), ("b", 50.0), ("c", None)):
        tracked.admit(shown(name, volume_24h_usd=volume), moment(1_000))
    assert [known.market_id for known in tracked.busiest(2)] == ["V:b", "V:a"]

    tracked.admit(shown("b", market_status="closed"), moment(1_001, "hot"))

    assert [known.market_id for known in tracked.busiest(9)] == ["V:a", "V:c"]
    assert len(tracked) == 2


@given(
    st.lists(st.tuples(st.integers(0, 40), st.none() | st.integers(0, 30)), max_size=200),
    st.integers(1, 5),
)
@example([(0, 0), (1, 2), (2, 1), (1, 0)], 1)
def test_the_busiest_are_those_that_a_walk_over_all_would_find(seen: list[tuple[int, int | None]], wanted: int) -> None:
    tracked, volumes = Tracked(busiest=wanted), dict[str, float]()
    sights = [*seen, *((number, volumes_of(seen)[number]) for number in range(41) if number in volumes_of(seen))]
    for at_s, (number, volume) in enumerate(sights, start=1):
        name = f"{number:02}"
        status = "closed" if volume is None else "open"
        tracked.admit(shown(name, volume_24h_usd=volume, market_status=status), moment(at_s))
        volumes.pop(name, None)
        if volume is not None:
            volumes[name] = float(volume)

    found = [volumes[known.venue_market_id] for known in tracked.busiest(wanted)]

    assert found == sorted(volumes.values(), reverse=True)[:wanted]


def volumes_of(seen: list[tuple[int, int | None]]) -> dict[int, int | None]:
    """What was last seen of each: the sweep after it shows all of them once more."""
    return dict(seen)


@pytest.mark.parametrize(("now_s", "stale"), [(1_140, 0), (1_161, 1), (1_261, 2)])
def test_a_market_is_stale_when_its_promise_is_long_broken(now_s: int, stale: int) -> None:
    tracked = Tracked()
    tracked.admit(shown("a"), moment(1_000))
    tracked.admit(shown("b"), moment(900))
    tracked.admit(shown("b", 60), moment(1_100))
    tracked.admit(shown("c"), moment(10, heartbeat_s=0))
    tracked.admit(shown("d"), moment(10))
    tracked.admit(shown("d", market_status="closed"), moment(11))

    assert tracked.stale(now_s * US_PER_S) == stale


class NeverWalked(dict[str, Known]):
    """Markets that may be looked up and counted, but not walked over."""

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("all markets were walked over")

    def values(self) -> Any:
        raise AssertionError("all markets were walked over")

    items = keys = values


def test_what_is_asked_between_two_frames_walks_over_no_list_of_all_markets() -> None:
    tracked = Tracked(busiest=2)
    for number in range(9):
        tracked.admit(shown(str(number), volume_24h_usd=float(number)), moment(1_000))
    tracked._known = NeverWalked(tracked._known)

    assert [known.market_id for known in tracked.busiest(2)] == ["V:8", "V:7"]
    assert tracked.stale(1_500 * US_PER_S) == len(tracked) == tracked.held == 9
    with pytest.raises(AssertionError, match="walked over"):
        tracked.gap_began(1_500 * US_PER_S)


def test_a_market_that_was_forgotten_comes_back_under_a_later_instant_whatever_the_clock() -> None:
    tracked = Tracked()
    tracked.admit(shown("a"), moment(1_000))
    tracked.forget("V:a")

    assert tracked.admit(shown("a"), moment(400)).ts_event_us == 1_000 * US_PER_S + 1


def test_what_is_told_of_the_time_before_is_not_told_of_a_market_that_was_forgotten_meanwhile() -> None:
    tracked = Tracked()
    tracked.admit(shown("a"), moment(1_000))
    tracked.forget("V:a")

    assert tracked.blind_since_us("V:a") == 1_000 * US_PER_S

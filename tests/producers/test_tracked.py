"""What is tracked: changes, time running forward, hot before swept, the vanished, the busiest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from producers.tracked import Tracked, content_id
from schemas.events import Market, Tick
from schemas.units import US_PER_S

HOT_RESTS_US = 37 * US_PER_S
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
TICK = Tick(
    event_id="",
    venue="v",
    market_id="V:a",
    token_id="V:1",
    ts_event_us=0,
    ts_received_us=0,
    ts_event_basis="http_date",
    source="sweep",
    price_basis="none",
    market_status="open",
    heartbeat_s=60,
    flags=(),
)


def market(name: str = "a", **change: Any) -> Market:
    made = replace(MARKET, market_id=f"V:{name}", venue_market_id=name, **change)
    return replace(made, event_id=content_id(made))


def tick(at_s: float, name: str = "a", **change: Any) -> Tick:
    return replace(TICK, market_id=f"V:{name}", ts_event_us=int(at_s * US_PER_S), **change)


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


@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["sweep", "hot"])), max_size=60))
def test_time_runs_forward_in_what_is_admitted(ticks: list[tuple[int, str]]) -> None:
    tracked = Tracked()

    admitted = [at for at, source in ticks if not tracked.admit(tick(at + 1, source=source), hot_rests_us=5 * US_PER_S)]

    assert admitted == sorted(set(admitted)), "no moment twice, none from before"


def test_a_swept_quote_waits_while_hot_polls_come_and_takes_over_when_they_stop() -> None:
    tracked = Tracked()

    def admit(at_s: float, source: str) -> str:
        return tracked.admit(tick(at_s, source=source), hot_rests_us=HOT_RESTS_US)

    assert admit(1_000, "sweep") == ""
    assert admit(1_015, "hot") == ""
    assert admit(1_020, "sweep") == "hot_is_fresher"
    assert admit(1_030, "hot") == ""
    assert admit(1_066, "sweep") == "hot_is_fresher"
    assert admit(1_068, "sweep") == "", "38 s without a hot poll"


def test_the_end_of_a_hot_market_is_told_at_once() -> None:
    tracked = Tracked()
    tracked.admit(tick(1_000, source="hot"), hot_rests_us=HOT_RESTS_US)

    assert tracked.admit(tick(1_001, market_status="settled"), hot_rests_us=HOT_RESTS_US) == ""


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
    assert tracked.vanished(10) == []
    assert len(tracked) == 1


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


def test_a_closed_market_is_neither_counted_nor_polled_hot() -> None:
    tracked = Tracked()
    for name, volume in (("a", 5.0), ("b", 50.0), ("c", None)):
        tracked.admit(tick(1_000, name, volume_24h_usd=volume), hot_rests_us=HOT_RESTS_US)
    assert [t.market_id for t in tracked.busiest(2)] == ["V:b", "V:a"]

    tracked.admit(tick(1_001, "b", source="hot", market_status="closed"), hot_rests_us=HOT_RESTS_US)

    assert [t.market_id for t in tracked.busiest(9)] == ["V:a", "V:c"]
    assert len(tracked) == 2


def test_a_market_is_stale_when_its_promise_is_long_broken() -> None:
    tracked = Tracked()
    tracked.admit(tick(1_000, "a"), hot_rests_us=HOT_RESTS_US)
    tracked.admit(tick(1_100, "b"), hot_rests_us=HOT_RESTS_US)

    assert [tracked.stale(at_s * US_PER_S, 2.5) for at_s in (1_150, 1_151, 1_251)] == [0, 1, 2]

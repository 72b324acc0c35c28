"""What went wrong in collectors before: real jobs over a venue that misbehaves, and a real Kafka."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from typing import Any

import httpx
import orjson
import pytest

from kernel.errors import TransientError
from kernel.settings import CollectorSettings
from producers.base import Collector, Errand, PastReader, Received
from producers.before import Before
from producers.jobs import Jobs
from producers.kalshi.feed import KalshiFeed
from producers.kalshi.histories import KalshiPast
from producers.kalshi.reader import KalshiReader
from producers.tracked import Told
from schemas import topics
from schemas.events import FeedStatus, Market, Tick
from schemas.units import US_PER_S
from tests.producers.bench import START_US, Bench, gamma_row, kalshi_row, kalshi_venue, perform
from tests.producers.bench import bench as bench

pytestmark = pytest.mark.stack

KALSHI = pytest.mark.parametrize("bench", ["kalshi"], indirect=True)
POLYMARKET = pytest.mark.parametrize("bench", ["polymarket"], indirect=True)


def words(told: list[FeedStatus]) -> list[str]:
    return [status.state for status in told if not status.detail.startswith("as before")]


# ── whole or not ─────────────────────────────────────────────────────────────────────────────────────────────────────


@KALSHI
@pytest.mark.parametrize(
    "cut",
    [
        {"cursor": "", "markets": []},
        {"cursor": None, "markets": []},
        {"markets": []},
        {"cursor": "again", "markets": []},
    ],
    ids=["empty", "null cursor", "no cursor", "repeated cursor"],
)
def test_a_cut_listing_is_a_failed_sweep_and_soon_a_gap(bench: Bench, cut: dict[str, Any]) -> None:
    rows = [kalshi_row(f"KXE-C{n}") for n in range(30)]
    whole = kalshi_venue(rows, {row["ticker"]: row for row in rows})
    bench.answer = whole
    jobs = bench.jobs("kalshi")
    perform(jobs, jobs.rounds.crawl, jobs.rounds.sweep)
    bench.clock.advance(15)
    perform(jobs, jobs.rounds.sweep)

    def answer(request: httpx.Request) -> Any:
        listing = request.url.path == "/markets" and "tickers" not in request.url.params
        return cut if listing else whole(request)

    bench.answer = answer
    cut_at_us = bench.clock.now_us()
    bench.live(jobs, lambda: jobs.health()["feed"] == "disconnected" or bench.clock.now_us() > cut_at_us + 90_000_000)

    told = bench.statuses()
    assert "gap_opened" in words(told)
    [gap] = {status.gap_started_us for status in told if status.state == "gap_opened"}
    assert gap == START_US + 15 * US_PER_S
    assert jobs.health()["feed"] in ("degraded", "disconnected")


@KALSHI
def test_a_venue_that_has_really_become_small_is_believed(bench: Bench) -> None:
    rows = [kalshi_row(f"KXE-MANY{n}") for n in range(60)]
    bench.answer = kalshi_venue(rows, {})
    jobs = bench.jobs("kalshi")
    perform(jobs, jobs.rounds.crawl, jobs.rounds.sweep)
    bench.clock.advance(15)
    over = {row["ticker"]: row | {"status": "finalized", "result": "no"} for row in rows[10:]}
    bench.answer = kalshi_venue(rows[:10], over)

    perform(jobs, jobs.rounds.sweep)

    assert jobs.health()["markets_tracked"] == 10


@POLYMARKET
def test_a_page_that_always_fails_starves_no_market_behind_it(bench: Bench) -> None:
    rows = [
        gamma_row(0.40, 0.42) | {"conditionId": f"0xpage{n}", "clobTokenIds": f'["10{n}", "20{n}"]'} for n in range(3)
    ]
    broken = False

    def answer(request: httpx.Request) -> Any:
        if request.url.path == "/books":
            sides = {"bids": [{"price": "0.70", "size": "5"}], "asks": [{"price": "0.72", "size": "7"}]}
            return [{"asset_id": item["token_id"], **sides} for item in orjson.loads(request.content)]
        page = int(request.url.params.get("after_cursor", "0"))
        if broken and page == 1:
            return 500
        return {"markets": [rows[page]]} | ({"next_cursor": str(page + 1)} if page < 2 else {})

    bench.answer = answer
    jobs = bench.jobs("polymarket")
    perform(jobs, jobs.rounds.sweep)
    broken = True
    bench.clock.advance(60)

    with pytest.raises(TransientError):
        perform(jobs, jobs.rounds.sweep)

    for behind in ("POLY:0xpage1", "POLY:0xpage2"):
        ticks: list[Tick] = bench.published(topics.TICKS, behind)
        assert [(t.source, t.price_ppm) for t in ticks] == [("sweep", 410_000), ("hot", 710_000)]


# ── the first minute ─────────────────────────────────────────────────────────────────────────────────────────────────


@KALSHI
def test_the_quotes_of_the_crawl_are_published_before_the_crawl_is_whole(bench: Bench) -> None:
    first = {"event_ticker": "KXE", "series_ticker": "KX", "markets": [kalshi_row("KXE-FIRST")]}

    def answer(request: httpx.Request) -> Any:
        if request.url.path == "/events":
            return 500 if "cursor" in request.url.params else {"cursor": "2", "events": [first]}
        return {"cursor": "", "series": [], "markets": []}

    bench.answer = answer
    jobs = bench.jobs("kalshi")
    with pytest.raises(TransientError):
        perform(jobs, jobs.rounds.crawl)

    [tick] = bench.published(topics.TICKS, "KALSHI:KXE-FIRST")
    assert tick.price_ppm == 410_000


@KALSHI
def test_sweeps_and_hot_polls_go_on_though_every_crawl_fails(bench: Bench) -> None:
    asked: list[str] = []
    row = kalshi_row("KXE-SWEPT")

    def answer(request: httpx.Request) -> Any:
        asked.append("hot" if "tickers" in request.url.params else request.url.path)
        return 500 if request.url.path == "/events" else {"cursor": "", "series": [], "markets": [row]}

    bench.answer = answer
    jobs = bench.jobs("kalshi")
    bench.live(jobs, lambda: asked.count("/markets") >= 2 and asked.count("hot") >= 2)

    assert bench.published(topics.TICKS, "KALSHI:KXE-SWEPT")
    assert jobs.health()["feed"] == "degraded", "the prices come, so it is not disconnected"


@KALSHI
def test_hot_polls_begin_with_the_first_page_and_not_after_some_sweeps(bench: Bench) -> None:
    asked: list[str] = []
    venue = kalshi_venue([kalshi_row("KXE-HOT")], {"KXE-HOT": kalshi_row("KXE-HOT")})

    def answer(request: httpx.Request) -> Any:
        asked.append("hot" if "tickers" in request.url.params else request.url.path)
        return venue(request)

    bench.answer = answer
    jobs = bench.jobs("kalshi")
    bench.live(jobs, lambda: "hot" in asked)

    assert asked.count("/markets") <= 1


@KALSHI
def test_a_market_that_only_the_sweep_meets_is_described_and_its_end_told(bench: Bench) -> None:
    stays, only = kalshi_row("KXE-BOTH"), kalshi_row("KXE-ONLY")
    swept = [stays, only]

    def answer(request: httpx.Request) -> Any:
        if request.url.path == "/events":
            return {"cursor": "", "events": [{"event_ticker": "KXE", "series_ticker": "KX", "markets": [stays]}]}
        if request.url.params.get("tickers"):
            return {"cursor": "", "markets": [only | {"status": "finalized", "result": "no"}]}
        return {"cursor": "", "series": [], "markets": swept}

    bench.answer = answer
    jobs = bench.jobs("kalshi")
    perform(jobs, jobs.rounds.crawl, jobs.rounds.sweep)
    assert jobs.health()["markets_tracked"] == 2
    swept = [stays]
    bench.clock.advance(900)

    perform(jobs, jobs.rounds.crawl)

    told: list[Market] = bench.published(topics.MARKETS, "KALSHI:KXE-ONLY")
    ticks: list[Tick] = bench.published(topics.TICKS, "KALSHI:KXE-ONLY")
    assert [(m.status, m.result) for m in told] == [("open", None), ("settled", "No")]
    assert [t.market_status for t in ticks] == ["open", "settled"]
    assert jobs.health()["markets_tracked"] == 1
    assert jobs.tracked.held == 1


# ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@KALSHI
def test_one_answer_dated_an_hour_ahead_silences_nothing(bench: Bench) -> None:
    bench.answer = kalshi_venue([kalshi_row("KXE-AHEAD")], {})
    jobs = bench.jobs("kalshi")
    perform(jobs, jobs.rounds.sweep)
    bench.clock.advance(15)
    bench.headers = lambda: {"Date": "Sun, 09 Aug 2026 13:00:15 GMT"}
    bench.answer = kalshi_venue([kalshi_row("KXE-AHEAD", yes_bid_dollars="0.4100")], {})
    perform(jobs, jobs.rounds.sweep)
    bench.clock.advance(15)
    bench.headers = bench.date
    bench.answer = kalshi_venue([kalshi_row("KXE-AHEAD", yes_ask_dollars="0.4400")], {})
    perform(jobs, jobs.rounds.sweep)

    ticks: list[Tick] = bench.published(topics.TICKS, "KALSHI:KXE-AHEAD")
    assert [(t.ts_event_us - START_US) // US_PER_S for t in ticks] == [0, 15, 30]
    assert [t.ts_event_basis for t in ticks] == ["http_date", "received", "http_date"]
    assert ticks[1].ts_venue_us == START_US + 3_615 * US_PER_S, "what the venue said is kept"


@KALSHI
def test_without_any_date_the_crawl_repeats_all_the_same(bench: Bench) -> None:
    crawls = 0
    venue = kalshi_venue([kalshi_row("KXE-NODATES")], {"KXE-NODATES": kalshi_row("KXE-NODATES")})

    def answer(request: httpx.Request) -> Any:
        nonlocal crawls
        crawls += request.url.path == "/events"
        return venue(request)

    bench.answer, bench.headers = answer, lambda: {}
    bench.live(bench.jobs("kalshi"), lambda: crawls >= 3, for_s=4_000)


@KALSHI
def test_the_time_that_the_process_was_down_is_a_gap_and_its_ticks_say_so(bench: Bench) -> None:
    row = kalshi_row("KXE-DOWN")
    bench.answer = kalshi_venue([row], {})
    jobs = bench.jobs("kalshi")
    perform(jobs, jobs.rounds.crawl)
    [market] = bench.published(topics.MARKETS, "KALSHI:KXE-DOWN")
    bench.clock.advance(7_200)

    later = bench.jobs("kalshi")
    remembered = Before({market.market_id: Told.of(market)}, START_US)
    perform(later, lambda: later.remember(remembered), later.rounds.crawl, later.rounds.sweep)

    told = [status for status in bench.statuses() if status.gap_started_us is not None]
    assert [(s.state, s.gap_started_us) for s in told] == [("gap_opened", START_US), ("gap_closed", START_US)]
    ticks: list[Tick] = bench.published(topics.TICKS, "KALSHI:KXE-DOWN")
    assert [t.flags for t in ticks] == [(), ("after_gap",)]
    assert len(bench.published(topics.MARKETS, "KALSHI:KXE-DOWN")) == 1, "nothing new, so not told again"


@KALSHI
def test_until_the_first_whole_sweep_of_all_the_feed_is_blind_and_each_markets_first_tick_says_so(bench: Bench) -> None:
    rows = [kalshi_row("KXE-ONE"), kalshi_row("KXE-TWO")]
    bench.answer = kalshi_venue(rows, {})
    jobs = bench.jobs("kalshi")
    perform(jobs, lambda: jobs.remember(Before()), jobs.rounds.crawl)
    bench.clock.advance(85)
    before_the_sweep = [status.state for status in bench.statuses() if status.gap_started_us is not None]
    perform(jobs, jobs.rounds.sweep)
    bench.clock.advance(15)
    rows.append(kalshi_row("KXE-NEW"))
    perform(jobs, jobs.rounds.sweep)

    assert before_the_sweep == ["gap_opened"]
    told = [status for status in bench.statuses() if status.gap_started_us is not None]
    assert [(s.state, s.gap_started_us) for s in told] == [("gap_opened", START_US), ("gap_closed", START_US)]
    ticks: list[Tick] = [t for row in rows for t in bench.published(topics.TICKS, f"KALSHI:{row['ticker']}")]
    assert [t.flags for t in ticks] == [("after_gap",), (), ()] * 2 + [()], "what is new later was not missed"
    assert [t.heartbeat_s for t in ticks if "after_gap" in t.flags] == [0, 0]


@KALSHI
def test_a_market_that_is_first_met_after_a_downtime_may_have_been_missed_and_says_so(bench: Bench) -> None:
    rows = [kalshi_row("KXE-KNOWN"), kalshi_row("KXE-UNKNOWN")]
    bench.answer = kalshi_venue(rows[:1], {})
    jobs = bench.jobs("kalshi")
    perform(jobs, jobs.rounds.crawl)
    [market] = bench.published(topics.MARKETS, "KALSHI:KXE-KNOWN")
    bench.clock.advance(7_200)
    bench.answer = kalshi_venue(rows, {})

    later = bench.jobs("kalshi")
    remembered = Before({market.market_id: Told.of(market)}, START_US)
    perform(later, lambda: later.remember(remembered), later.rounds.crawl, later.rounds.sweep)

    [first, *_] = bench.published(topics.TICKS, "KALSHI:KXE-UNKNOWN")
    assert first.flags == ("after_gap",)


@KALSHI
def test_who_takes_over_promises_what_was_promised_until_he_knows_what_he_keeps_himself(bench: Bench) -> None:
    bench.answer = kalshi_venue([kalshi_row("KXE-OWED")], {})
    jobs = bench.jobs("kalshi")
    since_us = START_US - 20 * US_PER_S

    perform(jobs, lambda: jobs.remember(Before({}, since_us, promise_s=110)), jobs.rounds.crawl)
    bench.clock.advance(30)
    perform(jobs, jobs.rounds.sweep)
    bench.clock.advance(15)
    perform(jobs, jobs.rounds.sweep)

    ticks: list[Tick] = bench.published(topics.TICKS, "KALSHI:KXE-OWED")
    assert [t.heartbeat_s for t in ticks] == [110, 110, 15]


@KALSHI
def test_who_was_killed_in_the_first_look_of_all_leaves_its_gap_to_whoever_comes_next(bench: Bench) -> None:
    bench.answer = kalshi_venue([kalshi_row("KXE-BEGUN")], {})
    since_us = START_US - 5 * US_PER_S
    jobs = bench.jobs("kalshi")

    perform(jobs, lambda: jobs.remember(Before({}, since_us, begun=True)), jobs.rounds.crawl, jobs.rounds.sweep)

    told = [status for status in bench.statuses() if status.gap_started_us is not None]
    assert [(s.state, s.gap_started_us) for s in told] == [("gap_opened", since_us), ("gap_closed", since_us)]


@KALSHI
def test_a_quick_restart_is_no_gap(bench: Bench) -> None:
    bench.answer = kalshi_venue([kalshi_row("KXE-QUICK")], {})
    jobs = bench.jobs("kalshi")
    perform(jobs, lambda: jobs.remember(Before({}, START_US - 20 * US_PER_S)), jobs.rounds.crawl, jobs.rounds.sweep)

    assert [status for status in bench.statuses() if status.gap_started_us is not None] == []


@KALSHI
def test_a_quick_restart_whose_first_sweep_comes_late_is_a_gap_from_the_mark_on(bench: Bench) -> None:
    lists, sweeps_work = kalshi_venue([kalshi_row("KXE-SLOW")], {}), False
    bench.answer = lambda request: 500 if request.url.path == "/markets" and not sweeps_work else lists(request)
    since_us = START_US - 20 * US_PER_S
    jobs = bench.jobs("kalshi")
    perform(jobs, lambda: jobs.remember(Before({}, since_us, promise_s=110)), jobs.rounds.crawl)

    jobs.watch()
    bench.clock.advance(110 * 1.5 - 20)  # what was shown last may have been as old as was promised
    jobs.watch()
    in_time = [status.state for status in bench.statuses()]
    bench.clock.advance(1)
    jobs.watch()
    sweeps_work = True
    perform(jobs, jobs.rounds.crawl, jobs.rounds.sweep)

    assert "gap_opened" not in in_time
    told = [status for status in bench.statuses() if status.gap_started_us is not None]
    assert [(s.state, s.gap_started_us) for s in told] == [("gap_opened", since_us), ("gap_closed", since_us)]
    ticks: list[Tick] = bench.published(topics.TICKS, "KALSHI:KXE-SLOW")
    assert [t.flags for t in ticks][:2] == [(), ("after_gap",)]


@KALSHI
def test_after_a_sweep_that_took_long_the_next_is_due_by_what_the_ticks_of_that_one_had_promised(bench: Bench) -> None:
    rows, slow = [kalshi_row("KXE-PROMISED"), kalshi_row("KXE-BEHIND")], False
    lists = kalshi_venue(rows, {})

    def answer(request: httpx.Request) -> Any:
        if request.url.path != "/markets":
            return lists(request)
        if request.url.params.get("cursor"):
            bench.clock.advance(600 if slow else 1)
            return {"cursor": "", "markets": rows[1:]}
        return {"cursor": "more", "markets": rows[:1]}

    bench.answer, bench.headers = answer, lambda: {}
    jobs = bench.jobs("kalshi")
    perform(jobs, jobs.rounds.crawl, jobs.rounds.sweep)
    bench.clock.advance(15)
    slow = True
    perform(jobs, jobs.rounds.sweep)
    bench.clock.advance(15)

    jobs.watch()

    told = [status for status in bench.statuses() if status.gap_started_us is not None]
    assert told[-1].state == "gap_opened", "600 s after a promise of 15"
    tick: Tick = bench.published(topics.TICKS, "KALSHI:KXE-PROMISED")[-1]
    assert (tick.heartbeat_s, told[-1].gap_started_us) == (15, tick.ts_event_us)


@KALSHI
def test_a_market_whose_last_tick_may_have_gone_down_with_the_process_gets_it_again(bench: Bench) -> None:
    bench.answer = kalshi_venue([kalshi_row("KXE-DOWNWITH")], {})
    before = bench.jobs("kalshi")
    perform(before, before.rounds.crawl)
    final = kalshi_row("KXE-DOWNWITH", status="finalized", result="yes")
    bench.answer = kalshi_venue([], {"KXE-DOWNWITH": final})
    perform(before, before.rounds.crawl)
    settled = bench.published(topics.MARKETS, "KALSHI:KXE-DOWNWITH")[-1]
    safe_until_us = settled.ts_event_us - US_PER_S // 2
    jobs = bench.jobs("kalshi")

    perform(
        jobs, lambda: jobs.remember(Before({settled.market_id: Told.of(settled)}, safe_until_us)), jobs.rounds.crawl
    )

    ticks: list[Tick] = bench.published(topics.TICKS, settled.market_id)
    assert [t.market_status for t in ticks] == ["open", "settled", "settled"]
    assert bench.published(topics.MARKETS, settled.market_id)[-1] == settled, "which Kafka has, and is not told again"
    assert jobs.health()["markets_held"] == 0, "told, and let go"


@KALSHI
def test_who_ends_before_his_first_whole_sweep_has_not_seen_the_venue(bench: Bench) -> None:
    venue, sweeps_work = kalshi_venue([kalshi_row("KXE-CRASH")], {}), False

    def answer(request: httpx.Request) -> Any:
        return 500 if request.url.path == "/markets" and not sweeps_work else venue(request)

    bench.answer = answer
    jobs = bench.jobs("kalshi")
    bench.live(jobs, lambda: jobs.health()["feed"] != "starting")
    assert jobs.seen_until_us is None, "whoever comes next counts from where this one began"

    sweeps_work = True
    perform(jobs, jobs.rounds.sweep)

    assert jobs.seen_until_us is not None


@KALSHI
def test_the_very_first_answer_is_marked_before_anything_of_it_is_published(bench: Bench) -> None:
    bench.answer = kalshi_venue([kalshi_row("KXE-VERYFIRST")], {})
    marked: list[tuple[int, int]] = []
    jobs = bench.jobs("kalshi", lambda first_us: marked.append((first_us, bench.outbox.ticks_published)))

    perform(jobs, lambda: jobs.remember(Before()), jobs.rounds.crawl, jobs.rounds.sweep)

    assert marked == [(START_US, 0)], "once; who is killed now leaves at least this, whatever Kafka has got"
    marked.clear()
    later = bench.jobs("kalshi", lambda first_us: marked.append((first_us, 0)))
    perform(later, lambda: later.remember(Before({}, START_US)), later.rounds.crawl)
    assert marked == [], "somebody watched before: his mark stands until there is a whole sweep"


@KALSHI
def test_who_was_killed_right_after_the_very_first_answer_leaves_a_gap_and_the_time_before_untold(bench: Bench) -> None:
    row = kalshi_row("KXE-ATONCE", previous_yes_bid_dollars="0.3000", previous_yes_ask_dollars="0.3200")
    bench.answer = kalshi_venue([row], {})
    since_us = START_US - 240 * US_PER_S
    jobs = bench.jobs("kalshi")

    perform(jobs, lambda: jobs.remember(Before({}, since_us, begun=True)), jobs.rounds.crawl, jobs.rounds.sweep)

    told = [status for status in bench.statuses() if status.gap_started_us is not None]
    assert [(s.state, s.gap_started_us) for s in told] == [("gap_opened", since_us), ("gap_closed", since_us)]
    ticks: list[Tick] = bench.published(topics.TICKS, "KALSHI:KXE-ATONCE")
    assert ticks[0].source == "backfill", "the price of a day ago is still to be told"


@KALSHI
def test_while_a_collector_closes_it_sees_nothing(bench: Bench) -> None:
    bench.answer = kalshi_venue([kalshi_row("KXE-CLOSING")], {})
    jobs = bench.jobs("kalshi")
    perform(jobs, jobs.rounds.crawl, jobs.rounds.sweep, jobs.close)

    bench.clock.advance(8)  # Kafka is slow to take the rest

    assert jobs.seen_until_us == START_US


@KALSHI
def test_however_short_the_time_a_collector_that_was_killed_with_full_hands_leaves_a_gap(bench: Bench) -> None:
    bench.answer = kalshi_venue([kalshi_row("KXE-HANDS")], {})
    jobs = bench.jobs("kalshi")
    since_us = START_US - 20 * US_PER_S
    perform(jobs, lambda: jobs.remember(Before({}, since_us, hands_full=True)), jobs.rounds.crawl, jobs.rounds.sweep)

    told = [status for status in bench.statuses() if status.gap_started_us is not None]
    assert [(s.state, s.gap_started_us) for s in told] == [("gap_opened", since_us), ("gap_closed", since_us)]


@KALSHI
def test_how_things_stand_is_said_every_minute_whether_or_not_they_changed(bench: Bench) -> None:
    rows = kalshi_venue([kalshi_row("KXE-MINUTE")], {"KXE-MINUTE": kalshi_row("KXE-MINUTE")})
    bench.answer = rows
    jobs = bench.jobs("kalshi")
    bench.live(jobs, lambda: bench.clock.now_us() > START_US + 200 * US_PER_S)

    told = bench.statuses()
    assert 3 <= len(told) <= 6
    assert all(later.ts_event_us - earlier.ts_event_us < 100 * US_PER_S for earlier, later in pairwise(told))


# ── rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@KALSHI
@pytest.mark.parametrize(
    ("bad", "ticker"),
    [
        (None, "KXE-SIBLING1"),
        (7, "KXE-SIBLING2"),
        ("row", "KXE-SIBLING3"),
        ([], "KXE-SIBLING4"),
        ({}, "KXE-SIBLING5"),
        ({"ticker": "KXE-BAD", "status": "brand new"}, "KXE-SIBLING6"),
    ],
)
def test_one_bad_nested_row_costs_none_of_its_siblings(bench: Bench, bad: Any, ticker: str) -> None:
    bench.answer = kalshi_venue([bad, kalshi_row(ticker)], {})
    jobs = bench.jobs("kalshi")

    perform(jobs, jobs.rounds.crawl)

    assert [tick.price_ppm for tick in bench.published(topics.TICKS, f"KALSHI:{ticker}")] == [410_000]
    assert bench.outbox.dead_lettered == 1


@POLYMARKET
def test_places_kept_free_in_an_event_are_counted_and_are_not_bad(bench: Bench) -> None:
    free = [gamma_row(0, 1) | {"conditionId": ""}, gamma_row(0, 1) | {"clobTokenIds": None, "acceptingOrders": False}]
    rows = [gamma_row(0.4, 0.42) | {"conditionId": "0xtaken"}, *free * 15]
    bench.answer = lambda _: {"events": [{"id": "1", "title": "E", "markets": rows}]}
    jobs = bench.jobs("polymarket")

    perform(jobs, jobs.rounds.crawl)

    assert bench.outbox.dead_lettered == 0
    assert len(bench.published(topics.TICKS, "POLY:0xtaken")) == 1


def nested(levels: int) -> Any:
    value: Any = "deep"
    for _ in range(levels):
        value = [value]
    return value


@KALSHI
@pytest.mark.parametrize(
    "odd",
    [
        {"title": nested(300)},
        {"title": nested(900)},
        {"yes_bid_dollars": "1e999990"},
        {"volume_24h_fp": "1e308"},
        {"volume_fp": "1e400"},
        {"yes_bid_size_fp": "1" * 400},
        {"last_price_dollars": "9" * 5_000},
        {"yes_ask_dollars": {"deep": nested(400)}},
        {"close_time": "9999-12-31T23:59:59Z"},
    ],
    ids=["nested 300", "nested 900", "1e999990", "1e308", "1e400", "digits", "many digits", "deep price", "year 9999"],
)
def test_an_absurd_value_ends_nothing_and_nothing_infinite_is_published(bench: Bench, odd: dict[str, Any]) -> None:
    text = orjson.dumps(kalshi_row("KXE-SANE")).decode()
    absurd = text.replace("KXE-SANE", "KXE-ODD")[:-1] + "," + plain(odd)[1:]
    body = f'{{"cursor": "", "markets": [{text}, {absurd}]}}'.encode()
    bench.answer = lambda _: httpx.Response(200, content=body, headers=bench.date())
    jobs = bench.jobs("kalshi")
    before = len(bench.published(topics.TICKS, "KALSHI:KXE-SANE"))

    perform(jobs, jobs.rounds.sweep)

    assert len(bench.published(topics.TICKS, "KALSHI:KXE-SANE")) == before + 1
    for tick in bench.published(topics.TICKS, "KALSHI:KXE-ODD"):
        numbers = [tick.volume_24h_usd, tick.volume_total_contracts, tick.bid_size_contracts]
        assert all(number is None or number < 1e16 for number in numbers)


def plain(value: Any) -> str:
    """JSON of any depth; no library of ours writes it."""
    if isinstance(value, list):
        return "[" * (depth := depth_of(value)) + '"deep"' + "]" * depth
    if isinstance(value, dict):
        return "{" + ",".join(f'"{key}":{plain(item)}' for key, item in value.items()) + "}"
    return orjson.dumps(value).decode()


def depth_of(value: Any) -> int:
    depth = 0
    while isinstance(value, list):
        value, depth = value[0], depth + 1
    return depth


@KALSHI
@pytest.mark.parametrize(
    "headers",
    [{"Age": "9" * 4_000}, {"Age": "-5"}, {"Age": "²"}, {"Date": "x" * 60_000}, {"Simulator-Pace": "nan"}],
    ids=["giant Age", "negative Age", "superscript Age", "giant Date", "no pace"],
)
def test_an_absurd_header_ends_nothing(bench: Bench, headers: dict[str, str]) -> None:
    raw = [(name.encode(), value.encode()) for name, value in {**bench.date(), **headers}.items()]
    body = orjson.dumps({"cursor": "", "markets": [kalshi_row("KXE-HEADERS")]})
    bench.answer = lambda _: httpx.Response(200, content=body, headers=raw)
    jobs = bench.jobs("kalshi")

    perform(jobs, jobs.rounds.sweep)

    assert bench.published(topics.TICKS, "KALSHI:KXE-HEADERS")


# ── asked from outside ───────────────────────────────────────────────────────────────────────────────────────────────


@KALSHI
def test_health_can_be_asked_from_another_thread_while_markets_are_learnt(bench: Bench) -> None:
    rows = [kalshi_row(f"KXE-H{n}") for n in range(2_000)]
    bench.answer = kalshi_venue(rows, {})
    jobs = bench.jobs("kalshi")
    failures: list[Exception] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            try:
                jobs.health()
            except Exception as error:
                failures.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        asyncio.run(jobs.rounds.crawl())
    finally:
        done.set()
        asking.join()

    assert failures == []
    assert jobs.health()["markets_tracked"] == 2_000


class Slow:
    """Histories that come when the test lets them."""

    batch = 10
    reader: PastReader = KalshiPast()

    def __init__(self) -> None:
        self.asked, self.answered = asyncio.Event(), asyncio.Event()

    async def ask(
        self, ids: Sequence[str], since_us: int, until_us: int, errand: Errand
    ) -> AsyncIterator[tuple[Received, dict[str, list[Any]]]]:
        self.asked.set()
        await self.answered.wait()
        for answer in list[tuple[Received, dict[str, list[Any]]]]():
            yield answer


@KALSHI
def test_what_arrives_while_a_market_waits_for_its_history_is_told_behind_it(bench: Bench) -> None:
    histories, row = Slow(), kalshi_row("KXE-WAITS")
    collector = Collector("kalshi", KalshiFeed(bench.http(), bench.outbox), KalshiReader(), histories=histories)
    jobs = Jobs(collector, CollectorSettings(), 0.5, bench.outbox, bench.clock)
    bench.answer = lambda request: kalshi_venue([row], {})(request)

    async def overtake() -> None:
        nonlocal row
        crawl = asyncio.create_task(jobs.rounds.crawl())
        await histories.asked.wait()
        bench.clock.advance(30)
        row = kalshi_row("KXE-WAITS", yes_bid_dollars="0.5000", yes_ask_dollars="0.5200")
        sweep = asyncio.create_task(jobs.rounds.sweep())
        for _ in range(100):
            await asyncio.sleep(0)  # as far as it gets
        histories.answered.set()
        await asyncio.gather(crawl, sweep)

    asyncio.run(overtake())

    ticks: list[Tick] = bench.published(topics.TICKS, "KALSHI:KXE-WAITS")
    live = [(t.ts_event_us - START_US, t.bid_ppm) for t in ticks if t.source != "backfill"]
    assert live == [(0, 400_000), (30 * US_PER_S, 500_000)]

"""One round of each job, over a venue that is a function and a real Kafka."""

from __future__ import annotations

from email.utils import format_datetime
from typing import Any

import httpx
import orjson
import pytest
from structlog.testing import capture_logs

from kernel.errors import TooMuchBadInputError
from producers.kalshi.feed import KalshiFeed
from schemas import topics
from schemas.events import Market, Tick
from schemas.units import US_PER_S, datetime_from_micros, event_id
from tests.producers.bench import START_US, Bench, gamma_row, kalshi_row, kalshi_venue, perform
from tests.producers.bench import bench as bench

pytestmark = pytest.mark.stack


@pytest.mark.parametrize("bench", ["kalshi"], indirect=True)
def test_a_market_that_left_the_list_is_asked_for_and_its_result_told(bench: Bench) -> None:
    jobs = bench.jobs("kalshi")
    bench.answer = kalshi_venue([kalshi_row("KXE-LEFT"), kalshi_row("KXE-STAYS")], {})
    perform(jobs, jobs.rounds.crawl, jobs.rounds.sweep)
    bench.clock.advance(600)
    final = kalshi_row("KXE-LEFT", status="finalized", result="yes", yes_bid_dollars="0.0000", yes_ask_dollars="1.0000")
    bench.answer = kalshi_venue([kalshi_row("KXE-STAYS")], {"KXE-LEFT": final})

    perform(jobs, jobs.rounds.crawl)

    told: list[Market] = bench.published(topics.MARKETS, "KALSHI:KXE-LEFT")
    ticks: list[Tick] = bench.published(topics.TICKS, "KALSHI:KXE-LEFT")
    assert [(m.status, m.result, m.category) for m in told] == [
        ("open", None, "politics"),
        ("settled", "Yes", "politics"),
    ]
    assert [(t.market_status, t.price_ppm, t.heartbeat_s) for t in ticks] == [
        ("open", 410_000, 0),
        ("settled", None, 0),
    ]
    assert len(bench.published(topics.MARKETS, "KALSHI:KXE-STAYS")) == 1, "nothing new, so not told again"
    assert jobs.health()["markets_tracked"] == 1


@pytest.mark.parametrize("bench", ["kalshi"], indirect=True)
@pytest.mark.parametrize(("status", "told"), [("closed", "closed"), ("inactive", "paused")])
def test_a_market_that_a_sweep_no_longer_lists_is_asked_for_once_by_that_sweep(
    bench: Bench, status: str, told: str
) -> None:
    listed, over, asked = [kalshi_row("KXE-STAYS")], f"KXE-{told.upper()}", list[str]()
    lists = kalshi_venue(listed, {over: kalshi_row(over, status=status)})

    def answer(request: httpx.Request) -> Any:
        asked.extend(request.url.params.get_list("tickers"))
        return lists(request)

    bench.answer = kalshi_venue([*listed, kalshi_row(over)], {})
    jobs = bench.jobs("kalshi")
    for _ in range(2):
        perform(jobs, jobs.rounds.sweep)
        bench.clock.advance(15)
    bench.answer = answer

    for _ in range(2):
        perform(jobs, jobs.rounds.sweep)
        bench.clock.advance(15)

    ticks: list[Tick] = bench.published(topics.TICKS, f"KALSHI:{over}")
    assert [(t.ts_event_us - START_US, t.market_status, t.heartbeat_s) for t in ticks] == [
        (0, "open", 0),
        (15 * US_PER_S, "open", 15),
        (30 * US_PER_S, told, 0),
    ], "within what was promised; what does not trade promises nothing"
    markets: list[Market] = bench.published(topics.MARKETS, f"KALSHI:{over}")
    assert [market.status for market in markets] == ["open", told]
    assert asked == [over]


@pytest.mark.parametrize("bench", ["polymarket"], indirect=True)
def test_a_book_does_not_hide_that_trading_is_over(bench: Bench) -> None:
    stays, over = (gamma_row(0.40, 0.42) | {"conditionId": f"0x{each}"} for each in ("stays", "over"))
    over["clobTokenIds"], closed = '["333", "444"]', False

    def answer(request: httpx.Request) -> Any:
        if request.url.path == "/books":
            return [{"asset_id": item["token_id"], "bids": [], "asks": []} for item in orjson.loads(request.content)]
        if "condition_ids" in request.url.params:
            return {"markets": [over | {"closed": True}] if request.url.params["closed"] == "true" else []}
        return {"markets": [stays] if closed else [stays, over]}

    bench.answer = answer
    jobs = bench.jobs("polymarket")
    perform(jobs, jobs.rounds.sweep)
    bench.clock.advance(15)
    closed = True

    perform(jobs, jobs.rounds.hot_poll, jobs.rounds.sweep)

    ticks: list[Tick] = bench.published(topics.TICKS, "POLY:0xover")
    assert [(t.source, t.market_status) for t in ticks] == [("sweep", "open"), ("hot", "open"), ("sweep", "closed")]


@pytest.mark.parametrize("bench", ["kalshi"], indirect=True)
def test_a_sweep_is_whole_though_nobody_answers_for_what_it_no_longer_lists(bench: Bench) -> None:
    rows = [kalshi_row("KXE-HERE"), kalshi_row("KXE-MUTE")]
    bench.answer = kalshi_venue(rows, {})
    jobs = bench.jobs("kalshi")
    perform(jobs, jobs.rounds.sweep)
    bench.clock.advance(15)
    lists = kalshi_venue(rows[:1], {})
    bench.answer = lambda request: 404 if "tickers" in request.url.params else lists(request)

    perform(jobs, jobs.rounds.sweep)

    assert jobs.health()["last_sweep_age_s"] == 0.0


@pytest.mark.parametrize("bench", ["kalshi"], indirect=True)
def test_a_market_that_the_venue_no_longer_knows_is_let_go_after_three_crawls(bench: Bench) -> None:
    jobs = bench.jobs("kalshi")
    bench.answer = kalshi_venue([kalshi_row("KXE-GONE")], {})
    perform(jobs, jobs.rounds.crawl)
    bench.answer = kalshi_venue([], {})

    tracked = []
    for _ in range(3):
        perform(jobs, jobs.rounds.crawl)
        tracked.append(jobs.health()["markets_tracked"])

    assert tracked == [1, 1, 0]


@pytest.mark.parametrize("bench", ["kalshi"], indirect=True)
@pytest.mark.parametrize(
    ("ticker", "headers", "skew_s", "basis", "flags"),
    [
        ("KXE-SOON", None, 4.0, "http_date", ()),
        ("KXE-LATE", None, 8.0, "http_date", ("clock_skew",)),
        ("KXE-EARLY", None, -6.5, "received", ("clock_skew",)),
        ("KXE-NODATE", {}, 0.0, "received", ("clock_skew",)),
    ],
)
def test_skew_and_missing_dates_are_flagged(
    bench: Bench, ticker: str, headers: dict[str, str] | None, skew_s: float, basis: str, flags: tuple[str, ...]
) -> None:
    at_us = bench.clock.now_us() - int(skew_s * US_PER_S)
    dated = {"Date": format_datetime(datetime_from_micros(at_us), usegmt=True)}
    bench.headers = lambda: dated if headers is None else headers
    bench.answer = kalshi_venue([kalshi_row(ticker)], {})
    jobs = bench.jobs("kalshi")

    perform(jobs, jobs.rounds.sweep)

    [tick] = bench.published(topics.TICKS, f"KALSHI:{ticker}")
    assert (tick.ts_event_basis, tick.flags) == (basis, flags)
    whole_s = at_us // US_PER_S * US_PER_S
    assert tick.ts_event_us == (whole_s if basis == "http_date" else bench.clock.now_us())
    assert tick.ts_received_us == bench.clock.now_us()


@pytest.mark.parametrize("bench", ["kalshi"], indirect=True)
def test_few_bad_rows_are_dead_lettered_and_many_stop_the_collector(bench: Bench) -> None:
    jobs = bench.jobs("kalshi")
    good = [kalshi_row(f"KXE-G{n}") for n in range(20)]
    bench.answer = kalshi_venue([*good, *({"ticker": f"KXE-B{n}"} for n in range(5))], {})
    perform(jobs, jobs.rounds.sweep)
    assert bench.outbox.dead_lettered == 5
    assert len(bench.published(topics.TICKS, "KALSHI:KXE-G19")) == 1

    bench.clock.advance(60)
    bench.answer = kalshi_venue([*good, *({"ticker": f"KXE-B{n}"} for n in range(21))], {})

    with pytest.raises(TooMuchBadInputError, match="21 of the last 41"):
        perform(jobs, jobs.rounds.sweep)


@pytest.mark.parametrize("bench", ["kalshi"], indirect=True)
def test_without_a_key_the_trades_of_all_markets_say_whose_rows_to_read_again(bench: Bench) -> None:
    rows = [kalshi_row("KXE-TRADED"), kalshi_row("KXE-QUIET")]
    after = kalshi_row("KXE-TRADED", yes_bid_dollars="0.7000", yes_ask_dollars="0.7200")
    lists = kalshi_venue(rows, {"KXE-TRADED": after})
    asked: list[str] = []

    def answer(request: httpx.Request) -> Any:
        if request.url.path != "/markets/trades":
            return lists(request)
        asked.append(request.url.params["min_ts"])
        at = datetime_from_micros(bench.clock.now_us()).isoformat()
        return {"cursor": "", "trades": [{"ticker": "KXE-TRADED", "created_time": at}]}

    bench.answer = answer
    jobs = bench.jobs("kalshi")
    feed = KalshiFeed(bench.http(), bench.outbox)
    perform(jobs, jobs.rounds.sweep)
    before_us = jobs.venue_clock.now_us(bench.clock.now_us())
    bench.clock.advance(2)
    perform(jobs, lambda: jobs.rounds.trade_poll(lambda since_us, errand: feed.traded_since(before_us, errand)))

    traded: list[Tick] = bench.published(topics.TICKS, "KALSHI:KXE-TRADED")
    assert [(tick.source, tick.price_ppm) for tick in traded] == [("sweep", 410_000), ("hot", 710_000)]
    assert len(bench.published(topics.TICKS, "KALSHI:KXE-QUIET")) == 1
    assert asked == [str(before_us // US_PER_S)]


# ── hot polls beside a sweep ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("bench", ["polymarket"], indirect=True)
def test_every_state_shown_by_sweep_and_hot_poll_is_published_in_its_order(bench: Bench) -> None:
    swept, booked = 0.40, "0.60"

    def answer(request: httpx.Request) -> Any:
        if request.url.path == "/books":
            sides = {"bids": [{"price": booked, "size": "5"}], "asks": [{"price": "0.62", "size": "7"}]}
            return [{"asset_id": item["token_id"], **sides} for item in orjson.loads(request.content)]
        return {"markets": [gamma_row(swept, swept + 0.02)]}

    bench.answer = answer
    jobs = bench.jobs("polymarket")
    perform(jobs, jobs.rounds.sweep, jobs.rounds.hot_poll)
    booked = "0.58"
    perform(jobs, jobs.rounds.hot_poll, jobs.rounds.hot_poll)
    swept = 0.50
    perform(jobs, jobs.rounds.sweep)
    bench.clock.advance(15)
    perform(jobs, jobs.rounds.hot_poll)

    ticks: list[Tick] = bench.published(topics.TICKS, "POLY:0xhot")
    assert [(t.source, t.price_ppm, t.ts_event_us - START_US) for t in ticks] == [
        ("sweep", 410_000, 0),
        ("hot", 610_000, 1),
        ("hot", 600_000, 2),
        ("sweep", 510_000, 3),
        ("hot", 600_000, 15 * US_PER_S),
    ], "all of one second, none twice, each an instant later"
    assert [t.event_id for t in ticks] == [event_id("POLY:0xhot", t.ts_event_us) for t in ticks]
    assert {t.ts_venue_us for t in ticks} == {START_US, START_US + 15 * US_PER_S}
    assert {t.volume_24h_usd for t in ticks} == {5_000.0}
    assert ticks[1].bid_size_contracts == 5.0


@pytest.mark.parametrize("bench", ["polymarket"], indirect=True)
def test_a_hot_tick_promises_the_next_sweep_since_its_market_may_cool_down(bench: Bench) -> None:
    def answer(request: httpx.Request) -> Any:
        if request.url.path == "/books":
            return [{"asset_id": item["token_id"], "bids": [], "asks": []} for item in orjson.loads(request.content)]
        return {"markets": [gamma_row(0.40, 0.42) | {"conditionId": "0xcool"}]}

    bench.answer = answer
    jobs = bench.jobs("polymarket")
    for _ in range(2):
        perform(jobs, jobs.rounds.sweep)
        bench.clock.advance(110)
    perform(jobs, jobs.rounds.hot_poll)

    ticks: list[Tick] = bench.published(topics.TICKS, "POLY:0xcool")
    assert [(tick.source, tick.heartbeat_s) for tick in ticks] == [("sweep", 0), ("sweep", 15), ("hot", 110)], (
        "nothing while nobody knows how long a sweep takes, then the interval, then what is really kept"
    )


@pytest.mark.parametrize("bench", ["kalshi"], indirect=True)
@pytest.mark.parametrize(("pace", "level"), [("1", "warning"), ("120", "info")])
def test_that_the_interval_is_kept_again_is_a_warning_to_whom_was_warned(bench: Bench, pace: str, level: str) -> None:
    bench.answer, running_at = kalshi_venue([kalshi_row("KXE-SLOW")], {}), pace
    bench.headers = lambda: bench.date() | {"Simulator-Pace": running_at}
    jobs = bench.jobs("kalshi")

    with capture_logs() as told:
        for pause_s in (110, 15, 15):
            perform(jobs, jobs.rounds.sweep)
            bench.clock.advance(pause_s)
            running_at = pace if pause_s > 15 else "1"

    assert [(line["event"], line["log_level"]) for line in told if line["event"].startswith("price_interval")] == [
        ("price_interval_not_kept", level),
        ("price_interval_kept", level),
    ]

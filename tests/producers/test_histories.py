"""Batch histories: asked for before a market's first tick, told as backfill, and never in the way of what is live."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import httpx
import orjson
import pytest

from kernel.clock import ManualClock
from kernel.errors import BadMessageError, TransientError
from producers.base import Collector, Errand, Page, PastReader, Received
from producers.client import VenueHttp
from producers.histories import RECENT_STEP_US, STEP_US, Backfill, thinned
from producers.intake import Intake, Read, Tally
from producers.kalshi.feed import KalshiFeed
from producers.kalshi.histories import KalshiHistories, KalshiPast
from producers.kalshi.reader import KalshiReader
from producers.limits import RateLimit
from producers.polymarket.feed import PolymarketFeed
from producers.polymarket.histories import PolymarketHistories, PolymarketPast
from producers.polymarket.reader import PolymarketReader
from producers.quotes import quote
from producers.shards import Shard
from producers.ticks import Earlier, Shown
from producers.tracked import Tracked
from producers.venue_clock import VenueClock
from schemas.units import US_PER_S
from simulator.app import Simulator
from simulator.tape import Line, Market, Quote, RecordedTape
from tests.payloads import HAS_RECORDED, RECORDED
from tests.producers.rows import kalshi, shown_of
from tests.producers.test_earlier import DAY_S, HOUR_S, NOW_US, Kept, moves_of, said


def ago(seconds: int, price_ppm: int = 300_000) -> Earlier:
    """A price so many seconds before now."""
    return Earlier(ts_us=NOW_US - seconds * US_PER_S, quote=quote(price_ppm - 10_000, price_ppm + 10_000, None))


class Points:
    """Reads points that a test made up."""

    def points(self, body: Any) -> None:
        """Nobody asks."""

    def read(self, point: Any, shown: Shown) -> Earlier | None:
        if isinstance(point, str):
            raise BadMessageError("bad_price", point, point.encode())
        return point if isinstance(point, Earlier) else None


@dataclass
class Told:
    """Histories that a test made up, by ticker, and what was asked."""

    points: Mapping[str, list[Any]] = field(default_factory=dict)
    error: Exception | None = None
    asked: list[tuple[str, ...]] = field(default_factory=list)
    batch: int = 2
    reader: PastReader = field(default_factory=Points)

    async def ask(
        self, ids: Sequence[str], since_us: int, until_us: int, errand: Errand
    ) -> AsyncIterator[tuple[Received, Mapping[str, list[Any]]]]:
        self.asked.append(tuple(ids))
        if self.error is not None:
            raise self.error
        received = Received(errand=errand, channel="", connection_id="h", sequence=0, body=b"", ts_received_us=NOW_US)
        yield received, {ticker: points for ticker, points in self.points.items() if ticker in ids}


class Venue:
    """Kalshi's intake with its backfill."""

    def __init__(self, histories: Told, most: int = 10) -> None:
        self.out, self.tracked, self.histories = Kept(), Tracked(), histories
        reader = KalshiReader()
        self.intake = Intake(Shard("kalshi"), reader, self.tracked, VenueClock(5.0, NOW_US), self.out)
        self.backfill = Backfill(histories, reader, self.tracked, Heard(self.out), most)

    def read(self, *rows: dict[str, Any], at_s: int = 0) -> Read:
        """A page of a crawl, read."""
        now_us = NOW_US + at_s * US_PER_S
        received = Received(
            errand=Errand("crawl"),
            channel="/events",
            connection_id="a",
            sequence=0,
            body=b"",
            ts_received_us=now_us,
            status=200,
            date_us=now_us,
        )
        return self.intake.read(Page(received=received, kind="markets", rows=rows), Tally())

    def meet(self, *rows: dict[str, Any], at_s: int = 0) -> None:
        """A page of a crawl: asked for, then admitted."""
        read = self.read(*rows, at_s=at_s)
        waiting = self.backfill.wanted(read)
        told = asyncio.run(self.backfill.ask(waiting, read.moment.as_of_us))
        self.intake.admit(read, read.states, Tally(), told)

    def told(self, ticker: str) -> list[tuple[str, int, int | None]]:
        """Source, seconds from now and price of each tick of a market."""
        ticks = [t for t in self.out.ticks if t.market_id == f"KALSHI:{ticker}"]
        return [(t.source, round((t.ts_event_us - NOW_US) / US_PER_S), t.price_ppm) for t in ticks]


@dataclass
class Heard:
    """A witness that hands refusals on."""

    out: Kept

    def received(self, received: Received) -> None:
        """An answer."""

    def refused(self, error: BadMessageError, channel: str) -> None:
        self.out.refused(error, channel)


def row(ticker: str, contracts: int = 100, **change: Any) -> dict[str, Any]:
    """A market whose price is 0.735."""
    return kalshi(ticker=ticker, volume_24h_fp=f"{contracts}.00", **change)


def test_a_history_fills_every_window_before_the_first_tick() -> None:
    points = [ago(DAY_S + 60, 200_000), ago(HOUR_S + 60, 500_000), ago(330, 700_000)]
    venue = Venue(Told({"KXA": points}))
    venue.meet(row("KXA"))

    [move] = moves_of(venue.out.ticks)

    assert [tick.source for tick in venue.out.ticks] == ["backfill"] * 3 + ["sweep"]
    assert [said(window)[:3] for window in move.windows] == [(3.5, True, None), (23.5, True, None), (53.5, True, None)]


def test_the_rows_own_figures_stand_in_where_there_is_no_history() -> None:
    previous: dict[str, Any] = {"previous_yes_bid_dollars": "0.4000", "previous_yes_ask_dollars": "0.4200"}
    venue = Venue(Told({"KXA": [ago(HOUR_S)]}))
    venue.meet(row("KXA", **previous), row("KXB", **previous))

    assert venue.told("KXA") == [("backfill", -HOUR_S, 300_000), ("sweep", 0, 735_000)]
    assert venue.told("KXB") == [("backfill", -DAY_S, 410_000), ("sweep", 0, 735_000)]


def test_a_history_that_comes_after_a_live_tick_changes_nothing_and_is_not_told() -> None:
    venue = Venue(Told({"KXA": [ago(HOUR_S)]}))
    read = venue.read(row("KXA"))
    waiting = venue.backfill.wanted(read)
    live = venue.read(row("KXA", yes_bid_dollars="0.6000", yes_ask_dollars="0.6200"), at_s=1)
    venue.intake.admit(live, live.states, Tally())

    venue.intake.admit(read, waiting, Tally(), asyncio.run(venue.backfill.ask(waiting, NOW_US)))

    assert [source for source, _, _ in venue.told("KXA")] == ["sweep", "sweep"]


def test_points_of_now_and_of_when_somebody_watched_are_not_told() -> None:
    venue = Venue(Told({"KXA": [ago(2 * HOUR_S), ago(HOUR_S), ago(0), ago(-60)]}))
    venue.tracked.watched_until_us = NOW_US - (HOUR_S + 600) * US_PER_S
    venue.meet(row("KXA"))

    assert venue.told("KXA") == [("backfill", -HOUR_S, 300_000), ("sweep", 0, 735_000)]


def test_a_history_has_no_identity_of_what_a_process_that_was_killed_had_published_live() -> None:
    killed, after = Venue(Told({})), Venue(Told({"KXA": [ago(HOUR_S)]}))
    killed.meet(row("KXA"), at_s=-HOUR_S)
    after.tracked.watched_until_us = NOW_US - (HOUR_S + 60) * US_PER_S  # its mark is older than what it published
    after.meet(row("KXA"))

    live, history, now = killed.out.ticks + after.out.ticks

    assert (live.source, history.source, now.source) == ("sweep", "backfill", "sweep")
    assert len({live.event_id, history.event_id, now.event_id}) == 3
    assert 0 < live.ts_event_us - history.ts_event_us < 1_000, "told for the same instant"


def test_a_history_told_twice_has_the_same_identities() -> None:
    ids = []
    for _ in range(2):
        venue = Venue(Told({"KXA": [ago(HOUR_S), ago(600)]}))
        venue.meet(row("KXA"))
        ids.append([tick.event_id for tick in venue.out.ticks])

    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 3


def test_the_busiest_are_asked_for_first_and_none_of_them_is_missed() -> None:
    venue = Venue(Told(), most=2)
    venue.meet(row("KXA", 10), row("KXB", 30), row("KXC", 20), row("KXNONE", 0))
    venue.meet(row("KXD", 15), row("KXE", 40))

    assert venue.histories.asked == [("KXB", "KXC"), ("KXE",)]


@pytest.mark.parametrize("absent_s", [0, 599])
def test_a_short_absence_asks_for_no_history(absent_s: int) -> None:
    venue = Venue(Told())
    venue.tracked.watched_until_us = NOW_US - absent_s * US_PER_S
    venue.meet(row("KXA"))

    assert venue.histories.asked == []


def test_whoever_comes_after_the_first_crawl_is_not_asked_for() -> None:
    venue = Venue(Told())
    venue.backfill.over()
    venue.meet(row("KXA"))

    assert venue.histories.asked == []


@pytest.mark.parametrize("error", [TransientError("away"), TimeoutError()])
def test_a_venue_that_fails_its_histories_is_asked_once_and_costs_nothing_else(error: Exception) -> None:
    venue = Venue(Told(error=error))
    venue.meet(row("KXA"), row("KXB"), row("KXC"))
    venue.meet(row("KXD"))

    assert venue.histories.asked == [("KXA", "KXB")]
    assert [venue.told(t) for t in ("KXA", "KXB", "KXC", "KXD")] == [[("sweep", 0, 735_000)]] * 4


def test_one_bad_point_costs_the_points_after_it_and_is_one_dead_letter() -> None:
    venue = Venue(Told({"KXA": [ago(HOUR_S), "odd", "odder", ago(600)], "KXB": [ago(HOUR_S)]}))
    venue.meet(row("KXA"), row("KXB"))

    assert [error.detail for error in venue.out.bad] == ["odd"]
    assert [len(venue.told(ticker)) for ticker in ("KXA", "KXB")] == [2, 2]


def test_a_history_is_told_in_steps() -> None:
    minutely = [ago(60 * minute) for minute in range(25 * 60)]

    told = thinned(minutely, NOW_US)

    assert 24 + 46 <= len(told) <= 24 + 46 + 3
    apart_us = [later.ts_us - point.ts_us for point, later in pairwise(told)]
    assert max(apart_us[-24:]) <= RECENT_STEP_US
    assert max(apart_us) <= STEP_US


# ── what the venues say ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_point_of_polymarket_is_a_price_like_todays() -> None:
    histories, shown = PolymarketPast(), _shown()

    earlier = histories.read({"t": 1789690532, "p": 0.305}, shown)

    assert earlier is not None
    assert (earlier.ts_us, earlier.quote.price_ppm, earlier.quote.price_basis) == (
        1789690532 * US_PER_S,
        305_000,
        "mid",
    )


@pytest.mark.parametrize("odd", [{"t": "soon", "p": 0.3}, {"t": True, "p": 0.3}, {"t": 1, "p": "x"}, [], None, {}])
def test_an_odd_point_of_polymarket_is_refused(odd: Any) -> None:
    with pytest.raises(BadMessageError):
        PolymarketPast().read(odd, _shown())


@pytest.mark.parametrize(
    ("bid", "ask", "price", "expected"),
    [
        ("0.3300", "0.3500", {"close_dollars": "0.4000"}, (340_000, "mid")),
        ("0.0000", "0.3500", {"close_dollars": "0.4000"}, (400_000, "last")),
        ("0.0000", "1.0000", {"close_dollars": None, "previous_dollars": "0.1100"}, (110_000, "last")),
        ("0.0000", "1.0000", {"close_dollars": None}, (None, "none")),
    ],
)
def test_a_candle_of_kalshi_is_its_close(bid: str, ask: str, price: Any, expected: tuple[int | None, str]) -> None:
    sides = {"yes_bid": {"close_dollars": bid}, "yes_ask": {"close_dollars": ask}}

    earlier = KalshiPast().read({"end_period_ts": 60, "price": price, **sides}, _shown())

    assert earlier is not None
    assert (earlier.quote.price_ppm, earlier.quote.price_basis) == expected


@pytest.mark.parametrize("odd", [{"end_period_ts": None}, {"end_period_ts": 60, "yes_bid": 33}, 7, {}])
def test_an_odd_candle_of_kalshi_is_refused(odd: Any) -> None:
    with pytest.raises(BadMessageError):
        KalshiPast().read(odd, _shown())


@pytest.mark.skipif(not HAS_RECORDED, reason="no ../shared beside the checkout")
def test_recorded_histories_are_read_to_the_last_point() -> None:
    of_token = orjson.loads((RECORDED / "polymarket/clob_prices_history_2026-09.json").read_bytes())["history"]
    batch = orjson.loads((RECORDED / "kalshi/old_2026-01_candlesticks_batch.json").read_bytes())["response"]
    now = orjson.loads((RECORDED / "kalshi/current_candlesticks_1m.json").read_bytes())["markets"].values()
    candles = [candle for market in (*batch["markets"], *now) for candle in market["candlesticks"]]
    polymarket, of_kalshi = PolymarketPast(), KalshiPast()

    points = [polymarket.read(point, _shown()) for point in of_token]
    closes = [of_kalshi.read(candle, _shown()) for candle in candles]

    assert [point.quote.price_ppm for point in points if point][:7] == [305_000] * 5 + [285_000, 315_000]
    assert closes[0] is not None
    assert (closes[0].quote.price_ppm, closes[0].ts_us) == (95_000, 1_760_500_800 * US_PER_S)
    assert all(close and close.quote.price_ppm is not None for close in closes)


def _shown() -> Shown:
    return shown_of(KalshiReader(), kalshi())


# ── whole collectors against the simulated venues ────────────────────────────────────────────────────────────────────


START_US = 1_764_851_280_000_000
LASTS_S = 29 * 60
MARKET = {"polymarket": "0x" + "ab" * 32, "kalshi": "KXTEST-26DEC31-T5"}
TAPE: list[Line] = [
    Market(venue="polymarket", market=MARKET["polymarket"], title="Will A happen?", tick=0.01, ts_us=START_US),
    Market(venue="kalshi", market=MARKET["kalshi"], title="Will B happen?", category="Politics", ts_us=START_US),
    *(
        Quote(START_US + s * US_PER_S, market, p, p + 20_000, p, 100, 100, volume=9.0, volume_24h=9.0)
        for s, p in zip(range(0, LASTS_S + 1, 60), range(200_000, 500_000, 10_000), strict=True)
        for market in MARKET.values()
    ),
]
"""A price that goes up a point a minute, from 0.21 to 0.50."""

FAULTY = {"polymarket": "/clob/batch-prices-history", "kalshi": "/kalshi/trade-api/v2/markets/candlesticks"}


def crawled(venue: str, fault: Mapping[str, Any] | None = None) -> Kept:
    """What is told by one crawl of a simulated venue whose tape has been played."""
    out = Kept()
    heard, clock = Heard(out), ManualClock(START_US + LASTS_S * US_PER_S)

    async def run() -> None:
        simulator = Simulator(RecordedTape(TAPE), speed=1e6, lockstep=False)
        app = httpx.ASGITransport(app=simulator.app)
        if fault is not None:
            async with httpx.AsyncClient(transport=app, base_url="http://sim") as asking:
                order = {"path_prefix": FAULTY[venue], **fault}
                (await asking.post("/simulator/faults", json=order)).raise_for_status()
        collector = put_together(venue, lambda path: http_of(path, heard, clock, app), heard)
        tracked = Tracked()
        intake = Intake(Shard(venue), collector.reader, tracked, VenueClock(5.0, clock.now_us()), out)
        backfill = Backfill(collector.histories, collector.reader, tracked, heard, most=10)
        while not simulator.players[venue].finished:
            simulator.players[venue].catch_up()
        async for page in collector.feed.crawl(Errand("crawl")):
            read = intake.read(page, Tally())
            waiting = backfill.wanted(read)
            intake.admit(read, read.states, Tally(), await backfill.ask(waiting, read.moment.as_of_us))
        await collector.feed.close()

    asyncio.run(run())
    return out


def put_together(venue: str, http: Callable[[str], VenueHttp], heard: Heard) -> Collector:
    if venue == "kalshi":
        api = http("/kalshi/trade-api/v2")
        return Collector(venue, KalshiFeed(api, heard), KalshiReader(), histories=KalshiHistories(api, heard))
    clob = http("/clob")
    feed = PolymarketFeed(http("/gamma"), clob, heard)
    return Collector(venue, feed, PolymarketReader(), histories=PolymarketHistories(clob, heard))


def http_of(path: str, heard: Heard, clock: ManualClock, app: httpx.ASGITransport) -> VenueHttp:
    return VenueHttp(f"http://sim{path}", RateLimit(1e6, clock), heard, clock, app)


@pytest.mark.parametrize("venue", MARKET)
def test_a_collector_tells_the_venues_history_before_what_is_live(venue: str) -> None:
    ticks = crawled(venue).ticks

    stamps = [tick.ts_event_us for tick in ticks]
    *earlier, live = ticks
    assert (live.source, live.price_ppm) == ("sweep", 500_000)
    assert stamps == sorted(set(stamps))
    assert len(earlier) >= 5
    for tick in earlier:
        minutes = round((tick.ts_event_us - START_US) / (60 * US_PER_S))
        assert (tick.source, tick.price_ppm, tick.price_basis) == ("backfill", 210_000 + 10_000 * minutes, "mid")
    [move] = moves_of(ticks)
    assert move.windows[0].move_pp is not None
    assert 5 <= move.windows[0].move_pp <= 10, "of five minutes, and up to a step more"


@pytest.mark.parametrize("venue", MARKET)
@pytest.mark.parametrize(
    "fault", [{"mode": "500"}, {"mode": "429"}, {"mode": "html", "status": 403}, {"mode": "truncated"}]
)
def test_a_venue_that_refuses_its_history_is_live_without(venue: str, fault: dict[str, Any]) -> None:
    assert [(tick.source, tick.price_ppm) for tick in crawled(venue, fault).ticks] == [("sweep", 500_000)]

"""Kalshi over HTTP: rows payload for payload as the fixtures, sentinels, paging, combos, errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from simulator.app import Simulator
from simulator.house import HouseTape
from simulator.kalshi.api import trade_row
from simulator.kalshi.rows import KalshiRows, combo_row, series_row
from simulator.tape import Line, Market
from simulator.world import World
from tests.payloads import file_name, folders
from tests.producers.kalshi.fixtures import load, rows_with
from tests.simulator.conftest import SECOND, START_US, in_process
from tests.simulator.polymarket.test_api import not_as

BASE = "/kalshi/trade-api/v2"
TICKER = "KXTEST-26DEC31-T5"


@pytest.fixture(scope="module")
def world() -> World:
    played = World()
    for line in HouseTape(3, 200, START_US).lines("kalshi"):
        if (line.ts_us or 0) > START_US + 6 * 3_600 * SECOND:
            return played
        played.apply(line)
    raise AssertionError("endless")


def rows_of(folder: Path, names: tuple[str, ...], mark: str) -> list[dict[str, Any]]:
    """All objects with this key in those of the payloads that this folder has."""
    paths = [folder / f"{name}.json" for name in names]
    return [row for path in paths if path.is_file() for row in rows_with(load(path), mark)]


@pytest.fixture(scope="module", params=folders("kalshi"), ids=file_name)
def folder(request: pytest.FixtureRequest) -> Path:
    """Payloads as the venue writes them."""
    path: Path = request.param
    return path


EVENTS = ("events", "current_events_nested_nfl", "current_events_nested_sports_trim")


@pytest.fixture(scope="module")
def real_events(folder: Path) -> list[dict[str, Any]]:
    return rows_of(folder, EVENTS, "mutually_exclusive")


@pytest.fixture(scope="module")
def real_markets(folder: Path) -> list[dict[str, Any]]:
    return rows_of(
        folder, (*EVENTS, "markets", "current_markets_settled", "current_markets_page_2026-07"), "yes_bid_dollars"
    )


def test_a_market_row_has_the_keys_and_types_of_real_ones_and_no_category(
    world: World, real_markets: list[dict[str, Any]]
) -> None:
    rows = [json.loads(KalshiRows(world).market(state)) for state in world.states.values()]
    always = set.intersection(*(set(row) for row in real_markets))

    assert not not_as(real_markets, rows)
    assert all(always <= set(row) for row in rows)
    assert all(not {"category", "series_ticker", "yes_bid"} & set(row) for row in rows)
    assert {row["status"] for row in rows} >= {"active", "finalized"}


def test_events_series_trades_and_combos_have_the_keys_and_types_of_real_ones(
    world: World, folder: Path, real_events: list[dict[str, Any]]
) -> None:
    events = [json.loads(KalshiRows(world).event(states, nested=True)) for states in world.events.values()]
    series = rows_of(folder, ("series", "current_series_four"), "fee_type")
    trades = rows_of(folder, ("trades", "current_trades_page_2026-07"), "trade_id")
    combos = ("markets", "mid2026_markets_mve_only_2026-06", "current_markets_page_2026-07")
    legs = list(world.states.values())[:2]

    assert not not_as(real_events, events)
    assert not not_as(series, [series_row(states) for states in world.events.values()])
    assert not not_as(trades, [trade_row(record) for record in world.trades])
    assert not not_as(rows_of(folder, combos, "yes_bid_dollars"), [json.loads(combo_row((legs[0], legs[1])))])


@pytest.mark.parametrize(
    ("moments", "expected"),
    [
        (0, ("0.4000", "0.4200", "0.5800", "0.6000")),  # both sides
        (1, ("0.0000", "0.4600", "0.5400", "1.0000")),  # no YES bid
        (3, ("0.0000", "1.0000", "0.0000", "1.0000")),  # emptied
    ],
)
def test_empty_sides_have_their_sentinels(moments: int, expected: tuple[str, ...]) -> None:
    async def work(client: httpx.AsyncClient, simulator: Simulator) -> dict[str, Any]:
        for _ in range(moments):
            simulator.players["kalshi"].step_on()
        row: dict[str, Any] = (await client.get(f"{BASE}/markets/{TICKER}")).json()["market"]
        return row

    row = in_process(work)

    assert tuple(row[f"{side}_dollars"] for side in ("yes_bid", "yes_ask", "no_bid", "no_ask")) == expected
    assert (row["yes_bid_size_fp"] == "0.00") == (expected[0] == "0.0000")
    assert (row["yes_ask_size_fp"] == "0.00") == (expected[1] == "1.0000")


def test_a_settled_market_is_finalized_with_its_result_and_filter_words_are_not_row_words() -> None:
    async def work(client: httpx.AsyncClient, simulator: Simulator) -> dict[str, Any]:
        counts: dict[str, Any] = {}
        simulator.players["kalshi"].hold(True)
        for _ in range(2):
            for _step in range(3 if not counts else 1):
                simulator.players["kalshi"].step_on()
            for word in ("open", "closed", "settled"):
                body = (await client.get(f"{BASE}/markets", params={"status": word})).json()
                rows = [r for r in body["markets"] if not r["ticker"].startswith("KXMVE")]
                counts.setdefault(word, []).append([row["status"] for row in rows])
            counts["row"] = (await client.get(f"{BASE}/markets/{TICKER}")).json()["market"]
        bad = await client.get(f"{BASE}/markets", params={"status": "finalized"})
        counts["bad"] = (bad.status_code, bad.json())
        return counts

    found = in_process(work)

    assert found["open"] == [[], []]
    assert found["closed"] == [["closed"], []]
    assert found["settled"] == [[], ["finalized"]]
    assert (found["row"]["result"], found["row"]["settlement_value_dollars"]) == ("no", "0.0000")
    error = {"code": "bad_request", "message": "bad request", "details": "invalid status filter"}
    assert found["bad"] == (400, {"error": error})


def house_lines(markets: int) -> list[Line]:
    lines: list[Line] = []
    for line in HouseTape(1, markets, START_US).lines("kalshi"):
        if (line.ts_us or 0) > START_US:
            break
        lines.append(line)
    return lines


async def walk(client: httpx.AsyncClient, path: str, name: str, **params: str) -> list[list[dict[str, Any]]]:
    query, found = dict(params), []
    while True:
        body = (await client.get(f"{BASE}/{path}", params=query)).json()
        found.append(body[name])
        if body["cursor"] == "":
            return found
        query["cursor"] = body["cursor"]


def test_pages_hold_every_market_and_event_once_and_end_with_an_empty_cursor() -> None:
    lines = house_lines(120)

    async def work(client: httpx.AsyncClient, _: Simulator) -> tuple[Any, Any]:
        markets = await walk(client, "markets", "markets", status="open", mve_filter="exclude", limit="25")
        events = await walk(client, "events", "events", status="open", with_nested_markets="true", limit="4")
        return markets, events

    markets, events = in_process(work, lines, lockstep=False)

    tickers = [row["ticker"] for page in markets for row in page]
    assert [len(page) for page in markets] == [25, 25, 10]
    assert len(set(tickers)) == 60
    nested = [row["ticker"] for page in events for event in page for row in event["markets"]]
    assert sorted(nested) == sorted(tickers)


def test_combos_come_first_unless_excluded() -> None:
    async def work(client: httpx.AsyncClient, _: Simulator) -> tuple[list[str], list[str], list[str]]:
        found = []
        for extra in ({}, {"mve_filter": "exclude"}, {"mve_filter": "only"}):
            body = (await client.get(f"{BASE}/markets", params={"status": "open", "limit": "1000", **extra})).json()
            found.append([row["ticker"] for row in body["markets"]])
        return found[0], found[1], found[2]

    everything, excluded, only = in_process(work, house_lines(60), lockstep=False)

    assert len(only) == 12
    assert all(ticker.startswith("KXMVE") for ticker in only)
    assert everything == only + excluded
    assert not any(ticker.startswith("KXMVE") for ticker in excluded)


def test_an_event_matches_a_status_when_any_child_does() -> None:
    lines = house_lines(100)
    counts: dict[str, int] = {}
    for line in lines:
        if isinstance(line, Market):
            counts[line.event] = counts.get(line.event, 0) + 1
    event = max(counts, key=lambda name: counts[name])

    async def work(client: httpx.AsyncClient, simulator: Simulator) -> list[str]:
        world = simulator.players["kalshi"].world
        world.events[event][0].phase = "settled"
        world.events[event][0].winner = 1
        params = {"status": "open", "tickers": event, "with_nested_markets": "true"}
        [row] = (await client.get(f"{BASE}/events", params=params)).json()["events"]
        return [market["status"] for market in row["markets"]]

    assert set(in_process(work, lines, lockstep=False)) == {"active", "finalized"}


def test_order_books_trades_and_exchange_calls_answer() -> None:
    async def work(client: httpx.AsyncClient, simulator: Simulator) -> dict[str, Any]:
        simulator.players["kalshi"].step_on()
        paths = {
            "one": f"markets/{TICKER}/orderbook",
            "many": f"markets/orderbooks?tickers={TICKER}&tickers=NOPE",
            "trades": "markets/trades",
            "series": "series",
            "a_series": "series/KXTEST",
            "status": "exchange/status",
            "schedule": "exchange/schedule",
            "event": "events/KXTEST-26DEC31",
        }
        found = {name: (await client.get(f"{BASE}/{path}")).json() for name, path in paths.items()}
        found["none"] = (await client.get(f"{BASE}/markets/NOPE")).status_code
        return found

    found = in_process(work)

    book = found["one"]["orderbook_fp"]
    assert book["yes_dollars"] == []
    assert book["no_dollars"][-1][0] == "0.5400"
    assert found["many"]["orderbooks"] == [{"ticker": TICKER, "orderbook_fp": book}]
    [trade] = found["trades"]["trades"]
    assert (trade["yes_price_dollars"], trade["count_fp"], trade["taker_outcome_side"]) == ("0.4500", "25.50", "no")
    assert found["series"]["series"] == [found["a_series"]["series"]]
    assert found["a_series"]["series"]["category"] == "Politics"
    assert found["status"]["exchange_active"] is True
    assert "standard_hours" in found["schedule"]["schedule"]
    assert [row["ticker"] for row in found["event"]["markets"]] == [TICKER]
    assert found["none"] == 404


def test_candles_are_of_what_was_played_and_no_answer_has_too_many() -> None:
    async def work(client: httpx.AsyncClient, simulator: Simulator) -> list[httpx.Response]:
        player = simulator.players["kalshi"]
        while not player.finished:
            player.sweep_begins()
            player.sweep_served(player.now_us())
        start_s = START_US // SECOND
        asked = f"market_tickers={TICKER},NOPE&start_ts={start_s}&period_interval=1&include_latest_before_start=true"
        ends = (f"&end_ts={start_s + 150}", f"&end_ts={start_s + 10_001 * 60}", f"&end_ts={start_s - 1}", "")
        return [await client.get(f"{BASE}/markets/candlesticks?{asked}{end}") for end in ends]

    found, *refused = in_process(work)

    [market] = found.json()["markets"]
    assert market["market_ticker"] == TICKER
    ends_s = [candle["end_period_ts"] for candle in market["candlesticks"]]
    assert ends_s == [START_US // SECOND, 1_764_851_280, 1_764_851_340]
    sides = [(c["yes_bid"]["close_dollars"], c["yes_ask"]["close_dollars"]) for c in market["candlesticks"]]
    assert sides[0] == ("0.4000", "0.4200")
    assert [response.status_code for response in refused] == [400, 400, 400]

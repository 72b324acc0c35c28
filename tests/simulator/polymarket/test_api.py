"""Polymarket over HTTP: rows payload for payload as the fixtures, and the rules of paging."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from simulator.app import Simulator
from simulator.house import HouseTape
from simulator.polymarket.rows import GammaRows, book_row
from simulator.tape import Line, Market, Quote
from simulator.world import World
from tests.payloads import file_name, folders
from tests.producers.polymarket.fixtures import load
from tests.simulator.conftest import CONDITION, SECOND, START_US, in_process, small_tape

KEYSET = "/gamma/markets/keyset"


def json_type(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, int | float) else type(value).__name__


def types_of(rows: list[dict[str, Any]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for row in rows:
        for key, value in row.items():
            found.setdefault(key, set()).add(json_type(value))
    return found


def not_as(real: list[dict[str, Any]], ours: list[dict[str, Any]]) -> list[str]:
    """Keys of ours that no real row has, or has with another JSON type only."""
    known = types_of(real)
    return [
        f"{key}: {kinds}, real {known.get(key)}"
        for key, kinds in types_of(ours).items()
        if kinds - known.get(key, set())
    ]


@pytest.fixture(scope="module")
def world() -> World:
    """Six hours of the house tape: open, thin, one-sided and settled markets."""
    played = World()
    for line in HouseTape(3, 200, START_US).lines("polymarket"):
        if (line.ts_us or 0) > START_US + 6 * 3_600 * SECOND:
            return played
        played.apply(line)
    raise AssertionError("endless")


EVENTS = ("events", "gamma_event_negrisk_multi_2026-05", "gamma_events_page_2026-01")
MARKETS = ("markets", "gamma_markets_page_2026-06", "gamma_markets_closed_batch_2026-06")


def rows_of(folder: Path, *names: str) -> list[dict[str, Any]]:
    """The rows of those of the payloads that this folder has."""
    paths = [folder / f"{name}.json" for name in names]
    return [row for path in paths if path.is_file() for row in load(path) if isinstance(row, dict)]


def inside(rows: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    """What is nested in rows."""
    return [item for row in rows for item in row.get(key) or () if isinstance(item, dict)]


@pytest.fixture(scope="module", params=folders("polymarket"), ids=file_name)
def folder(request: pytest.FixtureRequest) -> Path:
    """Payloads as the venue writes them."""
    path: Path = request.param
    return path


@pytest.fixture(scope="module")
def real_markets(folder: Path) -> list[dict[str, Any]]:
    return rows_of(folder, *MARKETS, "gamma_market_past_end_date_open") + inside(rows_of(folder, *EVENTS), "markets")


@pytest.fixture(scope="module")
def real_events(folder: Path) -> list[dict[str, Any]]:
    return rows_of(folder, *EVENTS) + inside(rows_of(folder, *MARKETS), "events")


def test_every_key_of_a_market_row_stands_in_a_real_row_with_the_same_type(
    world: World, real_markets: list[dict[str, Any]]
) -> None:
    rows = [json.loads(GammaRows(world).market(state)) for state in world.states.values()]

    assert any(row["closed"] for row in rows)
    assert any("bestBid" not in row for row in rows)
    assert not not_as(real_markets, rows)


def test_every_key_of_an_event_row_stands_in_a_real_row_with_the_same_type(
    world: World, real_events: list[dict[str, Any]]
) -> None:
    rows = [json.loads(GammaRows(world).event(states)) for states in world.events.values()]

    assert not not_as(real_events, rows)
    tags = [tag for row in rows for tag in row["tags"]]
    assert not not_as(inside(real_events, "tags"), tags)


def test_a_real_open_rows_price_keys_are_all_spoken(world: World) -> None:
    rows = [json.loads(GammaRows(world).market(state)) for state in world.states.values()]
    spoken = {key for row in rows for key in row}

    assert spoken >= {
        "bestBid", "bestAsk", "spread", "lastTradePrice", "outcomePrices", "oneHourPriceChange", "volume", "volumeNum",
        "volume24hr", "liquidity", "endDate", "groupItemTitle", "negRiskMarketID", "closedTime", "umaResolutionStatus",
    }  # fmt: skip


def test_books_have_the_keys_of_real_ones_and_the_best_level_last(world: World, folder: Path) -> None:
    real = rows_of(folder, "books", "clob_books_batch_2026-05", "clob_book_empty_ask_2026-08")
    books = [book_row(state, index) for state in world.states.values() if state.phase == "open" for index in (0, 1)]

    assert not not_as(real, books)
    assert all(set(book) == set().union(*real) for book in books)
    for book in books:
        bids, asks = ([float(level["price"]) for level in book[side]] for side in ("bids", "asks"))
        assert bids == sorted(bids)
        assert asks == sorted(asks, reverse=True)
        assert not bids or not asks or bids[-1] < asks[-1]
    assert any(not book["asks"] for book in books)
    assert any(book["last_trade_price"] == "" for book in books)


def test_lists_stand_inside_strings_and_token_ids_are_long_decimal_strings() -> None:
    async def work(client: httpx.AsyncClient, _: Simulator) -> Any:
        return (await client.get(KEYSET, params={"condition_ids": CONDITION})).json()["markets"]

    [row] = in_process(work)

    tokens = json.loads(row["clobTokenIds"])
    assert json.loads(row["outcomes"]) == ["Yes", "No"]
    assert json.loads(row["outcomePrices"]) == ["0.41", "0.59"]
    assert all(token.isdigit() and 76 <= len(token) <= 78 for token in tokens)
    assert isinstance(row["volume"], str)
    assert isinstance(row["volumeNum"], float)
    assert "tags" not in row


async def pages(client: httpx.AsyncClient, cursor_name: str, **params: str) -> list[list[str]]:
    query, found = {"limit": "7", **params}, []
    for _ in range(60):
        body = (await client.get(KEYSET, params=query)).json()
        found.append([row["id"] for row in body["markets"]])
        if "next_cursor" not in body:
            break
        query[cursor_name] = body["next_cursor"]
    return found


def house_lines() -> list[Line]:
    lines: list[Line] = []
    for line in HouseTape(1, 80, START_US).lines("polymarket"):
        if (line.ts_us or 0) > START_US:
            break
        lines.append(line)
    return lines


@pytest.mark.parametrize("order", ["id", "volume24hr", "volumeNum", "volume", "endDate"])
@pytest.mark.parametrize("ascending", ["true", "false"])
def test_keyset_pages_hold_every_market_once_in_any_order(order: str, ascending: str) -> None:
    async def work(client: httpx.AsyncClient, _: Simulator) -> list[list[str]]:
        return await pages(client, "after_cursor", closed="false", order=order, ascending=ascending)

    found = in_process(work, house_lines(), lockstep=False)

    ids = [market_id for page in found for market_id in page]
    assert len(ids) == len(set(ids)) == 40
    assert [len(page) for page in found] == [7, 7, 7, 7, 7, 5]
    if order == "id":
        assert ids == sorted(ids, key=int, reverse=ascending == "false")


@pytest.mark.parametrize("name", ["cursor", "next_cursor"])
def test_the_wrong_cursor_name_is_ignored_and_gives_page_one_for_ever(name: str) -> None:
    async def work(client: httpx.AsyncClient, _: Simulator) -> list[list[str]]:
        return await pages(client, name, order="id", ascending="true")

    found = in_process(work, house_lines(), lockstep=False)

    assert len(found) == 60
    assert all(page == found[0] for page in found)


def test_a_cursor_is_bound_to_its_query_and_offset_is_refused() -> None:
    async def work(client: httpx.AsyncClient, _: Simulator) -> list[int]:
        first = (await client.get(KEYSET, params={"limit": "5", "closed": "false"})).json()
        after = {"limit": "5", "after_cursor": first["next_cursor"]}
        answers = [
            await client.get(KEYSET, params={**after, "closed": "false"}),
            await client.get(KEYSET, params=after),
            await client.get(KEYSET, params={"after_cursor": "garbage"}),
            await client.get(KEYSET, params={"offset": "5"}),
        ]
        return [answer.status_code for answer in answers]

    assert in_process(work, house_lines(), lockstep=False) == [200, 422, 422, 422]


def test_the_legacy_list_cuts_its_limit_to_100_and_refuses_deep_offsets() -> None:
    lines: list[Line] = []
    for number in range(130):
        lines.append(Market(venue="polymarket", market=f"0x{number:064x}", title=f"Q{number}?", ts_us=START_US))

    async def work(client: httpx.AsyncClient, _: Simulator) -> tuple[int, int, dict[str, str]]:
        page = (await client.get("/gamma/markets", params={"limit": "500"})).json()
        deep = await client.get("/gamma/markets", params={"offset": "5000"})
        return len(page), deep.status_code, deep.json()

    length, status, body = in_process(work, lines)

    assert (length, status) == (100, 422)
    assert body["type"] == "validation error"
    assert "keyset" in body["error"]


def test_clob_answers_batches_leaves_out_unknown_tokens_and_knows_no_settled_book() -> None:
    async def work(client: httpx.AsyncClient, simulator: Simulator) -> dict[str, Any]:
        tokens = simulator.players["polymarket"].world.states[CONDITION].market.tokens
        body = [{"token_id": token, "side": "BUY"} for token in (*tokens, "12345")]
        paths = ("books", "prices", "midpoints", "spreads", "last-trades-prices")
        found: dict[str, Any] = {path: (await client.post(f"/clob/{path}", json=body)).json() for path in paths}
        found["tokens"] = tokens
        found["many"] = (await client.post("/clob/books", json=[{"token_id": "1"}] * 501)).status_code
        found["bad"] = (await client.post("/clob/books", content=b"{")).status_code
        simulator.players["polymarket"].world.apply(small_tape()[-2])
        gone = await client.get("/clob/book", params={"token_id": tokens[0]})
        found["gone"] = (gone.status_code, gone.json())
        found["closed"] = (await client.get(KEYSET, params={"closed": "true"})).json()["markets"]
        return found

    found = in_process(work)

    yes, no = found["tokens"]
    assert [book["asset_id"] for book in found["books"]] == [yes, no]
    assert found["books"][0]["bids"][-1] == {"price": "0.4", "size": "100"}
    assert found["books"][0]["asks"][-1] == {"price": "0.42", "size": "123.45"}
    assert found["books"][1]["bids"][-1] == {"price": "0.58", "size": "123.45"}
    assert found["prices"] == {yes: {"BUY": "0.4"}, no: {"BUY": "0.58"}}
    assert found["midpoints"] == {yes: "0.41", no: "0.59"}
    assert found["spreads"] == {yes: "0.02", no: "0.02"}
    assert [row["price"] for row in found["last-trades-prices"]] == ["0.41", "0.59"]
    assert (found["many"], found["bad"]) == (400, 400)
    assert found["gone"] == (404, {"error": "No orderbook exists for the requested token id"})
    assert found["closed"][0]["outcomePrices"] == '["1", "0"]'
    assert found["closed"][0]["umaResolutionStatus"] == "resolved"


def test_prices_history_is_what_the_tape_has_played() -> None:
    lines: list[Line] = [Market(venue="polymarket", market=CONDITION, title="?", tick=0.001)]
    lines += [Quote(START_US + i * 60 * SECOND, CONDITION, 300_000 + i * 1_000, 302_000 + i * 1_000) for i in range(5)]

    async def work(client: httpx.AsyncClient, simulator: Simulator) -> Any:
        player = simulator.players["polymarket"]
        while not player.finished:
            player.sweep_begins()
            player.sweep_served(player.now_us())
        tokens = player.world.states[CONDITION].market.tokens
        batch = {"markets": [*tokens, "unknown"], "start_ts": 0, "end_ts": player.now_us() // SECOND}
        told = (await client.post("/clob/batch-prices-history", json=batch)).json()["history"]
        too_many = await client.post("/clob/batch-prices-history", json=batch | {"markets": ["1"] * 21})
        assert (told.pop("unknown"), too_many.status_code) == ([], 400)
        return [
            (await client.get("/clob/prices-history", params={"market": token, "interval": "max"})).json()["history"]
            for token in tokens
        ] + list(told.values())

    yes, no, *batched = in_process(work, lines)

    assert batched == [yes, no]
    assert yes == [{"t": START_US // SECOND + 60 * i, "p": pytest.approx(0.301 + i / 1_000)} for i in range(5)]
    assert [point["p"] for point in no] == pytest.approx([1 - point["p"] for point in yes])

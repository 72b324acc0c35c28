"""Lockstep: every distinct moment is served in exactly one completed sweep of each venue."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from simulator.app import Simulator
from simulator.tape import Line, Market, Quote
from tests.simulator.conftest import CONDITION, SECOND, START_US, in_process, small_tape

KALSHI = "/kalshi/trade-api/v2/markets"


async def sweep_polymarket(client: httpx.AsyncClient, *, limit: int = 1, pages: int = 99) -> tuple[int, dict[str, Any]]:
    """A sweep, or its first pages: the moment (whole seconds) and the rows by condition id."""
    query = {"closed": "false", "order": "id", "ascending": "true", "limit": str(limit)}
    rows: dict[str, Any] = {}
    moment = 0
    for _ in range(pages):
        page = await client.get("/gamma/markets/keyset", params=query)
        assert page.headers["simulator-pace"] == "lockstep"
        moment = int(parsedate_to_datetime(page.headers["date"]).timestamp())
        rows |= {row["conditionId"]: row for row in page.json()["markets"]}
        if "next_cursor" not in page.json():
            break
        query["after_cursor"] = page.json()["next_cursor"]
    return moment, rows


async def sweep_kalshi(client: httpx.AsyncClient) -> tuple[int, dict[str, Any]]:
    page = await client.get(KALSHI, params={"status": "open", "mve_filter": "exclude", "limit": "1000"})
    assert page.json()["cursor"] == ""
    moment = int(parsedate_to_datetime(page.headers["date"]).timestamp())
    return moment, {row["ticker"]: row for row in page.json()["markets"]}


async def all_moments(
    client: httpx.AsyncClient,
    simulator: Simulator,
    venue: str,
    sweep: Callable[[httpx.AsyncClient], Coroutine[Any, Any, tuple[int, dict[str, Any]]]],
) -> list[int]:
    moments = []
    while not simulator.players[venue].finished:
        moments.append((await sweep(client))[0])
    return moments


def seconds(*offsets: int) -> list[int]:
    return [START_US // SECOND + offset for offset in offsets]


def test_each_moment_of_each_venue_is_served_in_exactly_one_sweep() -> None:
    async def work(client: httpx.AsyncClient, simulator: Simulator) -> tuple[list[int], list[int]]:
        polymarket = await all_moments(client, simulator, "polymarket", sweep_polymarket)
        assert not (await client.get("/simulator/status")).json()["finished"]  # the venues advance independently
        kalshi = await all_moments(client, simulator, "kalshi", sweep_kalshi)
        assert (await client.get("/simulator/status")).json()["finished"]
        return polymarket, kalshi

    polymarket, kalshi = in_process(work)

    assert polymarket == seconds(0, 3, 5, 9, 20, 30)
    assert kalshi == seconds(0, 4, 9, 20, 30)


def test_the_state_of_a_moment_is_the_last_quote_at_or_before_it() -> None:
    async def work(client: httpx.AsyncClient, _: Simulator) -> list[tuple[int, Any]]:
        return [(moment, rows[CONDITION]) for moment, rows in [await sweep_polymarket(client) for _ in range(2)]]

    (first, before), (second, after) = in_process(work)

    assert (first, second) == tuple(seconds(0, 3))
    assert (before["bestBid"], before["bestAsk"]) == (0.4, 0.42)
    assert (after["bestBid"], after["bestAsk"], after["lastTradePrice"]) == (0.44, 0.46, 0.45)


def test_a_sweep_that_is_broken_off_sees_the_same_moment_again() -> None:
    extra: list[Line] = [Market(venue="polymarket", market="0x" + "ef" * 32, title="D?", ts_us=START_US)]
    lines = [*extra, *small_tape()]

    async def work(client: httpx.AsyncClient, _: Simulator) -> list[int]:
        broken, _rows = await sweep_polymarket(client, pages=1)
        whole, _rows = await sweep_polymarket(client)
        next_one, _rows = await sweep_polymarket(client)
        return [broken, whole, next_one]

    assert in_process(work, lines) == seconds(0, 0, 3)


def test_what_is_asked_between_two_sweeps_is_of_the_moment_of_the_first() -> None:
    async def work(client: httpx.AsyncClient, _: Simulator) -> list[int]:
        first = (await sweep_kalshi(client))[0]
        beside = await client.get("/kalshi/trade-api/v2/events", params={"status": "open"})
        second = (await sweep_kalshi(client))[0]
        return [first, int(parsedate_to_datetime(beside.headers["date"]).timestamp()), second]

    assert in_process(work) == seconds(0, 0, 4)


def test_a_truncated_last_page_does_not_count_as_served() -> None:
    async def work(client: httpx.AsyncClient, _: Simulator) -> tuple[int, int]:
        await client.post("/simulator/faults", json={"path_prefix": "/kalshi", "mode": "truncated", "count": 1})
        broken = await client.get(KALSHI, params={"status": "open"})
        with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
            broken.json()
        return (await sweep_kalshi(client))[0], (await sweep_kalshi(client))[0]

    assert in_process(work) == tuple(seconds(0, 4))


def test_catalogue_calls_and_named_markets_do_not_move_the_tape() -> None:
    async def work(client: httpx.AsyncClient, simulator: Simulator) -> dict[str, int]:
        await client.get("/gamma/events/keyset")
        await client.get("/gamma/markets/keyset", params={"closed": "true"})
        await client.get("/gamma/markets/keyset", params={"condition_ids": CONDITION})
        await client.get("/kalshi/trade-api/v2/events", params={"status": "open"})
        await client.get(KALSHI, params={"status": "open", "tickers": "KXTEST-26DEC31-T5"})
        await client.get(KALSHI, params={"status": "settled"})
        return {venue: player.moments_served for venue, player in simulator.players.items()}

    assert in_process(work) == {"polymarket": 0, "kalshi": 0}


def test_a_held_tape_repeats_its_moment_until_it_is_let_go() -> None:
    async def work(client: httpx.AsyncClient, simulator: Simulator) -> list[int]:
        await client.post("/simulator/hold", json={"hold": True})
        held = [(await sweep_kalshi(client))[0] for _ in range(3)]
        assert simulator.players["kalshi"].sweeps_of_moment == 3
        assert simulator.players["kalshi"].moments_served == 1
        await client.post("/simulator/hold", json={"hold": False})
        return [*held, (await sweep_kalshi(client))[0], (await sweep_kalshi(client))[0]]

    assert in_process(work) == seconds(0, 0, 0, 4, 9)


def test_no_moment_lies_in_the_future() -> None:
    future = 4_000_000_000 * SECOND
    market = Market(venue="kalshi", market="M-1", title="?")
    lines: list[Line] = [market, Quote(START_US, "M-1", 100_000, 200_000), Quote(future, "M-1", 300_000, 400_000)]

    async def work(client: httpx.AsyncClient, _: Simulator) -> list[int]:
        return [(await sweep_kalshi(client))[0] for _ in range(3)]

    assert in_process(work, lines) == seconds(0, 0, 0)

"""Faults of listings, headers and time. (Broken, late and refused answers: `test_server.py`.)"""

from __future__ import annotations

import asyncio
import time
from collections.abc import MutableMapping
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from simulator.app import Simulator
from simulator.tape import Market
from tests.simulator.conftest import START_US, in_process
from tests.stack.waiting import PATIENCE_S

GAMMA, KALSHI = "/gamma/markets/keyset?limit=1", "/kalshi/trade-api/v2/markets?limit=1"


async def order(client: httpx.AsyncClient, mode: str, **more: Any) -> httpx.Response:
    return await client.post("/simulator/faults", json={"mode": mode, **more})


@pytest.mark.parametrize("path", [GAMMA, KALSHI])
def test_a_cursor_is_null_absent_wrong_or_repeated(path: str) -> None:
    key, parameter = ("next_cursor", "after_cursor") if path == GAMMA else ("cursor", "cursor")

    async def work(client: httpx.AsyncClient, simulator: Simulator) -> dict[str, Any]:
        for venue, market in (("polymarket", "0x" + "ef" * 32), ("kalshi", "KXLATE-1")):  # so that there are two pages
            simulator.players[venue].inject(Market(venue=venue, market=market, title="Late?", ts_us=START_US))
        found: dict[str, Any] = {"own": (await client.get(path)).json()}
        for cursor in ("null", "absent", "nonsense"):
            await order(client, "cursor", cursor=cursor, count=1)
            found[cursor] = (await client.get(path)).json()
        await order(client, "cursor", count=2)
        found["repeat"] = (await client.get(f"{path}&{parameter}={found['own'][key]}")).json()
        return found

    found = in_process(work)

    assert found["null"][key] is None
    assert key not in found["absent"]
    assert found["nonsense"][key] == "nonsense"
    assert found["repeat"][key] == found["own"][key]
    assert found["repeat"]["markets"] != found["own"]["markets"]
    assert found["null"]["markets"] == found["own"]["markets"]


@pytest.mark.parametrize("path", [GAMMA, KALSHI])
def test_where_there_is_one_page_no_cursor_can_be_repeated(path: str) -> None:
    path = path.replace("limit=1", "limit=100")

    async def work(client: httpx.AsyncClient, _: Simulator) -> tuple[Any, Any]:
        own = (await client.get(path)).json()
        await order(client, "cursor", cursor="repeat")
        return own, (await client.get(path)).json()

    own, repeated = in_process(work)

    assert len(repeated.pop("markets")) == len(own.pop("markets")) == 1
    assert repeated == own


def test_a_page_is_empty_and_claims_to_be_the_last() -> None:
    async def work(client: httpx.AsyncClient, _: Simulator) -> tuple[Any, Any]:
        await order(client, "empty")
        return (await client.get(GAMMA)).json(), (await client.get(KALSHI)).json()

    gamma, kalshi = in_process(work)

    assert gamma == {"markets": []}
    assert (kalshi["markets"], kalshi["cursor"]) == ([], "")


def test_a_listing_shifts_between_its_pages_so_that_rows_come_twice_or_are_missed() -> None:
    async def work(client: httpx.AsyncClient, simulator: Simulator) -> list[list[str]]:
        late = Market(venue="polymarket", market="0x" + "ef" * 32, title="Late?", ts_us=START_US)
        simulator.players["polymarket"].inject(late)
        await order(client, "shift", rows=1)
        first = (await client.get(GAMMA)).json()
        following = f"{GAMMA}&after_cursor={first['next_cursor']}"
        twice = (await client.get(following)).json()
        await order(client, "shift", rows=-1)
        missed = (await client.get(following)).json()
        return [[row["id"] for row in page["markets"]] for page in (first, twice, missed)]

    first, twice, missed = in_process(work)

    assert len(first) == 1
    assert twice[:1] == first
    assert len(twice) == 2
    assert missed == []


def test_headers_body_and_the_venues_clock_are_what_was_ordered() -> None:
    async def work(client: httpx.AsyncClient, _: Simulator) -> dict[str, Any]:
        found: dict[str, Any] = {"own": await client.get(GAMMA)}
        await order(client, "header", name="Age", value="999999999999", count=1)
        found["age"] = await client.get(GAMMA)
        await order(client, "body", body='{"price":1e999990}', count=1)
        found["body"] = await client.get(GAMMA)
        found["before"] = await client.get("/clob/time")
        await order(client, "skew", offset_s=3600, path_prefix="/clob")
        found["skewed"], found["straight"] = await client.get("/clob/time"), await client.get("/gamma/status")
        await order(client, "429", retry_after=None, count=1)
        found["429"] = await client.get(GAMMA)
        return found

    found = in_process(work)

    def at(name: str) -> float:
        return parsedate_to_datetime(found[name].headers["date"]).timestamp()

    assert found["age"].headers["age"] == "999999999999"
    assert found["body"].text == '{"price":1e999990}'
    assert at("skewed") - at("before") == 3600
    assert at("straight") == at("before")
    assert "retry-after" not in found["429"].headers


def test_a_body_drips_and_a_request_hangs() -> None:
    async def work(client: httpx.AsyncClient, _: Simulator) -> tuple[int, float]:
        whole = (await client.get("/clob/time")).content
        await order(client, "drip", delay_s=0.02, bytes=1, count=1)
        began = time.monotonic()
        assert (await client.get("/clob/time")).content == whole
        return len(whole), time.monotonic() - began

    size, took_s = in_process(work)

    assert took_s >= size * 0.02


def test_a_body_drips_no_longer_than_its_client_listens() -> None:
    async def work(client: httpx.AsyncClient, simulator: Simulator) -> list[bytes]:
        await order(client, "drip", delay_s=600, bytes=1)
        asked = iter(("http.request", "http.disconnect"))
        sent: list[bytes] = []

        async def receive() -> dict[str, Any]:
            return {"type": next(asked)}

        async def send(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.body":
                sent.append(message["body"])

        scope = {"type": "http", "method": "GET", "path": "/clob/time", "query_string": b"", "headers": []}
        await asyncio.wait_for(simulator.app(scope, receive, send), PATIENCE_S)
        return sent

    assert in_process(work) == []


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"mode": "fire"}, "mode must be one of"),
        ({"mode": "drip", "size": 3}, "takes delay_s, bytes, not 'size'"),
        ({"mode": "slow", "delay_s": "long"}, "must be a number"),
        ({"mode": "500", "count": "many"}, "whole number"),
    ],
)
def test_a_bad_order_is_refused_in_one_sentence(fault: dict[str, Any], said: str) -> None:
    async def work(client: httpx.AsyncClient, _: Simulator) -> httpx.Response:
        return await client.post("/simulator/faults", json=fault)

    answer = in_process(work)

    assert answer.status_code == 400
    assert said in answer.json()["error"]

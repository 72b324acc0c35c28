"""The first page is found under its own name."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from starlette.applications import Starlette

from dashboard import first_page


@pytest.mark.parametrize(
    ("asked", "led_to"),
    [
        ("/top_movers", "/"),
        ("/top_movers?market=KALSHI%3AA", "/?market=KALSHI%3AA"),
        ("/top_movers?//elsewhere.example", "/?//elsewhere.example"),
    ],
)
def test_the_name_of_the_first_page_leads_to_the_root_with_what_was_asked(asked: str, led_to: str) -> None:
    answer = asyncio.run(_get(asked))

    assert (answer.status_code, answer.headers["location"]) == (307, led_to)


async def _get(path: str) -> httpx.Response:
    transport = httpx.ASGITransport(Starlette(routes=first_page.ROUTES))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return await client.get(path)

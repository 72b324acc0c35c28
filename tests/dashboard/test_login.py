"""The dashboard's login: nothing without the password, and no quick guessing of it."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Iterator
from html import unescape

import httpx
import pytest
import uvicorn
import websockets
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from dashboard import login
from dashboard.login import (
    COOKIE,
    SESSION_S,
    OwnPagesOnly,
    PasswordHash,
    RequirePassword,
    Tickets,
    Tries,
    hash_password,
)
from dashboard.oidc import may_look
from kernel.errors import UserError
from movers.local.ports import listen
from tests.stack.processes import wait_until

PASSWORD = "correct horse 7"
HASH = hash_password(PASSWORD, log2_n=4)


async def _page(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("the board")


async def _long_socket(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("the board")
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


async def _socket(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("the board")
    await socket.close()


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    """A browser before a dashboard with a password, on a real port."""
    routes = [
        Route("/{path:path}", _page, methods=["GET", "POST"]),
        WebSocketRoute("/_stcore/stream", _socket),
        WebSocketRoute("/_stcore/long", _long_socket),
    ]
    app = OwnPagesOnly(RequirePassword(Starlette(routes=routes), HASH), ["127.0.0.1", "movers.example"])
    listener = listen(0, "dashboard")
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", ws="websockets-sansio"))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    wait_until(lambda: server.started, "the server runs")
    try:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", trust_env=False, timeout=60
        ) as browser:
            yield browser
    finally:
        server.should_exit = True
        thread.join(90)


def _stream(client: httpx.Client, path: str = "/_stcore/stream") -> websockets.connect:
    cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    url = str(client.base_url.copy_with(scheme="ws", path=path))
    return websockets.connect(url, additional_headers={"Cookie": cookie}, proxy=None)


def _look_at_the_stream(client: httpx.Client) -> str:
    """What the WebSocket says first. Raises InvalidStatus when it is refused."""

    async def look() -> str:
        async with _stream(client) as socket:
            return str(await socket.recv())

    return asyncio.run(look())


def _close_code_of_a_stream(client: httpx.Client, meanwhile: Callable[[], object] = lambda: None) -> int:
    """How a WebSocket is closed that was open when something happened."""

    async def wait_for_its_end() -> int:
        async with _stream(client, "/_stcore/long") as socket:
            await socket.recv()
            await asyncio.to_thread(meanwhile)
            with pytest.raises(websockets.ConnectionClosed) as caught:
                await asyncio.wait_for(socket.recv(), 60)
            assert caught.value.rcvd is not None
            return caught.value.rcvd.code

    return asyncio.run(wait_for_its_end())


@pytest.mark.parametrize("path", ["/", "/top_movers", "/media/x.png", "/_stcore/host-config", "/_stcore/metrics"])
def test_without_a_ticket_no_path_is_answered_by_the_app(client: httpx.Client, path: str) -> None:
    answer = client.get(path)

    assert answer.status_code == 401
    assert "board" not in answer.text


def test_the_websocket_is_refused_without_a_ticket(client: httpx.Client) -> None:
    with pytest.raises(websockets.InvalidStatus) as caught:
        _look_at_the_stream(client)

    assert caught.value.response.status_code == 403


def test_a_browser_is_led_to_the_form_and_the_password_lets_it_in(client: httpx.Client) -> None:
    led = client.get("/top_movers", headers={"accept": "text/html"})
    assert (led.status_code, led.headers["location"]) == (303, "/login?next=%2Ftop_movers")
    assert 'type="password"' in client.get("/login").text

    entered = client.post("/login", data={"password": PASSWORD})

    assert entered.status_code == 303
    cookie = entered.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert client.get("/top_movers").text == "the board"
    assert _look_at_the_stream(client) == "the board"


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://127.0.0.1:8501", 303), ("https://movers.example", 303), ("https://evil.example", 403), ("null", 403)],
)
def test_a_page_of_another_site_cannot_post_here(client: httpx.Client, origin: str, status: int) -> None:
    answer = client.post("/login", data={"password": PASSWORD}, headers={"origin": origin})

    assert answer.status_code == status


def _asked_for(page: str) -> str:
    """The address in the form that leads on."""
    found = re.search(r'name="next" type="hidden" value="([^"]*)"', page)
    assert found is not None
    return unescape(found[1])


def test_a_link_with_a_market_leads_there_after_a_wrong_and_the_right_password(client: httpx.Client) -> None:
    link = "/market_detail?market=POLY%3A0x1&movers_window=1h"
    led = client.get(link, headers={"accept": "text/html"})
    form = client.get(led.headers["location"])

    refused = client.post("/login", data={"password": "not this one", "next": _asked_for(form.text)})
    entered = client.post("/login", data={"password": PASSWORD, "next": _asked_for(refused.text)})

    assert refused.status_code == 401
    assert entered.headers["location"] == link


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example/",
        "//evil.example",
        "///evil.example",
        "evil.example",
        "/logout",
        "/login?next=/",
        "/" * 1001,
    ],
)
def test_the_form_leads_to_no_other_site_and_not_out_again(client: httpx.Client, wanted: str) -> None:
    entered = client.post("/login", data={"password": PASSWORD, "next": wanted})

    assert entered.headers["location"] == "/"


@pytest.mark.parametrize("wanted", ["/\\evil.example", "/\t/evil.example", "/\r\nSet-Cookie: a=b"])
def test_what_a_browser_reads_as_another_site_is_led_to_as_a_path_of_ours(client: httpx.Client, wanted: str) -> None:
    entered = client.post("/login", data={"password": PASSWORD, "next": wanted})

    assert client.base_url.join(entered.headers["location"]).host == client.base_url.host
    assert not re.search(r"[\\\t\r\n]", entered.headers["location"])


def test_an_address_in_the_form_is_no_markup(client: httpx.Client) -> None:
    page = client.get("/login", params={"next": '/"><script>alert(1)</script>'}).text

    assert "<script" not in page
    assert _asked_for(page) == '/"><script>alert(1)</script>'


def test_who_logs_in_in_two_tabs_is_led_on_in_both(client: httpx.Client) -> None:
    client.post("/login", data={"password": PASSWORD})

    again = client.post("/login", data={"password": PASSWORD, "next": "/alerts"})
    reloaded = client.get("/login?next=%2Falerts")

    assert (again.status_code, again.headers["location"]) == (303, "/alerts")
    assert (reloaded.status_code, reloaded.headers["location"]) == (303, "/alerts")


def test_logging_out_ends_what_another_tab_shows_and_the_ticket_itself(client: httpx.Client) -> None:
    client.post("/login", data={"password": PASSWORD})
    ticket = client.cookies[COOKIE]

    assert _close_code_of_a_stream(client, lambda: client.get("/logout")) == 4401

    assert client.get("/", headers={"cookie": f"{COOKIE}={ticket}"}).status_code == 401


def test_a_page_that_stays_open_gets_no_more_numbers_once_its_ticket_has_expired(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login, "SESSION_S", 3)
    client.post("/login", data={"password": PASSWORD})

    assert _close_code_of_a_stream(client) == 4401


def test_logging_out_ends_the_admission(client: httpx.Client) -> None:
    client.post("/login", data={"password": PASSWORD})

    client.get("/logout")

    assert client.get("/").status_code == 401


def test_health_is_open_since_it_tells_nothing(client: httpx.Client) -> None:
    assert client.get("/_stcore/health").status_code == 200


@pytest.mark.parametrize("forged", ["", "..", "9999999999.x.", "9999999999.x." + "0" * 64, "ä.ö.ü", "a" * 4000])
def test_a_forged_ticket_is_refused(client: httpx.Client, forged: str) -> None:
    answer = client.get("/", headers=[(b"cookie", f"{COOKIE}={forged}".encode())])

    assert answer.status_code == 401


def test_the_sixth_wrong_password_has_to_wait_even_when_it_is_right(client: httpx.Client) -> None:
    codes = [client.post("/login", data={"password": f"guess {n}"}).status_code for n in range(Tries.FREE)]
    blocked = client.post("/login", data={"password": PASSWORD})

    assert codes == [401] * Tries.FREE
    assert blocked.status_code == 429
    assert int(blocked.headers["retry-after"]) >= 1
    assert f"Try again in {blocked.headers['retry-after']} s." in blocked.text


def test_a_form_that_is_too_large_is_refused(client: httpx.Client) -> None:
    assert client.post("/login", data={"password": "x" * 10_000}).status_code == 400
    assert client.post("/login", data={f"field {n}": "x" for n in range(9)}).status_code == 400


def test_a_ticket_expires_and_one_of_another_key_never_counts() -> None:
    at = [1000.0]
    tickets = Tickets(b"one", lambda: at[0])
    ticket = tickets.issue()

    assert tickets.valid(ticket)
    assert not Tickets(b"two", lambda: at[0]).valid(ticket)
    at[0] += SESSION_S
    assert not tickets.valid(ticket)


def test_waits_grow_to_five_minutes_and_end_with_the_right_password() -> None:
    at = [0.0]
    tries = Tries(lambda: at[0])
    waits = []
    for _ in range(20):
        at[0] += 400  # so that the limit over all addresses has no say
        tries.wrong("10.0.0.1")
        waits.append(tries.wait_s("10.0.0.1"))

    assert waits[: Tries.FREE - 1] == [0.0] * (Tries.FREE - 1)
    assert waits[Tries.FREE - 1 : Tries.FREE + 3] == [1.0, 2.0, 4.0, 8.0]
    assert waits[-1] == Tries.LONGEST_S
    assert tries.wait_s("10.0.0.2") == 0.0
    tries.right("10.0.0.1")
    assert tries.wait_s("10.0.0.1") == 0.0


def test_many_addresses_together_are_limited_too() -> None:
    at = [0.0]
    tries = Tries(lambda: at[0])
    for number in range(Tries.OVERALL):
        tries.wrong(f"10.0.{number}.1")

    assert tries.wait_s("10.9.9.9") == Tries.OVERALL_S
    at[0] += Tries.OVERALL_S
    assert tries.wait_s("10.9.9.9") == 0.0


def test_a_hash_tells_the_password_from_others_and_differs_each_time() -> None:
    assert PasswordHash(HASH).matches(PASSWORD)
    assert not PasswordHash(HASH).matches(PASSWORD + " ")
    assert hash_password(PASSWORD, log2_n=4) != HASH


@pytest.mark.parametrize(
    "text",
    ["hunter2", "scrypt:15:8:1:AAAA:AAAA", HASH.replace("scrypt:4", "scrypt:40"), HASH + ":x", "scrypt:::::"],
    ids=["a password", "short", "too dear", "one field more", "empty fields"],  # a hash is another in each process
)
def test_what_is_no_hash_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(UserError, match="movers hash-password"):
        PasswordHash(text)


def test_a_short_password_is_refused() -> None:
    with pytest.raises(UserError, match="at least 10"):
        hash_password("short")


@pytest.mark.parametrize(
    ("email", "verified", "allowed"),
    [
        ("ann@example.com", True, True),
        ("ANN@Example.com", True, True),
        ("bob@trusted.example", True, True),
        ("ann@example.com", False, False),
        ("ann@example.com", "true", False),
        ("eve@example.com", True, False),
        ("eve@not-trusted.example", True, False),
        (None, True, False),
    ],
)
def test_openid_connect_admits_the_verified_addresses_of_the_list(
    email: object, verified: object, allowed: bool
) -> None:
    assert may_look(email, verified, ("ann@example.com", "@trusted.example")) is allowed

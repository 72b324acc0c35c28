"""HTTP to a venue: what is retried, what is refused, what is remembered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from kernel.clock import ManualClock
from kernel.errors import PermanentError, TransientError
from producers import client
from producers.base import Received
from schemas.units import US_PER_S, micros_from_iso
from tests.producers.witnesses import DATE, SWEEP, Memory, venue

NOW_US = micros_from_iso("2026-06-21T18:30:00Z")
HTML = b"<!DOCTYPE html><html><body>Error 1015</body></html>"

Reply = httpx.Response | Exception


def ask(
    *replies: Callable[[], Reply], clock: ManualClock | None = None
) -> tuple[Memory, ManualClock, Received | Exception]:
    """Asks once over a venue that replies so, the last reply again and again."""
    memory, clock = Memory(), clock or ManualClock(NOW_US)
    waiting = list(replies)

    def handler(_: httpx.Request) -> httpx.Response:
        reply = (waiting.pop(0) if len(waiting) > 1 else waiting[0])()
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def once() -> Received | Exception:
        http = venue(handler, memory, clock)
        try:
            answer, _ = await http.get("/markets", {"limit": 5}, SWEEP)
            return answer
        except (TransientError, PermanentError) as error:
            return error
        finally:
            await http.close()

    return memory, clock, asyncio.run(once())


def good(**headers: str) -> Callable[[], httpx.Response]:
    return lambda: httpx.Response(200, json={"markets": []}, headers={"Date": DATE, **headers})


def reply(status: int, content: bytes = b"{}", **headers: str) -> Callable[[], httpx.Response]:
    return lambda: httpx.Response(
        status, content=content, headers={name.replace("_", "-"): v for name, v in headers.items()}
    )


def waited_s(clock: ManualClock) -> float:
    return (clock.now_us() - NOW_US) / US_PER_S


def test_an_answer_carries_the_venues_time_less_its_age() -> None:
    memory, _, answer = ask(good(Age="7"))

    assert isinstance(answer, Received)
    assert (answer.date_us, answer.ts_venue_us) == (NOW_US, NOW_US - 7 * US_PER_S)
    assert (answer.channel, answer.path, answer.status) == ("/markets?limit=5", "/markets", 200)
    assert answer.body == b'{"markets":[]}'
    assert memory.answers == [answer]


@pytest.mark.parametrize("date", ["", "yesterday"])
def test_an_answer_without_a_readable_date_says_so(date: str) -> None:
    _, _, answer = ask(lambda: httpx.Response(200, json=[], headers={"Date": date}))

    assert isinstance(answer, Received)
    assert (answer.date_us, answer.ts_venue_us, answer.ts_received_us) == (None, None, NOW_US)


@pytest.mark.parametrize(
    ("asked", "least_s", "most_s"),
    [("3", 3.0, 3.01), ("Sun, 21 Jun 2026 18:30:09 GMT", 9.0, 9.01), ("never", 0.25, 0.51), ("86400", 120.0, 120.01)],
)
def test_retry_after_is_honoured_in_both_forms(asked: str, least_s: float, most_s: float) -> None:
    _, clock, answer = ask(reply(429, Retry_After=asked), good())

    assert isinstance(answer, Received)
    assert least_s <= waited_s(clock) <= most_s


def test_server_errors_are_retried_with_growing_pauses_and_then_given_up() -> None:
    memory, clock, error = ask(reply(503))

    assert isinstance(error, TransientError)
    assert [a.status for a in memory.answers] == [503] * 4
    assert 1.75 <= waited_s(clock) <= 3.51, "0.5 + 1 + 2 seconds, jittered"


def test_a_broken_connection_is_retried() -> None:
    _, _, answer = ask(lambda: httpx.ReadError("cut"), lambda: httpx.ConnectError("no route"), good())

    assert isinstance(answer, Received)


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404])
def test_other_refusals_are_not_retried(status: int) -> None:
    memory, _, error = ask(reply(status, b'{"error":"no"}'))

    assert isinstance(error, PermanentError)
    assert len(memory.answers) == 1
    assert memory.refusals == []


@pytest.mark.parametrize("content", [HTML, b'{"markets": [{"id"', b"", b"\xff\xfe"])
def test_what_is_not_json_is_refused_kept_and_asked_again(content: bytes) -> None:
    memory, _, answer = ask(reply(200, content), good())

    assert isinstance(answer, Received)
    assert memory.refusals == [("not_json", "/markets?limit=5")]
    assert [a.body for a in memory.answers] == [content, b'{"markets":[]}']


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        (rb'"cut \ud83d"', "cut \ufffd"),
        (rb'"\uDE80 \ud83d\ude80 \ud83d\ud83d\ude80"', "\ufffd \U0001f680 \ufffd\U0001f680"),
        (rb'"\\ud83d \\\\ud83d \\\ud83d \n\"\u00e9"', '\\ud83d \\\\ud83d \\\ufffd \n"\u00e9'),
        (rb'"\ud83d\u0041"', "\ufffdA"),
    ],
)
def test_half_an_emoji_in_a_title_costs_its_character_and_not_its_page(sent: bytes, text: str) -> None:
    memory, _, answer = ask(reply(200, b'{"markets": [{"question": ' + sent + b"}]}"))

    assert isinstance(answer, Received)
    assert memory.refusals == []
    assert client.read_json(answer.body) == {"markets": [{"question": text}]}


def test_an_html_error_page_is_refused_too() -> None:
    memory, _, answer = ask(reply(503, HTML), good())

    assert isinstance(answer, Received)
    assert memory.refusals == [("not_json", "/markets?limit=5")]


def test_an_answer_without_end_is_not_read_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "MAX_BODY_BYTES", 1_000)

    memory, _, answer = ask(reply(200, b"[" + b"1," * 2_000 + b"1]"), good())

    assert isinstance(answer, Received)
    assert memory.refusals == [("too_large", "/markets?limit=5")]


def test_requests_keep_the_pace_allowed() -> None:
    memory, clock = Memory(), ManualClock(NOW_US)

    async def many() -> None:
        http = venue(lambda _: httpx.Response(200, json=[]), memory, clock, requests_per_s=10)
        for _ in range(21):
            await http.get("/markets", None, SWEEP)
        await http.close()

    asyncio.run(many())

    assert 1.7 <= waited_s(clock) <= 2.0, "20 gaps of 0.1 s, less a burst of a quarter of a second"


def test_a_proxy_is_not_asked_for_a_server_on_this_machine() -> None:
    assert [client.on_loopback(u) for u in ("http://127.0.0.1:1/x", "http://localhost", "http://[::1]:9")] == [True] * 3
    assert not client.on_loopback("https://gamma-api.polymarket.com")


def test_an_answer_that_drips_is_given_up_in_time() -> None:
    memory = Memory()

    class Drip(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                yield b" "
                await asyncio.sleep(0.005)

    async def once() -> None:
        http = venue(lambda _: httpx.Response(200, stream=Drip()), memory, ManualClock(NOW_US), answer_within_s=0.05)
        try:
            with pytest.raises(TransientError, match="TimeoutError"):
                await asyncio.wait_for(http.get("/markets", None, SWEEP), 10)
        finally:
            await http.close()

    asyncio.run(once())


@pytest.mark.parametrize("asked", ["9" * 5_000, "²", "-3", "1e5", "x" * 60_000])
def test_an_absurd_retry_after_is_as_if_there_were_none(asked: str) -> None:
    raw = [(b"Retry-After", asked.encode())]
    _, clock, answer = ask(lambda: httpx.Response(429, json={}, headers=raw), good())

    assert isinstance(answer, Received)
    assert 0.25 <= waited_s(clock) <= 0.51


def test_a_question_that_fits_no_address_is_refused_and_not_retried() -> None:
    memory = Memory()

    async def once() -> None:
        http = venue(lambda _: httpx.Response(200, json=[]), memory, ManualClock(NOW_US))
        try:
            with pytest.raises(PermanentError):
                await http.get("/markets", {"cursor": "x" * 70_000}, SWEEP)
        finally:
            await http.close()

    asyncio.run(once())

    assert memory.answers == []

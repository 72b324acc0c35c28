"""HTTP to one venue host: paced, retried, every answer witnessed, unreadable ones refused without stopping anything."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

import httpx
import orjson

from kernel.clock import Clock
from kernel.errors import BadMessageError, PermanentError, TransientError
from kernel.logs import get_logger
from kernel.loopback import is_loopback
from kernel.metrics import RETRIES
from producers.base import Errand, Received, Witness
from producers.limits import RateLimit, age_s, backoff_s, http_date_us

log = get_logger(__name__)

MAX_BODY_BYTES = 64 * 1024 * 1024
"""An answer larger than this is not read on."""

Query = Mapping[str, str | int | Sequence[str]]
"""Parameters of a request; a sequence is written as a repeated parameter."""

_ATTEMPTS = 4
ANSWER_WITHIN_S = 45.0
"""An answer that is not whole by then is given up, however steadily it drips."""


_ESCAPE = re.compile(rb"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(u[dD][89a-fA-F]..)|.)", re.DOTALL)
"""An escape in JSON: a surrogate pair, half of one (in the group), or any other."""


def read_json(body: bytes) -> Any:
    """An answer's JSON. Half a surrogate pair, as in a title that was cut inside an emoji, is no Unicode: it costs its
    character, and neither its page nor all that is listed behind it.

    Raises:
        orjson.JSONDecodeError: it is none.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        mended = _ESCAPE.sub(lambda found: rb"\ufffd" if found[1] else found[0], body)
        if mended == body:
            raise
        return orjson.loads(mended)


def on_loopback(url: str) -> bool:
    """Whether an address is on this machine."""
    return is_loopback(urlsplit(url).hostname or "")


class VenueHttp:
    """One host of a venue.

    Args:
        base_url: address that the paths are under.
        limit: pace, shared by all that ask this host.
        witness: sees every answer and every refusal.
        clock: for stamps and waits.
        transport: for tests of broken connections.
        answer_within_s: for the whole of one answer.
    """

    def __init__(
        self,
        base_url: str,
        limit: RateLimit,
        witness: Witness,
        clock: Clock,
        transport: httpx.AsyncBaseTransport | None = None,
        answer_within_s: float = ANSWER_WITHIN_S,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._limit = limit
        self._witness = witness
        self._clock = clock
        self._answer_within_s = answer_within_s
        self._connection_id = uuid4().hex
        self._sequence = 0
        self._http = httpx.AsyncClient(
            timeout=httpx.Timeout(20.0, connect=5.0),
            headers={"User-Agent": "prediction-movers/0.1", "Accept": "application/json"},
            # A proxy for the outside world must not be asked for a server on this machine.
            trust_env=not on_loopback(base_url),
            transport=transport,
        )

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def get(self, path: str, params: Query | None, errand: Errand) -> tuple[Received, Any]:
        """The answer to a GET, and its JSON. See `_ask`."""
        return await self._ask("GET", path, params or {}, None, errand)

    async def post(self, path: str, body: object, errand: Errand) -> tuple[Received, Any]:
        """The answer to a POST of JSON that only reads (so it may be repeated), and its JSON. See `_ask`."""
        return await self._ask("POST", path, {}, orjson.dumps(body), errand)

    async def _ask(
        self, method: str, path: str, params: Query, content: bytes | None, errand: Errand
    ) -> tuple[Received, Any]:
        """Asks until there is a readable answer.

        429, 5xx, a broken or dripping connection and an answer that is not JSON are tried again, `_ATTEMPTS` times.

        Raises:
            TransientError: still no readable answer.
            PermanentError: refused with another status, or no address can be made of the question.
        """
        channel = f"{path}?{urlencode(params, doseq=True)}" if params else path
        failures = 0
        while True:
            await self._limit.wait()
            retry_after: str | None = None
            try:
                async with asyncio.timeout(self._answer_within_s):
                    received, retry_after = await self._exchange(method, channel, content, errand)
                return received, self._read(received)
            except httpx.InvalidURL as error:
                raise PermanentError(f"{method} {self._base_url}{path}: {error}") from error
            except (httpx.RequestError, TimeoutError, _Again) as error:
                failures += 1
                problem = str(error) or type(error).__name__
                if failures >= _ATTEMPTS:
                    raise TransientError(f"{method} {self._base_url}{path}: {problem}") from error
                delay = backoff_s(failures, retry_after, self._clock.now_us())
                RETRIES.labels(urlsplit(self._base_url).hostname).inc()
                log.info("venue_retry", path=path, problem=problem, failures=failures, wait_s=round(delay, 2))
                self._limit.hold(delay)

    async def _exchange(
        self, method: str, channel: str, content: bytes | None, errand: Errand
    ) -> tuple[Received, str | None]:
        """One answer, read whole and witnessed, and its Retry-After."""
        headers = {"Content-Type": "application/json"} if content is not None else {}
        ts_asked_us = self._clock.now_us()
        async with self._http.stream(method, self._base_url + channel, content=content, headers=headers) as response:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    self._refuse("too_large", f"more than {MAX_BODY_BYTES} bytes", bytes(body), channel)
                    raise _Again("answer too large")
        received = Received(
            errand=errand,
            channel=channel,
            connection_id=self._connection_id,
            sequence=self._sequence,
            body=bytes(body),
            ts_received_us=self._clock.now_us(),
            ts_asked_us=ts_asked_us,
            status=response.status_code,
            content_type=response.headers.get("content-type", ""),
            date_us=http_date_us(response.headers.get("date")),
            age_s=age_s(response.headers.get("age")),
            pace=response.headers.get("simulator-pace", ""),
        )
        self._sequence += 1
        self._witness.received(received)
        return received, response.headers.get("retry-after")

    def _read(self, received: Received) -> Any:
        """The JSON of a good answer. Raises _Again or PermanentError for the rest."""
        parsed, readable = None, True
        try:
            parsed = read_json(received.body)
        except orjson.JSONDecodeError as error:
            readable = False
            detail = f"HTTP {received.status} {received.content_type or 'without a type'}: {error}"
            self._refuse("not_json", detail, received.body, received.channel)
        status = received.status or 0
        if status == 429 or status >= 500:
            raise _Again(f"HTTP {status}")
        if not 200 <= status < 300:
            raise PermanentError(f"{self._base_url}{received.channel}: HTTP {status} {received.body[:200]!r}")
        if not readable:
            raise _Again("answer is not JSON")
        return parsed

    def _refuse(self, reason: str, detail: str, body: bytes, channel: str) -> None:
        self._witness.refused(BadMessageError(reason, detail, body), channel)


class _Again(Exception):
    """This answer is no use; the next may be."""

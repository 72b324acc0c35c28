"""HTTP to one venue host: paced, retried, every answer witnessed, unreadable ones refused without stopping anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import orjson

from kernel.clock import Clock
from kernel.errors import BadMessageError, PermanentError, TransientError
from kernel.logs import get_logger
from producers.base import Answer, Witness
from producers.limits import RateLimit, backoff_s, http_date_us
from schemas.units import US_PER_S

log = get_logger(__name__)

MAX_BODY_BYTES = 64 * 1024 * 1024
"""An answer larger than this is not read on."""

Query = Mapping[str, str | int | Sequence[str]]
"""Parameters of a request; a sequence is written as a repeated parameter."""

_ATTEMPTS = 4
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def on_loopback(url: str) -> bool:
    """Whether an address is on this machine."""
    return urlsplit(url).hostname in _LOOPBACK


class VenueHttp:
    """One host of a venue.

    Args:
        base_url: address that the paths are under.
        limit: pace, shared by all that ask this host.
        witness: sees every answer and every refusal.
        clock: for stamps and waits.
        transport: for tests of broken connections.
    """

    def __init__(
        self,
        base_url: str,
        limit: RateLimit,
        witness: Witness,
        clock: Clock,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._limit = limit
        self._witness = witness
        self._clock = clock
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

    async def get(self, path: str, params: Query | None = None) -> tuple[Answer, Any]:
        """The answer to a GET, and its JSON. See `_ask`."""
        return await self._ask("GET", path, params or {}, None)

    async def post(self, path: str, body: object) -> tuple[Answer, Any]:
        """The answer to a POST of JSON that only reads (so it may be repeated), and its JSON. See `_ask`."""
        return await self._ask("POST", path, {}, orjson.dumps(body))

    async def _ask(self, method: str, path: str, params: Query, content: bytes | None) -> tuple[Answer, Any]:
        """Asks until there is a readable answer.

        429, 5xx, a broken connection and an answer that is not JSON are tried again, `_ATTEMPTS` times in all.

        Raises:
            TransientError: still no readable answer.
            PermanentError: refused with another status.
        """
        channel = f"{path}?{urlencode(params, doseq=True)}" if params else path
        failures = 0
        while True:
            await self._limit.wait()
            retry_after: str | None = None
            try:
                answer, retry_after = await self._exchange(method, channel, path, content)
                return answer, self._read(answer)
            except (httpx.RequestError, _Again) as error:
                failures += 1
                problem = str(error) or type(error).__name__
                if failures >= _ATTEMPTS:
                    raise TransientError(f"{method} {self._base_url}{path}: {problem}") from error
                delay = backoff_s(failures, retry_after, self._clock.now_us())
                log.info("venue_retry", path=path, problem=problem, failures=failures, wait_s=round(delay, 2))
                self._limit.hold(delay)

    async def _exchange(self, method: str, channel: str, path: str, content: bytes | None) -> tuple[Answer, str | None]:
        """One answer, read whole and witnessed, and its Retry-After."""
        headers = {"Content-Type": "application/json"} if content is not None else {}
        url = self._base_url + channel
        asked_s = self._clock.monotonic_s()
        async with self._http.stream(method, url, content=content, headers=headers) as response:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    self._refuse("too_large", f"more than {MAX_BODY_BYTES} bytes", bytes(body), channel)
                    raise _Again("answer too large")
        date_us = http_date_us(response.headers.get("date"))
        age = response.headers.get("age", "")
        age_us = int(age) * US_PER_S if age.isdigit() else 0
        answer = Answer(
            channel=channel,
            path=path,
            status=response.status_code,
            content_type=response.headers.get("content-type", ""),
            body=bytes(body),
            date_us=date_us,
            ts_event_us=None if date_us is None else date_us - age_us,
            ts_received_us=self._clock.now_us(),
            asked_s=asked_s,
            received_s=self._clock.monotonic_s(),
        )
        self._witness.answered(answer)
        return answer, response.headers.get("retry-after")

    def _read(self, answer: Answer) -> Any:
        """The JSON of a good answer. Raises _Again or PermanentError for the rest."""
        parsed, readable = None, True
        try:
            parsed = orjson.loads(answer.body)
        except orjson.JSONDecodeError as error:
            readable = False
            detail = f"HTTP {answer.status} {answer.content_type or 'without a type'}: {error}"
            self._refuse("not_json", detail, answer.body, answer.channel)
        status = answer.status
        if status == 429 or status >= 500:
            raise _Again(f"HTTP {status}")
        if not 200 <= status < 300:
            raise PermanentError(f"{self._base_url}{answer.channel}: HTTP {status} {answer.body[:200]!r}")
        if not readable:
            raise _Again("answer is not JSON")
        return parsed

    def _refuse(self, reason: str, detail: str, body: bytes, channel: str) -> None:
        self._witness.refused(BadMessageError(reason, detail, body), channel)


class _Again(Exception):
    """This answer is no use; the next may be."""

"""Faults on demand over HTTP: a venue that answers HTML, half a JSON, an error, late, or with a bad cursor.

What goes wrong on a WebSocket is ordered in the same way and done by `simulator.sessions`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kernel.errors import UserError
from simulator.paging import SPOILED, answer

HTML: Final = (
    b"<!DOCTYPE html>\n<html><head><title>Attention Required! | Cloudflare</title></head>"
    b"<body><h1>Sorry, you have been blocked</h1><p>Error 1015: You are being rate limited</p></body></html>\n"
)
HTTP_MODES: Final[Mapping[str, Mapping[str, Any]]] = {
    "html": {"status": 503},
    "truncated": {},
    "500": {},
    "429": {"retry_after": "venue"},  # the venue's own habit; a text (seconds or a date), or null for none
    "slow": {"delay_s": 5.0},  # late, and whole
    "hang": {"delay_s": 60.0},  # no byte for so long, then the connection ends
    "drip": {"delay_s": 1.0, "bytes": 1},  # so many bytes at a time
    "cursor": {"cursor": "repeat"},  # repeat, null, absent, or any other text
    "empty": {},  # no rows, and no cursor
    "shift": {"rows": 3},  # so many rows of the page before come again; below 0: so many rows are missed
    "header": {"name": "", "value": ""},
    "body": {"body": "", "status": 200},
    "skew": {"offset_s": 3_600.0},  # the Date header is wrong by so much
}
"""What can be ordered for HTTP answers, with the values that go with it."""

STREAM_MODES: Final[Mapping[str, Mapping[str, Any]]] = {
    # Done at once, to the connections that stand when it is ordered:
    "frozen": {"connection": None},  # open, answers PING, says nothing more
    "half_open": {"connection": None},  # takes and sends nothing more, not even a close
    "frozen_market": {"markets": None, "share": 1.0, "cure": "subscribe", "connection": None},  # cure: or reconnect
    "giant": {"bytes": 20_000_000, "connection": None},
    "close": {"code": 1013, "reason": "slow consumer: send buffer full", "connection": None},
    "drop": {"connection": None},  # the line is cut without a close frame
    # Standing until off:
    "reordered": {"every": 5},  # each so-many-th frame comes after its successor
    "duplicated": {"every": 5},  # each so-many-th frame comes twice
    "lost": {"every": 5, "only": None},  # each so-many-th frame, perhaps of one connection, never comes but counts
    "token_limit": {"limit": 400},  # more are not served, and nobody is told
    "connection_limit": {"limit": 10},  # more are refused with 429
    "refused": {"status": 401},  # every handshake: the key is rejected
}
"""What can be ordered for WebSockets."""

_ORDER_KEYS: Final = frozenset(("path_prefix", "mode", "count"))


@dataclass(slots=True)
class Fault:
    """What goes wrong with the next `count` requests (None: all) whose path starts with `path_prefix`."""

    path_prefix: str
    mode: str
    count: int | None
    values: dict[str, Any]


def fault_of(order: Mapping[str, Any]) -> Fault:
    """The fault that a request body orders.

    Raises:
        UserError: a mode or value that is not known.
    """
    mode = str(order.get("mode"))
    known = HTTP_MODES.get(mode, STREAM_MODES.get(mode))
    if known is None:
        raise UserError(f"mode must be one of off, {', '.join((*HTTP_MODES, *STREAM_MODES))}, not {mode!r}")
    if unknown := order.keys() - known.keys() - _ORDER_KEYS:
        raise UserError(f"{mode} takes {', '.join(known) or 'no values'}, not {sorted(unknown)[0]!r}")
    values = {name: order.get(name, default) for name, default in known.items()}
    count = order.get("count")
    for name, value in (*values.items(), ("count", count)):
        wanted = known.get(name)
        if isinstance(wanted, int | float) and not isinstance(value, int | float):
            raise UserError(f"bad fault: {name} must be a number, not {value!r}")
    if not isinstance(count, int | None):
        raise UserError(f"bad fault: count must be a whole number, not {count!r}")
    return Fault(str(order.get("path_prefix", "/")), mode, count, values)


class Faults:
    """ASGI middleware with switches. The newest fault that matches a path counts."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._faults: list[Fault] = []
        self._last_rows: dict[str, list[Any]] = {}
        self.served = 0

    def set(self, fault: Fault) -> None:
        """From now on."""
        self._faults.insert(0, fault)

    def end(self, prefix: str) -> None:
        """No more faults under a prefix."""
        self._faults = [fault for fault in self._faults if not fault.path_prefix.startswith(prefix)]

    def skew_s(self, path: str) -> float:
        """By how much the Date of an answer is to be wrong."""
        fault = self._due(path, skew=True)
        return float(fault.values["offset_s"]) if fault else 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets the request through, or breaks its answer."""
        fault = self._due(scope["path"]) if scope["type"] == "http" else None
        if fault is None:
            await self._app(scope, receive, send)
            return
        self.served += 1
        values = fault.values
        match fault.mode:
            case "slow":
                await asyncio.sleep(values["delay_s"])
                await self._app(scope, receive, send)
            case "hang":
                await _silence(receive, values["delay_s"])
            case "drip":
                dripped = _dripped(receive, values["delay_s"], int(values["bytes"]))
                await self._app(scope, receive, _Whole(send, dripped))
            case "truncated":
                await self._edit(scope, receive, send, lambda body: body[: len(body) // 2])
            case "cursor" | "empty" | "shift":
                await self._edit(scope, receive, send, lambda body: self._listing(body, fault, scope))
            case "header":
                pair = (values["name"].lower().encode("latin-1"), str(values["value"]).encode("latin-1"))
                await self._app(scope, receive, _headed(send, pair))
            case _:
                await _broken(fault, scope["path"])(scope, receive, send)

    async def _edit(self, scope: Scope, receive: Receive, send: Send, edit: Callable[[bytes], bytes]) -> None:
        scope[SPOILED] = True
        await self._app(scope, receive, _Whole(send, _edited(edit)))

    def _listing(self, body: bytes, fault: Fault, scope: Scope) -> bytes:
        """A page of a listing with its cursor or its rows wrong."""
        page = orjson.loads(body)
        name = next((key for key, value in page.items() if isinstance(value, list)), "")
        cursor = "cursor" if "cursor" in page else "next_cursor"
        if fault.mode == "empty":
            page[name] = []
            page.pop("next_cursor", None)
            page |= {"cursor": ""} if cursor == "cursor" else {}
        elif fault.mode == "shift":
            rows, count = page[name], int(fault.values["rows"])
            if _asked_cursor(scope) is not None:  # a listing shifts between its pages
                page[name] = rows[-count:] if count < 0 else self._last_rows.get(scope["path"], [])[-count:] + rows
            self._last_rows[scope["path"]] = rows
        elif fault.values["cursor"] == "absent":
            page.pop(cursor, None)
        elif fault.values["cursor"] == "repeat":
            if (asked := _asked_cursor(scope)) is not None:  # a first page has none to repeat
                page[cursor] = asked
        else:
            page[cursor] = None if fault.values["cursor"] in (None, "null") else fault.values["cursor"]
        return orjson.dumps(page)

    def _due(self, path: str, *, skew: bool = False) -> Fault | None:
        for fault in self._faults:
            fits = path.startswith(fault.path_prefix) and not path.startswith("/simulator")
            if fits and fault.mode in HTTP_MODES and (fault.mode == "skew") == skew:
                if fault.count is not None:
                    fault.count -= 1
                    if fault.count <= 0:
                        self._faults.remove(fault)
                return fault
        return None


def _asked_cursor(scope: Scope) -> str | None:
    pairs = (pair.split("=", 1) for pair in scope["query_string"].decode().split("&") if "=" in pair)
    return next((value for key, value in pairs if key in ("cursor", "after_cursor")), None)


def _broken(fault: Fault, path: str) -> ASGIApp:
    if fault.mode == "html":
        response = answer(HTML, fault.values["status"])
        response.headers["content-type"] = "text/html; charset=UTF-8"
        return response
    if fault.mode == "body":
        return answer(str(fault.values["body"]).encode(), fault.values["status"])
    if fault.mode == "429":
        response = answer({"error": "too many requests"}, 429)
        asked = fault.values["retry_after"]
        if asked == "venue":
            asked = None if path.startswith("/kalshi") else "1"  # Kalshi sends no Retry-After
        if asked is not None:
            response.headers["retry-after"] = str(asked)
        return response
    return answer({"type": "internal error", "error": "cannot get the information"}, 500)


async def _silence(receive: Receive, delay_s: float) -> None:
    """Nothing, until the client goes or the time is over; then uvicorn ends the connection, for want of an answer."""
    gone = asyncio.create_task(_gone(receive))
    await asyncio.wait((gone,), timeout=delay_s)
    gone.cancel()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _headed(send: Send, header: tuple[bytes, bytes]) -> Send:
    async def send_headed(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [pair for pair in message.get("headers", []) if pair[0].lower() != header[0]]
            message["headers"] = [*kept, header]
        await send(message)

    return send_headed


Sender = Callable[[Send, Message, bytes], Any]
"""Sends an answer whose start and whole body are given."""


def _edited(edit: Callable[[bytes], bytes]) -> Sender:
    """The body changed, and a content-length that fits it, so that only the content is broken."""

    async def send_edited(send: Send, start: Message, body: bytes) -> None:
        changed = edit(body)
        headers = [(key, value) for key, value in start["headers"] if key.lower() != b"content-length"]
        headers.append((b"content-length", str(len(changed)).encode()))
        await send({**start, "headers": headers})
        await send({"type": "http.response.body", "body": changed})

    return send_edited


def _dripped(receive: Receive, delay_s: float, size: int) -> Sender:
    async def send_dripped(send: Send, start: Message, body: bytes) -> None:
        gone = asyncio.create_task(_gone(receive))
        await send(start)
        for place in range(0, len(body), size):
            await asyncio.wait((gone,), timeout=delay_s)
            if gone.done():
                return
            more = place + size < len(body)
            await send({"type": "http.response.body", "body": body[place : place + size], "more_body": more})
        gone.cancel()

    return send_dripped


class _Whole:
    """Gathers an answer, then sends it in its own way."""

    def __init__(self, send: Send, sender: Sender) -> None:
        self._send = send
        self._sender = sender
        self._start: Message = {}
        self._body = bytearray()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        self._body += message.get("body", b"")
        if not message.get("more_body"):
            await self._sender(self._send, self._start, bytes(self._body))

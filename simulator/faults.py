"""Faults on demand: a venue that answers HTML, half a JSON, an error, or late. For tests of the producers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kernel.errors import UserError
from simulator.paging import SPOILED, answer

MODES: Final = ("html", "truncated", "500", "429", "slow", "off")
HTML: Final = (
    b"<!DOCTYPE html>\n<html><head><title>Attention Required! | Cloudflare</title></head>"
    b"<body><h1>Sorry, you have been blocked</h1><p>Error 1015: You are being rate limited</p></body></html>\n"
)


@dataclass(slots=True)
class Fault:
    """What goes wrong with the next `count` requests (None: all) whose path starts with `path_prefix`."""

    path_prefix: str
    mode: str
    count: int | None
    status: int
    delay_s: float


class Faults:
    """ASGI middleware with switches. The newest fault that matches a path counts."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._faults: list[Fault] = []
        self.served = 0

    def switch(self, order: dict[str, Any]) -> None:
        """Sets a fault from a request body: path_prefix, mode, and optional count, status (html), delay_s (slow).

        Raises:
            UserError: a mode or value that is not known.
        """
        prefix, mode = str(order.get("path_prefix", "/")), order.get("mode")
        if mode not in MODES:
            raise UserError(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
        if mode == "off":
            self._faults = [fault for fault in self._faults if not fault.path_prefix.startswith(prefix)]
            return
        try:
            count = None if order.get("count") is None else int(order["count"])
            status, delay_s = int(order.get("status", 503)), float(order.get("delay_s", 5.0))
        except (TypeError, ValueError) as error:
            raise UserError(f"bad fault: {error}") from error
        self._faults.insert(0, Fault(prefix, mode, count, status, delay_s))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets the request through, or breaks its answer."""
        fault = self._due(scope["path"]) if scope["type"] == "http" else None
        if fault is None:
            await self._app(scope, receive, send)
            return
        self.served += 1
        if fault.mode == "slow":
            await asyncio.sleep(fault.delay_s)
            await self._app(scope, receive, send)
        elif fault.mode == "truncated":
            scope[SPOILED] = True
            await self._app(scope, receive, _Truncating(send))
        else:
            await _broken(fault, scope["path"])(scope, receive, send)

    def _due(self, path: str) -> Fault | None:
        for fault in self._faults:
            if path.startswith(fault.path_prefix) and not path.startswith("/simulator"):
                if fault.count is not None:
                    fault.count -= 1
                    if fault.count <= 0:
                        self._faults.remove(fault)
                return fault
        return None


def _broken(fault: Fault, path: str) -> ASGIApp:
    if fault.mode == "html":
        response = answer(HTML, fault.status)
        response.headers["content-type"] = "text/html; charset=UTF-8"
        return response
    if fault.mode == "429":
        response = answer({"error": "too many requests"}, 429)
        if not path.startswith("/kalshi"):  # Kalshi sends no Retry-After
            response.headers["retry-after"] = "1"
        return response
    return answer({"type": "internal error", "error": "cannot get the information"}, 500)


class _Truncating:
    """Sends the first half of the body, and a content-length that fits it, so that only the JSON is broken."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message = {}
        self._body = bytearray()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        self._body += message.get("body", b"")
        if message.get("more_body"):
            return
        half = bytes(self._body[: len(self._body) // 2])
        headers = [(key, value) for key, value in self._start["headers"] if key.lower() != b"content-length"]
        headers.append((b"content-length", str(len(half)).encode()))
        await self._send({**self._start, "headers": headers})
        await self._send({"type": "http.response.body", "body": half})

"""What both simulated WebSockets need: an outbox that never blocks the tape, and a slow client's end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from simulator.world import Levels

OUTBOX: Final = 50_000
"""Frames that may wait for one client before it is called slow."""


class Session:
    """One connection. `send` queues; `run_writer` sends; `end` closes after what is queued."""

    def __init__(self, socket: WebSocket, slow_code: int, slow_reason: str) -> None:
        self._socket = socket
        self._outbox: asyncio.Queue[bytes | tuple[int, str]] = asyncio.Queue()
        self._slow = (slow_code, slow_reason)
        self._ended = False

    def send(self, frame: bytes) -> None:
        """Queues a text frame; a client with too many waiting is cut off."""
        if self._ended:
            return
        if self._outbox.qsize() >= OUTBOX:
            while not self._outbox.empty():
                self._outbox.get_nowait()
            self.end(*self._slow)
            return
        self._outbox.put_nowait(frame)

    def end(self, code: int, reason: str) -> None:
        """Closes the connection once the queue before it is sent."""
        if not self._ended:
            self._ended = True
            self._outbox.put_nowait((code, reason))

    async def run_writer(self) -> None:
        """Sends what is queued until the connection ends."""
        while True:
            item = await self._outbox.get()
            if isinstance(item, tuple):
                if self._socket.application_state is WebSocketState.CONNECTED:
                    await self._socket.close(*item)
                return
            await self._socket.send_text(item.decode())

    async def frames(self, handle: Callable[[str], None]) -> None:
        """Feeds each text frame of the client to `handle` until the client goes or the connection is ended."""
        writer = asyncio.create_task(self.run_writer())
        reader = asyncio.create_task(self._read(handle))
        try:
            await asyncio.wait((writer, reader), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (writer, reader):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
                    await task

    async def _read(self, handle: Callable[[str], None]) -> None:
        while True:
            handle(await self._socket.receive_text())


def changed_levels(before: Levels, after: Levels) -> list[tuple[int, int, int]]:
    """(price, old size, new size) of each level that differs; 0 is no level."""
    prices = sorted(before.keys() | after.keys())
    pairs = ((price, before.get(price, 0), after.get(price, 0)) for price in prices)
    return [(price, old, new) for price, old, new in pairs if old != new]

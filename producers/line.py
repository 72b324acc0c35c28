"""One WebSocket connection, kept open: handshake, keepalive, frames in their order, and a new life after each end.

Frames are handed on from inside the receive callback, without a queue or a task in between: on one core that reads
about 2.5 times as many frames a second as `await recv()` does (`bench/feeds`).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, WebSocketException
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State

from kernel.clock import Clock
from kernel.logs import get_logger
from producers.client import on_loopback
from producers.framing import is_text, payload, whole_texts
from producers.limits import RateLimit, backoff_s

log = get_logger(__name__)

MAX_FRAME_BYTES: Final = 32 * 1024 * 1024
"""A larger message ends the connection. The opening books of 400 tokens come in one message of some megabytes."""

_STEADY_S: Final = 30.0
"""A connection that held for so long has shown that its venue is well."""

_MOST_PAUSE_S: Final = 2.0
"""Between two lives of a connection whose handshakes succeed. Refused ones wait longer, see `backoff_s`."""

_OPEN_TIMEOUT_S: Final = 10.0


class Owner(Protocol):
    """What a line tells the pool it belongs to."""

    def opened_line(self, line: Line) -> Sequence[str]:
        """The handshake is done; what is to be sent first."""

    def frame(self, line: Line, body: bytes) -> None:
        """A message has come."""

    def closed_line(self, line: Line, reason: str, status: int | None) -> None:
        """The connection is gone, or could not be made. `status` is that of a refused handshake."""


class Line:
    """A place for one connection at a time. `run` keeps it open until cancelled.

    Args:
        number: names the line for people and metrics.
        url: where to.
        headers: made anew for each handshake, since a signature ages.
        ping: text that keeps the connection alive and proves it; None where the venue pings.
        ping_every_s: how often it is sent. Nothing heard for `2 * ping_every_s` ends the connection.
        owner: hears of everything.
        handshakes: pace of handshakes, shared by all lines to a venue.
    """

    def __init__(
        self,
        number: int,
        url: str,
        headers: Callable[[], Mapping[str, str]],
        ping: str | None,
        ping_every_s: float,
        owner: Owner,
        handshakes: RateLimit,
        clock: Clock,
    ) -> None:
        self.number = number
        self.heard_s = 0.0
        """Our monotonic clock when anything at all was last received."""
        self.opened_s: float | None = None
        self.close_code: int | None = None
        """Of the last life; None where it ended without one."""
        self._rest_s = 0.0
        self._url, self._headers = url, headers
        self._ping, self._ping_every_s = ping, ping_every_s
        self._owner, self._handshakes, self._clock = owner, handshakes, clock
        self._socket: _Socket | None = None
        self._kicked: str = ""
        self._failures = 0

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return self._socket is not None

    @property
    def is_ending(self) -> bool:
        """Whether this life was ended by us, and is about to be over."""
        return bool(self._kicked)

    async def run(self) -> None:
        """Connects, and again after each end, with a growing jittered pause, until cancelled or at rest for good."""
        while True:
            await self._handshakes.wait()
            reason, status, retry_after = await self._live()
            opened_s, self.opened_s = self.opened_s, None
            steady = opened_s is not None and self._clock.monotonic_s() - opened_s >= _STEADY_S
            self._failures = 1 if steady else self._failures + 1
            self._owner.closed_line(self, self._kicked or reason, status)
            pause_s = backoff_s(self._failures, retry_after, self._clock.now_us())
            if opened_s is not None:  # at once the first time, and never long
                pause_s = min(pause_s, _MOST_PAUSE_S) if self._failures > 1 else 0.0
            self._kicked = ""
            if math.isinf(self._rest_s):
                return
            await self._clock.sleep(max(pause_s, self._rest_s))
            self._rest_s = 0.0

    def send(self, messages: Sequence[str]) -> None:
        """Sends messages, in order, as soon as the connection takes them; none while it is closed."""
        if self._socket is not None and messages:
            self._socket.queue(messages)

    def rest(self, seconds: float) -> None:
        """For its owner, when told of an end: the next life begins in so long at the earliest; infinite: never."""
        self._rest_s = seconds

    def redrive(self, reason: str) -> None:
        """Ends this life of the connection at once; `run` opens the next one."""
        if self._socket is not None and not self._kicked:
            self._kicked = reason
            self._socket.transport.abort()  # a half-open line would not answer a close frame

    async def _live(self) -> tuple[str, int | None, str | None]:
        """One life: why it ended, the status of a refusal, and for how long the venue asks to be left alone."""
        self.close_code = None
        try:
            async with connect(
                self._url,
                additional_headers=dict(self._headers()),
                create_connection=_Socket,
                compression=None,  # costs more time than the bytes are worth
                max_size=MAX_FRAME_BYTES,
                open_timeout=_OPEN_TIMEOUT_S,
                close_timeout=1.0,
                ping_interval=None if self._ping else 20.0,
                ping_timeout=None if self._ping else 20.0,
                proxy=None if on_loopback(self._url) else True,
            ) as socket:
                if not isinstance(socket, _Socket):
                    raise RuntimeError(f"the library made a {type(socket).__name__}, not ours")
                return await self._serve(socket)
        except InvalidStatus as error:
            refusal = error.response
            return f"handshake refused: {refusal.status_code}", refusal.status_code, refusal.headers.get("retry-after")
        except ConnectionClosed as error:
            return f"closed: {error}", None, None
        except (OSError, WebSocketException, InvalidHandshake, TimeoutError) as error:
            return f"{type(error).__name__}: {error}", None, None
        finally:
            self._socket = None

    async def _serve(self, socket: _Socket) -> tuple[str, int | None, str | None]:
        self._socket = socket
        self.opened_s = self.heard_s = self._clock.monotonic_s()
        socket.deliver_to(self._received)
        sender = asyncio.create_task(socket.send_queued())
        keeper = asyncio.create_task(self._keep(socket))
        ended = asyncio.create_task(socket.wait_closed())
        self.send(self._owner.opened_line(self))
        try:
            await asyncio.wait((sender, keeper, ended, socket.failed), return_when=asyncio.FIRST_COMPLETED)
            if socket.failed.done():
                socket.failed.result()
        finally:
            for task in (sender, keeper, ended):
                task.cancel()
            await asyncio.gather(sender, keeper, ended, return_exceptions=True)
            socket.transport.abort()
        self.close_code = socket.close_code
        return f"closed: {socket.close_code} {socket.close_reason or ''}".rstrip(), None, None

    def _received(self, body: bytes) -> None:
        self.heard_s = self._clock.monotonic_s()
        self._owner.frame(self, body)

    async def _keep(self, socket: _Socket) -> None:
        """Pings, and ends a connection on which nothing comes: not even the answer."""
        while True:
            await self._clock.sleep(self._ping_every_s)
            if self._clock.monotonic_s() - self.heard_s > 2 * self._ping_every_s and self._ping:
                self.redrive(f"nothing heard for {2 * self._ping_every_s:.0f} s")
                return
            if self._ping:
                self.send([self._ping])


_HEAD_ENDS: Final = b"\r\n\r\n"


_TAKEN_BYTES: Final = 32 * 1024
"""So much is taken from a connection at once, some forty frames. asyncio would take 256 kB, from hundreds of
connections in one turn when they are behind: eighty thousand frames without a timer, a report or a fresh frame between.
"""

_TAKEN: Final = memoryview(bytearray(_TAKEN_BYTES))
"""Holds what was just taken, of whichever connection: it is copied out before the next one's turn."""


class _Socket(ClientConnection, asyncio.BufferedProtocol):
    """The library's connection, with whole text messages handed on from its receive callback.

    Nearly all that comes is text messages of one frame each. They are cut out of the stream here, at a
    fraction of the cost; every other frame goes to the library, in its place, and so does all that follows once it has
    refused one or has been told of the end.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.failed: asyncio.Future[None] = self.loop.create_future()
        """Done when what a message was handed to has raised: nothing is swallowed in a callback."""
        self._deliver: Callable[[bytes], None] | None = None
        self._parts: list[bytes] = []
        self._head: bytes | None = b""
        """The last bytes of the handshake's answer, until it is over."""
        self._cuts = False
        """Whether we cut the stream into frames: from the handshake on, as long as all is in order."""
        self._rest: list[bytes] = []
        self._lacks = 0
        """What has come of a message, and how many bytes it lacks at least."""
        self._lent = 0
        """So many bytes of what comes next belong to a frame of the library's."""
        self._waiting: asyncio.Queue[str] = asyncio.Queue()

    def deliver_to(self, deliver: Callable[[bytes], None]) -> None:
        """From now on."""
        self._deliver = deliver

    def queue(self, messages: Sequence[str]) -> None:
        """Messages to send, in order."""
        for message in messages:
            self._waiting.put_nowait(message)

    async def send_queued(self) -> None:
        """Sends what is queued, until the connection ends."""
        while True:
            await self.send(await self._waiting.get())

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the transport puts what comes."""
        return _TAKEN

    def buffer_updated(self, nbytes: int) -> None:
        """So much has come."""
        self.data_received(bytes(_TAKEN[:nbytes]))

    def data_received(self, data: bytes) -> None:
        """Bytes, cut anywhere."""
        if self._cuts and self._lent < len(data):
            if self._lent:
                super().data_received(data[: self._lent])
                data, self._lent = data[self._lent :], 0
            self._lacks -= len(data)
            self._rest.append(data)
            if self._lacks <= 0:
                data = b"".join(self._rest) if len(self._rest) > 1 else data
                self._rest.clear()
                self._cut(data)
        elif self._head is None:
            self._lent -= len(data)
            super().data_received(data)
        else:
            self._shake_hands(self._head, data)

    def _shake_hands(self, before: bytes, data: bytes) -> None:
        """The handshake's answer is the library's; frames may come right behind it."""
        found = (before + data).find(_HEAD_ENDS)
        if found < 0:
            self._head = (before + data)[1 - len(_HEAD_ENDS) :]
            super().data_received(data)
            return
        end = found + len(_HEAD_ENDS) - len(before)
        self._head = None
        super().data_received(data[:end])
        self._cuts = self.protocol.state is State.OPEN
        if len(data) > end:
            self.data_received(data[end:])

    def _cut(self, data: bytes) -> None:
        """Hands on the whole messages in these bytes, which begin with a frame, and keeps what is left."""
        at, end = 0, len(data)
        while self.protocol.state is State.OPEN:
            if not self._parts:
                bodies, at = whole_texts(data, at, MAX_FRAME_BYTES)
                for body in bodies:
                    self._hand_on(body)
            start, stop = payload(data, at)
            if start > end:
                self._lacks = start - end
                break
            if is_text(data, at) and stop - start <= MAX_FRAME_BYTES and not self._parts:
                self._lacks = stop - end
                break
            super().data_received(data[at:stop])
            self._lent = max(0, stop - end)
            at = min(stop, end)
        else:
            self._cuts = False
        if at < end:
            if self._cuts:
                self._rest.append(data[at:])
            else:
                super().data_received(data[at:])

    def process_event(self, event: Request | Response | Frame) -> None:
        """One frame (or, first, the handshake's response)."""
        if not isinstance(event, Frame) or event.opcode not in (Opcode.TEXT, Opcode.CONT, Opcode.BINARY):
            super().process_event(event)
            return
        self._parts.append(bytes(event.data))
        if event.fin:
            body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
            self._parts.clear()
            self._hand_on(body)

    def _hand_on(self, body: bytes) -> None:
        if self._deliver is None or self.failed.done():
            return
        try:
            self._deliver(body)
        except Exception as error:
            self.failed.set_exception(error)

"""What both simulated WebSockets need: an outbox that never blocks the tape, a slow client's end, faults on order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final, Generic, Protocol, TypeVar, cast

import orjson
from starlette.types import Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from simulator.faults import Fault
from simulator.ledger import Ledger
from simulator.player import Player
from simulator.world import Change, Levels

OUTBOX: Final = 50_000
"""Frames that may wait for one client before it is called slow."""

LINE: Final = "simulator.line"
"""Scope key: the server's end of a connection, where a fault can cut or deafen it."""


class _Line(Protocol):
    transport: Any


def with_line(scope: Scope, send: Send) -> None:
    """Keeps the server's protocol object, whose method `send` is, for `half_open` and `drop` (uvicorn only)."""
    scope[LINE] = getattr(send, "__self__", None)


class Session:
    """One connection. `send` queues; `run_writer` sends; `end` closes after what is queued."""

    slow: tuple[int, str] = (1008, "client too slow")

    def __init__(self, socket: WebSocket, board: Switchboard) -> None:
        self._socket = socket
        self._board = board
        self._outbox: asyncio.Queue[bytes | tuple[int, str]] = asyncio.Queue()
        self._ended = False
        self._held: bytes | None = None
        self.number = board.next_number()
        self.path = socket.url.path
        self.frames_sent = 0
        self.frozen = False
        self.frozen_markets: dict[str, str] = {}  # market → what cures it: subscribe or reconnect

    @property
    def markets(self) -> Iterable[str]:
        """Names of the markets subscribed."""
        return ()

    def send(self, frame: bytes) -> None:
        """Queues a text frame; a client with too many waiting is cut off."""
        if self._ended:
            return
        if self._outbox.qsize() >= OUTBOX:
            while not self._outbox.empty():
                self._outbox.get_nowait()
            self.end(*self.slow)
            return
        self._outbox.put_nowait(frame)

    def withholds(self, market: str) -> bool:
        """Whether a fault keeps a market's data from this client."""
        return self.frozen or market in self.frozen_markets

    def tell(self, frame: bytes, market: str) -> bool:
        """Queues a frame of data about a market, as the standing faults have it. False when it is withheld."""
        if self.withholds(market):
            return False
        self.frames_sent += 1
        every = self._board.every(self.path, "lost", self.number)
        if every and self.frames_sent % every == 0:
            return False
        every = self._board.every(self.path, "reordered")
        if self._held is not None:
            held, self._held = self._held, None
            self.send(frame)
            self.send(held)
        elif every and self.frames_sent % every == 0:
            self._held = frame
        else:
            self.send(frame)
        every = self._board.every(self.path, "duplicated")
        if every and self.frames_sent % every == 0:
            self.send(frame)
        return True

    def thaw(self, markets: Iterable[str]) -> None:
        """The client subscribed anew, which is a cure of some freezes."""
        for market in markets:
            if self.frozen_markets.get(market) == "subscribe":
                del self.frozen_markets[market]

    def suffer(self, fault: Fault) -> None:
        """A fault of those that are done at once."""
        values = fault.values
        match fault.mode:
            case "frozen":
                self.frozen = True
            case "frozen_market":
                chosen = values["markets"] or _share(sorted(self.markets), float(values["share"]))
                self.frozen_markets.update(dict.fromkeys(chosen, values["cure"]))
            case "giant":
                self.send(orjson.dumps({"event_type": "giant", "type": "giant", "padding": "x" * int(values["bytes"])}))
            case "close":
                self.end(int(values["code"]), str(values["reason"]))
            case "half_open":
                self._deafen()
            case "drop":
                if line := self._line():
                    line.transport.abort()

    def _line(self) -> _Line | None:
        return cast("_Line | None", self._socket.scope.get(LINE))

    def _deafen(self) -> None:
        """Nothing goes either way any more, and nobody closes."""
        if line := self._line():
            line.transport.pause_reading()
            line.transport = _Deaf(line.transport)

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
        self._board.sessions.append(self)
        try:
            await asyncio.wait((writer, reader), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._board.sessions.remove(self)
            for task in (writer, reader):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
                    await task

    async def _read(self, handle: Callable[[str], None]) -> None:
        while True:
            handle(await self._socket.receive_text())


SessionT = TypeVar("SessionT", bound=Session)


class Endpoint(Generic[SessionT]):
    """Where clients of one kind connect. It listens to the world only while somebody is connected."""

    def __init__(self, player: Player, board: Switchboard) -> None:
        self._player, self._board, self._world = player, board, player.world
        self._clients: set[SessionT] = set()

    async def attend(self, client: SessionT, hear: Callable[[SessionT, str], None]) -> None:
        """An accepted connection, to its end."""
        self._player.catch_up()
        if not self._clients:
            self._world.listeners.append(self._tell)
        self._clients.add(client)
        try:
            await client.frames(partial(hear, client))
        finally:
            self._clients.discard(client)
            if not self._clients:
                self._world.listeners.remove(self._tell)

    def _tell(self, change: Change) -> None:
        """What the tape says."""
        raise NotImplementedError


class Switchboard:
    """The connections that stand, the faults in force on them, and the ledger of what they were told."""

    def __init__(self) -> None:
        self.sessions: list[Session] = []
        self.ledger = Ledger()
        self._faults: list[Fault] = []
        self._numbers = 0

    def next_number(self) -> int:
        """Connections are numbered from 1 in the order they came."""
        self._numbers += 1
        return self._numbers

    def set(self, fault: Fault) -> int:
        """Puts a fault in force, or does it at once; how many connections it struck."""
        if "connection" not in fault.values:  # a standing one
            self._faults.insert(0, fault)
            return len([session for session in self.sessions if session.path.startswith(fault.path_prefix)])
        struck = [
            session
            for session in list(self.sessions)
            if session.path.startswith(fault.path_prefix) and fault.values["connection"] in (None, session.number)
        ]
        for session in struck:
            session.suffer(fault)
        return len(struck)

    def end(self, prefix: str) -> None:
        """No more faults under a prefix. What is frozen thaws; what was cut or deafened stays so."""
        self._faults = [fault for fault in self._faults if not fault.path_prefix.startswith(prefix)]
        for session in self.sessions:
            if session.path.startswith(prefix):
                session.frozen = False
                session.frozen_markets.clear()

    def standing(self, path: str, mode: str) -> Fault | None:
        """The fault of this mode in force for a path. One with a count is used up by asking."""
        if not self._faults:
            return None
        fault = next((f for f in self._faults if f.mode == mode and path.startswith(f.path_prefix)), None)
        if fault is not None and fault.count is not None:
            fault.count -= 1
            if fault.count <= 0:
                self._faults.remove(fault)
        return fault

    def every(self, path: str, mode: str, number: int = 0) -> int:
        """Each which frame of a connection a standing fault strikes; 0 for none."""
        fault = self.standing(path, mode) if self._faults else None
        if fault is None or fault.values.get("only") not in (None, number):
            return 0
        return max(1, int(fault.values["every"]))

    def refuses(self, path: str) -> int | None:
        """The status a handshake is to be refused with."""
        if fault := self.standing(path, "refused"):
            return int(fault.values["status"])
        limit = self.standing(path, "connection_limit")
        standing = sum(session.path == path for session in self.sessions)
        return 429 if limit and standing >= int(limit.values["limit"]) else None

    def token_limit(self, path: str) -> int | None:
        """How many markets a connection serves before it silently serves no more."""
        fault = self.standing(path, "token_limit")
        return int(fault.values["limit"]) if fault else None

    def tell(self, venue: str, change: Change, hearers: Iterable[tuple[Session, Iterable[bytes]]]) -> None:
        """Sends the frames of a change to each of its hearers, and enters it in the ledger."""
        told: list[int] = []
        withheld: list[int] = []
        market = change.state.market.market
        for session, frames in hearers:
            sent = [session.tell(frame, market) for frame in frames]
            if sent:
                (told if all(sent) else withheld).append(session.number)
        self.ledger.enter(venue, change, told, withheld)

    def rows(self) -> list[dict[str, Any]]:
        """The connections, for /simulator/connections."""
        return [
            {
                "number": session.number,
                "path": session.path,
                "markets": len(list(session.markets)),
                "frames_sent": session.frames_sent,
                "frozen": session.frozen,
                "frozen_markets": sorted(session.frozen_markets),
            }
            for session in self.sessions
        ]


class _Deaf:
    """A transport that takes everything and sends nothing."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def write(self, data: bytes) -> None:
        """Goes nowhere."""

    def close(self) -> None:
        """Stays open: the other side must find out by itself."""

    def pause_reading(self) -> None:
        """Paused already."""

    def resume_reading(self) -> None:
        """Never."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def _share(markets: list[str], share: float) -> list[str]:
    """Evenly spread over the list, the same each time."""
    count = round(len(markets) * share)
    return [markets[place * len(markets) // count] for place in range(count)]


def changed_levels(before: Levels, after: Levels) -> list[tuple[int, int, int]]:
    """(price, old size, new size) of each level that differs; 0 is no level."""
    prices = sorted(before.keys() | after.keys())
    pairs = ((price, before.get(price, 0), after.get(price, 0)) for price in prices)
    return [(price, old, new) for price, old, new in pairs if old != new]

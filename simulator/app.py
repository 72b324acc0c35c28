"""Both simulated venues over one tape, as an ASGI application; and `/simulator/…`, by which a test gives its orders."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from email.utils import formatdate
from typing import Any, Final

import orjson
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kernel.errors import UserError
from kernel.loopback import is_loopback
from schemas.units import US_PER_S
from simulator.clock import TapeClock
from simulator.faults import STREAM_MODES, Faults, fault_of
from simulator.kalshi.api import KalshiApi
from simulator.kalshi.sockets import KalshiSocket
from simulator.paging import MOMENT_US, answer
from simulator.player import Player
from simulator.polymarket.api import PolymarketApi
from simulator.polymarket.bolt import PolyBoltSocket
from simulator.polymarket.sockets import PolymarketSocket
from simulator.sessions import Switchboard, with_line
from simulator.tape import VENUES, Line, Market, Tape, parse_line

PUMP_S: Final = 0.05  # how often the tape is played on when nobody asks


class Simulator:
    """Both venues over one tape, as an ASGI application (`app`)."""

    def __init__(self, tape: Tape, *, speed: float, lockstep: bool, past_s: float = 0.0) -> None:
        self.clock = TapeClock(tape.start_us, speed, tape.end_us)
        self.lockstep = lockstep
        past_us = int(past_s * US_PER_S)
        self.players = {venue: Player(venue, tape, None if lockstep else self.clock, past_us) for venue in VENUES}
        self.faults: Faults
        self.board = Switchboard()
        self.kalshi_socket = KalshiSocket(self.players["kalshi"], self.board)
        self.app = self._application()

    def _application(self) -> ASGIApp:
        polymarket, kalshi = PolymarketApi(self.players["polymarket"]), KalshiApi(self.players["kalshi"])
        market_socket = PolymarketSocket(self.players["polymarket"], self.board)
        bolt_socket = PolyBoltSocket(self.players["polymarket"], self.board)
        venues = Starlette(
            routes=[
                Mount("/gamma", routes=polymarket.gamma_routes()),
                Mount("/clob", routes=polymarket.clob_routes()),
                WebSocketRoute("/poly-ws/ws/market", market_socket.serve),
                WebSocketRoute("/poly-bolt/ws", bolt_socket.serve),
                WebSocketRoute("/kalshi/trade-api/ws/v2", self.kalshi_socket.serve),
                Mount("/kalshi/trade-api/v2", routes=kalshi.routes()),
                Route("/simulator/status", self.status),
                Route("/simulator/faults", self.switch_faults, methods=["POST"]),
                Route("/simulator/hold", self.hold, methods=["POST"]),
                Route("/simulator/connections", self.connections),
                Route("/simulator/ledger", self.ledger, methods=["GET", "POST"]),
                Route("/simulator/lines", self.play_lines, methods=["POST"]),
                Route("/simulator/keys", self.register_key, methods=["POST"]),
            ],
            lifespan=self._lifespan,
        )
        self.faults = Faults(venues)
        zipped = GZipMiddleware(self.faults, minimum_size=1_000, compresslevel=1)
        return _TapeTime(zipped, self.players, self._pace, self.faults)

    def _pace(self) -> str:
        """What `Simulator-Pace` says: tape seconds in a real second, or `lockstep`."""
        return "lockstep" if self.lockstep else f"{self.clock.pace:g}"

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        pump = asyncio.create_task(self._pump())
        try:
            yield
        finally:
            pump.cancel()

    async def _pump(self) -> None:
        """Plays the tape on while nobody asks, so that streams flow and no request has hours to catch up with."""
        while True:
            for player in self.players.values():
                player.catch_up()
            await asyncio.sleep(PUMP_S)

    async def status(self, _: Request) -> Response:
        """Where the tape is."""
        players = self.players
        return answer(
            {
                "now_us": max(player.now_us() for player in players.values()),
                "venue_now_us": {venue: player.now_us() for venue, player in players.items()},
                "speed": self.clock.speed,
                "lockstep": self.lockstep,
                "caught_up": not self.lockstep and self.clock.caught_up,
                "finished": all(player.finished for player in players.values()),
                "markets": {venue: player.world.open_count() for venue, player in players.items()},
                "moments_served": {venue: player.moments_served for venue, player in players.items()},
                "sweeps_of_moment": {venue: player.sweeps_of_moment for venue, player in players.items()},
                "held": {venue: player.held for venue, player in players.items()},
                "faults_served": self.faults.served,
            }
        )

    async def switch_faults(self, request: Request) -> Response:
        """`{"path_prefix": "/gamma", "mode": "html", "count": 3}`; mode off ends the faults under the prefix."""
        try:
            order = await _object(request)
            if order.get("mode") == "off":
                prefix = str(order.get("path_prefix", "/"))
                self.faults.end(prefix)
                self.board.end(prefix)
                return answer({"ok": True})
            fault = fault_of(order)
        except UserError as error:
            return answer({"error": str(error)}, 400)
        if fault.mode in STREAM_MODES:
            return answer({"ok": True, "connections": self.board.set(fault)})
        self.faults.set(fault)
        return answer({"ok": True})

    async def connections(self, _: Request) -> Response:
        """The WebSockets that stand."""
        return answer(self.board.rows())

    async def ledger(self, request: Request) -> Response:
        """POST `{"on": true}` begins it; GET `?after=0&limit=10000` reads it."""
        if request.method == "POST":
            try:
                self.board.ledger.on = bool((await _object(request)).get("on", True))
            except UserError as error:
                return answer({"error": str(error)}, 400)
            return answer({"ok": True})
        try:
            after, limit = (int(request.query_params.get(k, d)) for k, d in (("after", 0), ("limit", 10_000)))
        except ValueError as error:
            return answer({"error": f"after and limit are whole numbers: {error}"}, 400)
        return answer(self.board.ledger.rows(after, limit))

    async def play_lines(self, request: Request) -> Response:
        """Tape lines, one a text line, played at once. A `ts_us` of 0 means the venue's now."""
        try:
            for raw in (await request.body()).splitlines():
                venue, line = self._injected(raw)
                self.players[venue].inject(line)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return answer({"error": f"cannot play: {error!r}"}, 400)
        return answer({"ok": True})

    def _injected(self, raw: bytes) -> tuple[str, Line]:
        line = parse_line(raw)
        known = (venue for venue, player in self.players.items() if player.world.knows(line.market))
        venue = line.venue if isinstance(line, Market) else next(known, "")
        if not venue:
            raise ValueError(f"market {line.market!r} is not known")
        return venue, line if line.ts_us else replace(line, ts_us=self.players[venue].now_us())

    async def register_key(self, request: Request) -> Response:
        """`{"key_id": "k", "public_pem": "…"}`: from now on Kalshi's handshakes must be signed by a known key."""
        try:
            order = await _object(request)
            self.kalshi_socket.login.register(str(order["key_id"]), str(order["public_pem"]))
        except (UserError, KeyError) as error:
            return answer({"error": f"cannot register: {error}"}, 400)
        return answer({"ok": True})

    async def hold(self, request: Request) -> Response:
        """`{"hold": true, "venue": "kalshi"}` (no venue: both). Lockstep only."""
        try:
            order = await _object(request)
            venues = VENUES if "venue" not in order else (order["venue"],)
            for venue in venues:
                self.players[venue].hold(bool(order["hold"]))
        except (UserError, KeyError) as error:
            return answer({"error": f"cannot hold: {error}"}, 400)
        return answer({"ok": True})


async def _object(request: Request) -> dict[str, Any]:
    try:
        order = orjson.loads(await request.body())
    except orjson.JSONDecodeError as error:
        raise UserError(f"not JSON: {error}") from error
    if not isinstance(order, dict):
        raise UserError("expected a JSON object")
    return order


class _TapeTime:
    """Outermost layer: plays the asked venue's tape up to now, and stamps the answer with the venue's clock.

    `Date` is the tape's time; `Simulator-Pace` says how fast it runs, which no venue needs to say.
    """

    def __init__(self, app: ASGIApp, players: dict[str, Player], pace: Callable[[], str], faults: Faults) -> None:
        self._app = app
        self._players = players
        self._pace = pace
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("path", "").startswith("/simulator/") and not is_loopback(scope["client"][0]):
            # What a venue publishes is for everybody; who gives the orders sits on this machine.
            await PlainTextResponse("only from this machine\n", 403)(scope, receive, send)
            return
        if scope["type"] != "http":
            with_line(scope, send)
            await self._app(scope, receive, send)
            return
        player = self._players["kalshi" if scope["path"].startswith("/kalshi") else "polymarket"]
        player.catch_up()
        skew_us = int(self._faults.skew_s(scope["path"]) * US_PER_S)
        asked_us, pace = player.now_us(), self._pace().encode()

        async def send_stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                shown_us = int(scope.get(MOMENT_US, asked_us)) + skew_us
                date = formatdate(shown_us // US_PER_S, usegmt=True).encode()
                stamps = [(b"date", date), (b"simulator-pace", pace)]
                own = message.get("headers", [])  # a fault may have stamped it already
                message["headers"] = [*own, *(pair for pair in stamps if pair[0] not in dict(own))]
            await send(message)

        await self._app(scope, receive, send_stamped)

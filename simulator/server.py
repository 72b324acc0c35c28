"""The venue simulator as a process: both venues on one loopback port, playing one tape.

    python -m simulator.server --port 8900 --speed 60

Polymarket's Gamma answers under `/gamma`, its CLOB under `/clob`, its market WebSocket at `/poly-ws/ws/market`, its
second socket, PolyBolt, at `/poly-bolt/ws`; Kalshi under `/kalshi/trade-api/v2` and `/kalshi/trade-api/ws/v2`.
`/simulator/status` tells where the tape is, `POST /simulator/faults` breaks answers on demand, `POST /simulator/hold`
keeps a lockstep tape where it is.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import math
import re
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from email.utils import formatdate
from pathlib import Path
from types import FrameType
from typing import IO, Any, Final

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kernel import logs
from kernel.errors import UserError
from kernel.loopback import is_loopback
from schemas.units import US_PER_S
from simulator.clock import TapeClock, real_now_us
from simulator.faults import STREAM_MODES, Faults, fault_of
from simulator.house import HouseTape
from simulator.kalshi.api import KalshiApi
from simulator.kalshi.sockets import KalshiSocket
from simulator.paging import MOMENT_US, answer
from simulator.player import Player
from simulator.polymarket.api import PolymarketApi
from simulator.polymarket.bolt import PolyBoltSocket
from simulator.polymarket.sockets import PolymarketSocket
from simulator.sessions import Switchboard, with_line
from simulator.tape import VENUES, Line, Market, Tape, parse_line, read_tape

MOST_MARKETS: Final = 400_000
"""Of the house tape: about 1 GB for each 100,000 once all rows have been asked for."""
PUMP_S: Final = 0.05  # how often the tape is played on when nobody asks
log = logs.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the simulator is to do; see `--help`."""

    port: int
    host: str = "127.0.0.1"
    markets: int = 500
    seed: int = 1
    since_s: float = 7_200.0
    speed: float = 60.0
    tape: Path | None = None
    lockstep: bool = False
    truth: Path | None = None
    shift: str | None = None
    past_s: float = 0.0


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


# ── the process ──────────────────────────────────────────────────────────────────────────────────────────────────────


def duration_s(text: str) -> float:
    """Seconds of "90", "90s", "10m", "2h", "1d".

    Raises:
        argparse.ArgumentTypeError: anything else, or longer than ten years.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text)
    seconds = float(match[1]) * {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "": 1}[match[2]] if match else -1
    if not 0 <= seconds <= 3_660 * 86_400:
        raise argparse.ArgumentTypeError(f"not a duration like 90s, 10m, 2h or 1d: {text!r}")
    return seconds


def _positive(text: str) -> float:
    number = float(text)
    if not (math.isfinite(number) and 0 < number <= 100_000):
        raise argparse.ArgumentTypeError(f"must be over 0 and at most 100000: {text}")
    return number


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"not a port: {text!r}")
    return int(text)


def _market_count(text: str) -> int:
    if not text.isdigit() or not 2 <= int(text) <= MOST_MARKETS:
        raise argparse.ArgumentTypeError(f"must be 2 to {MOST_MARKETS}: {text!r}")
    return int(text)


def _shift(text: str) -> str:
    if text != "end":
        duration_s(text)
    return text


class _OneLine(argparse.ArgumentParser):
    """Says what is wrong in one line, exit code 2."""

    def error(self, message: str) -> Any:
        raise UserError(message)


def options(argv: Sequence[str]) -> Options:
    """The options of a command line.

    Raises:
        UserError: a bad argument, in one line.
    """
    parser = _OneLine(
        prog="movers simulate",
        description="Plays both venues from a tape on one loopback port.",
        epilog="example: movers simulate --port 8900 --speed 60    then: curl localhost:8900/simulator/status",
    )
    parser.add_argument("--port", type=_port, required=True, help="port to listen on; 0 finds a free one")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: loopback)")
    parser.add_argument("--markets", type=_market_count, default=500, help="house tape: open markets of both venues")
    parser.add_argument("--seed", type=int, default=1, help="house tape: same seed and start, same tape")
    parser.add_argument("--since", type=duration_s, default=7_200.0, metavar="2h", help="house tape: how far back")
    parser.add_argument(
        "--past", type=duration_s, default=0.0, metavar="25h", help="house tape: prices of before it, for histories"
    )
    parser.add_argument("--speed", type=_positive, default=60.0, help="tape seconds a second until the present")
    parser.add_argument("--tape", type=Path, help="play this recording instead (see simulator/README.md)")
    parser.add_argument("--lockstep", action="store_true", help="step on only when a full price sweep was served")
    parser.add_argument("--truth", type=Path, help="house tape: write the news jumps here, as JSON lines")
    parser.add_argument("--shift", type=_shift, metavar="end|2h", help="recording: ends now, or starts so long ago")
    given = parser.parse_args(argv)
    if given.tape is None and given.shift:
        raise UserError("--shift moves a recording: it needs --tape")
    if given.tape is not None and given.truth:
        raise UserError("--truth is known for the house tape only, not with --tape")
    values = vars(given)
    return Options(since_s=values.pop("since"), past_s=values.pop("past"), **values)


def open_tape(chosen: Options, truth: IO[bytes] | None = None) -> Tape:
    """The tape to play.

    Raises:
        UserError: the recording cannot be read.
    """
    now_us = real_now_us()
    if chosen.tape is None:

        def tell(row: dict[str, Any]) -> None:
            if truth is not None:
                truth.write(orjson.dumps(row) + b"\n")

        start_us = (now_us - int(chosen.since_s * US_PER_S)) // US_PER_S * US_PER_S
        return HouseTape(chosen.seed, chosen.markets, start_us, tell if truth is not None else None)
    tape = read_tape(chosen.tape)
    if chosen.shift == "end":
        return tape.shifted(now_us - (tape.end_us or tape.start_us))
    if chosen.shift:
        return tape.shifted(now_us - int(duration_s(chosen.shift) * US_PER_S) - tape.start_us)
    return tape


def _listen(host: str, port: int) -> socket.socket:
    # With its protocol named, asyncio sets TCP_NODELAY; without, each small answer waits 40 ms for an ACK.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(256)
    except OSError as error:
        listener.close()
        raise UserError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    return listener


class _Ended(Exception):
    """SIGTERM or Ctrl-C: the wished end of the process."""


@contextlib.contextmanager
def _no_collector() -> Iterator[None]:
    """Hundreds of thousands of markets that stay for good: looked through by the collector for nothing, again and
    again while they are made, and at each of its rounds afterwards."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Turns the two signals into an ordinary end. (uvicorn shuts down on them, and then raises them once more.)"""

    def end(number: int, frame: FrameType | None) -> None:
        raise _Ended

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with contextlib.suppress(_Ended):
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _serve(chosen: Options) -> None:
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(_listen(chosen.host, chosen.port))
        truth: IO[bytes] | None = None
        if chosen.truth is not None:
            try:
                truth = stack.enter_context(chosen.truth.open("wb", buffering=0))
            except OSError as error:
                raise UserError(f"cannot write {chosen.truth}: {error.strerror or error}") from error
        with _no_collector():
            simulator = Simulator(
                open_tape(chosen, truth), speed=chosen.speed, lockstep=chosen.lockstep, past_s=chosen.past_s
            )
        config = uvicorn.Config(
            simulator.app,
            date_header=False,  # ours is the tape's
            server_header=False,
            access_log=False,
            log_config=None,
            ws="websockets-sansio",
            ws_ping_interval=10.0,  # Kalshi pings every 10 s
            timeout_graceful_shutdown=2,
        )
        host, port = listener.getsockname()[:2]
        stack.enter_context(_ended_by_signals())
        log.info("simulator_ready", address=f"http://{host}:{port}", tape=str(chosen.tape or "house"))
        uvicorn.Server(config).run(sockets=[listener])
    log.info("simulator_stopped")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the simulator until SIGTERM or Ctrl-C (exit code 0). A user's mistake is one line and exit code 2."""
    try:
        chosen = options(sys.argv[1:] if argv is None else argv)
        logs.configure(process="simulator")
        _serve(chosen)
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

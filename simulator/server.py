"""The venue simulator as a process: both venues on one loopback port, playing one tape.

    python -m simulator.server --port 8900 --speed 60

Polymarket's Gamma answers under `/gamma`, its CLOB under `/clob`, its market WebSocket at `/poly-ws/ws/market`, its
second socket, PolyBolt, at `/poly-bolt/ws`; Kalshi under `/kalshi/trade-api/v2` and `/kalshi/trade-api/ws/v2`.
`/simulator/status` tells where the tape is, `POST /simulator/faults` breaks answers on demand, `POST /simulator/hold`
keeps a lockstep tape where it is.
"""

from __future__ import annotations

import contextlib
import gc
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import IO

import uvicorn

from kernel import logs
from kernel.errors import UserError
from simulator.app import Simulator
from simulator.options import Options, open_tape, options

log = logs.get_logger(__name__)


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
            timeout_keep_alive=75,  # as venues have it: clients that let a connection go after 5 s never meet the end
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

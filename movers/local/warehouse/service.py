"""The warehouse of one machine: the ClickHouse engine behind ClickHouse's HTTP dialect, on the loopback address.

    python -m movers.local.warehouse.service --port 8123 --data .movers/warehouse

An unmodified `clickhouse_connect.get_client(host="127.0.0.1", port=8123)` or `curl` talks to it. There are no users
and no passwords: whoever can reach the loopback address of this machine can read and write.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from kernel import logs
from kernel.errors import UserError
from movers.local import ports
from movers.local.same_site import is_from_here
from movers.local.warehouse.codec import BlockEncoder, Encoder, encoder
from movers.local.warehouse.engine import Engine, EngineError, Rest
from movers.local.warehouse.http import Answer, error_headers, http_status, late_error, read_request, result_headers

WORKERS = 16  # statements at once; further ones wait

log = logs.get_logger("movers.local.warehouse.service")


class Service:
    """The HTTP side: one engine, a bounded number of worker threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="statement")

    def app(self) -> Starlette:
        """The routes of ClickHouse's HTTP interface."""
        return Starlette(
            routes=[
                Route("/ping", self._guarded(_ok), methods=["GET", "HEAD"]),
                Route("/replicas_status", self._guarded(_ok), methods=["GET", "HEAD"]),
                Route("/", self._guarded(self._query), methods=["GET", "HEAD", "POST"]),
            ]
        )

    def close(self) -> None:
        """Ends running statements and closes the engine."""
        self._engine.close()
        self._workers.shutdown(wait=False, cancel_futures=True)

    @staticmethod
    def _guarded(handle: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            # A web page of another site can make a browser post here; its Origin or Host tells.
            if not is_from_here(request.headers.get("host", ""), request.headers.get("origin")):
                return PlainTextResponse("Requests from other sites are refused\n", 403)
            try:
                return await handle(request)
            except ClientDisconnect:  # with half of its statement; nobody hears this
                return PlainTextResponse("", 400)

        return guarded

    async def _query(self, request: Request) -> Response:
        if request.method == "HEAD" or (request.method == "GET" and not request.query_params.get("query")):
            return await _ok(request)
        query_id = request.query_params.get("query_id") or secrets.token_hex(16)
        try:
            command, answer = await read_request(request, query_id)
            loop = asyncio.get_running_loop()
            result = await loop.run_in_executor(self._workers, self._engine.execute, command)
        except EngineError as error:
            log.warning("statement_failed", code=error.code, query_id=query_id, error=str(error)[:300])
            status, text = http_status(error.code), f"{error}\n"
            return Response(text, status, error_headers(query_id, error.code))
        headers = result_headers(answer, result.format, result.summary)
        packer = _packer(answer)
        if result.rest is None:
            body = packer.compress(result.head) + packer.flush() if packer else result.head
            return Response(body, headers=headers)
        headers["X-ClickHouse-Exception-Tag"] = tag = secrets.token_hex(8)
        return StreamingResponse(self._stream(result.head, result.rest, packer, tag), headers=headers)

    async def _stream(self, head: bytes, rest: Rest, packer: Encoder | None, tag: str) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        block: bytes | None = head
        try:
            while block is not None:
                piece = packer.compress(block) if packer else block
                if piece:
                    yield piece
                try:
                    block = await loop.run_in_executor(self._workers, rest.next_block)
                except EngineError as error:
                    log.warning("statement_failed", code=error.code, error=str(error)[:300], late=True)
                    ending = late_error(tag, error)
                    yield packer.compress(ending) if packer else ending
                    break
            if packer:
                yield packer.flush()
        finally:
            # Also when the client went away: the statement stops and its connection is free again.
            await asyncio.shield(loop.run_in_executor(self._workers, rest.close))


class _Server(uvicorn.Server):
    """Uvicorn without its signal handling, which ends the process by the signal; a clean stop here is exit code 0."""

    def install(self) -> None:
        """Makes SIGTERM and SIGINT a clean stop; the second one is an immediate one."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True

    async def serve(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        """Serves without touching signal handlers."""
        await self._serve(sockets)  # type: ignore[arg-type]


async def _ok(_request: Request) -> Response:
    return Response("Ok.\n", media_type="text/html; charset=UTF-8")


def _packer(answer: Answer) -> Encoder | None:
    if answer.blocks:
        return BlockEncoder()
    return encoder(answer.encoding) if answer.encoding else None


def run(port: int, folder: Path, memory_mib: int) -> None:
    """Serves until SIGTERM or SIGINT. Raises UserError when it cannot start."""
    listener = ports.listen(port, "warehouse")
    service = Service(Engine(folder, memory_mib))
    config = uvicorn.Config(
        service.app(),
        access_log=False,
        log_config=None,
        lifespan="off",
        ws="none",
        timeout_keep_alive=75,
        timeout_graceful_shutdown=3,
        server_header=False,
        log_level="warning",
    )
    server = _Server(config)
    server.install()
    address = f"http://{ports.LOOPBACK}:{listener.getsockname()[1]}"
    log.info("ready", address=address, data=str(folder))
    try:
        asyncio.run(server.serve([listener]))
    finally:
        service.close()
    log.info("stopped")


def main(argv: list[str] | None = None) -> int:
    """Exit code 0 after a clean stop, 2 after a mistake of the user."""
    parser = argparse.ArgumentParser(
        prog="python -m movers.local.warehouse.service", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--port", type=int, required=True, help="port on 127.0.0.1; 0 for any free one")
    parser.add_argument("--data", type=Path, required=True, help="data folder, created when absent")
    parser.add_argument("--memory-mb", type=int, default=1024, help="the engine refuses statements above this")
    args = parser.parse_args(argv)
    logs.configure(process="warehouse")
    try:
        run(args.port, args.data, args.memory_mb)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - the one line a user reads
        return 2
    return 0


if __name__ == "__main__":
    code = main()
    # The engine's threads are no business of the interpreter's exit: nothing of ours is left to do.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)

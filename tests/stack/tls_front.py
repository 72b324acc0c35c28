"""A TLS door before a plain server: what a proxy or a managed service puts before registry and ClickHouse."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import ssl
import threading
from pathlib import Path
from typing import Self

_REFUSAL = b"Code: 516. DB::Exception: Authentication failed: password is incorrect. (AUTHENTICATION_FAILED)"


class TlsFront:
    """Takes TLS connections on loopback and hands them to a port; the first request of each must carry the login.

    Args:
        port: of the server behind.
        keystore: PEM file with key and certificate.
        login: user and password that HTTP's basic authorization must name.
    """

    def __init__(self, port: int, keystore: Path, login: tuple[str, str]) -> None:
        self.port = 0
        self._behind = port
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(keystore)
        self._login = base64.b64encode(":".join(login).encode())
        self._listening = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._run()), daemon=True)
        self._thread.start()
        self._listening.wait(90)

    def close(self) -> None:
        """Takes no more connections."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(90)
        self._loop.close()

    def __enter__(self) -> Self:
        """Itself, closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _run(self) -> None:
        self._stop = asyncio.Event()
        self._loop.set_exception_handler(lambda _loop, _context: None)  # a refused handshake is what tests ask for
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        await self._stop.wait()
        server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError), contextlib.closing(to_client):
            head = await client.readuntil(b"\r\n\r\n")
            given = re.search(rb"(?i)\r\nauthorization: basic ([^\r\n]+)", head)
            if given is None or given[1] != self._login:
                length = str(len(_REFUSAL)).encode()
                to_client.write(b"HTTP/1.1 401 Unauthorized\r\nX-ClickHouse-Exception-Code: 516\r\nContent-Length: ")
                to_client.write(length + b"\r\nConnection: close\r\n\r\n" + _REFUSAL)
                await to_client.drain()
                return
            server, to_server = await asyncio.open_connection("127.0.0.1", self._behind)
            with contextlib.closing(to_server):
                to_server.write(head)
                ways = [asyncio.create_task(_copy(client, to_server)), asyncio.create_task(_copy(server, to_client))]
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while part := await source.read(65536):
        target.write(part)
        await target.drain()

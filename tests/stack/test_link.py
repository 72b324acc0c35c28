"""The line that breaks on order breaks as ordered: else a bad day proves nothing."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest

from tests.stack.link import Link
from tests.stack.waiting import wait_until


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(1024):
            self.request.sendall(data)


@pytest.fixture
def link() -> Iterator[Link]:
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Echo)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    link = Link(server.server_address[1])
    yield link
    link.close()
    server.shutdown()
    server.server_close()


@pytest.fixture
def client(link: Link) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", link.port), 5) as connection:
        connection.settimeout(0.3)
        connection.sendall(b"first")
        assert connection.recv(100) == b"first"
        yield connection


def test_held_bytes_arrive_once_it_is_healed(link: Link, client: socket.socket) -> None:
    link.hold()
    client.sendall(b"held")
    with pytest.raises(TimeoutError):
        client.recv(100)

    link.heal()

    client.settimeout(60)
    assert client.recv(100) == b"held"


def test_a_cut_ends_connections_and_refuses_new_ones_until_it_is_healed(link: Link, client: socket.socket) -> None:
    link.cut()

    client.settimeout(60)
    assert client.recv(100) == b""
    with socket.create_connection(("127.0.0.1", link.port), 5) as refused:
        assert refused.recv(100) == b""

    link.heal()
    with socket.create_connection(("127.0.0.1", link.port), 5) as again:
        again.sendall(b"again")
        assert again.recv(100) == b"again"


def test_what_a_client_gave_up_on_still_arrives_over_a_slow_line(link: Link, client: socket.socket) -> None:
    link.slow(0.2)
    began_s = time.monotonic()
    client.settimeout(60)

    client.sendall(b"slow")

    assert client.recv(100) == b"slow"
    assert time.monotonic() - began_s >= 0.4  # there and back


def test_waiting_in_vain_ends_with_the_reason() -> None:
    with pytest.raises(AssertionError, match="waited for: rain; the sky fell"):
        wait_until(lambda: False, "rain", ended=lambda: "the sky fell")
    with pytest.raises(AssertionError, match="not within 0 s: rain"):
        wait_until(lambda: False, "rain", 0)

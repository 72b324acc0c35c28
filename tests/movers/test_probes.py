"""What a process's answer says of it: ready, well enough, or only to be helped by a restart."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from movers.probes import answers, stuck
from tests.stack.ports import free_port


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """Address of a process that answers everything so."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/health"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "body", "is_ready", "is_stuck"),
    [
        (200, b'{"state": "working"}', True, False),
        (503, b'{"state": "starting"}', False, False),
        (503, b'{"state": "away"}', False, False),
        (503, b'{"state": "stuck"}', False, True),
        (200, b"Ok.\n", True, False),
        (200, b"[]", True, False),
    ],
)
def test_only_what_says_that_its_loop_stands_still_is_stuck(
    status: int, body: bytes, is_ready: bool, is_stuck: bool
) -> None:
    with answering(status, body) as url:
        assert (answers(url)(), stuck(url)()) == (is_ready, is_stuck)


def test_where_nothing_answers_it_is_not_ready_and_only_a_restart_helps() -> None:
    url = f"http://127.0.0.1:{free_port()}/health"

    assert (answers(url)(), stuck(url)()) == (False, True)

"""A line to the warehouse with faults on order: a request held back, then dropped or delivered late; an answer lost."""

from __future__ import annotations

import http.client
import threading
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase


class FaultyLine:
    """Forwards HTTP to the warehouse. Faults apply to inserts into one table, told by the request's first bytes.

    hold_inserts_into: the next such request is held back, until it is forgotten or delivered late; with `let_pass` so
    many go through before. hold_answers_of: the next such request is carried out, and its answer held back for good.
    """

    def __init__(self, upstream_port: int) -> None:
        self.upstream_port = upstream_port
        self.hold_inserts_into: str | None = None
        self.hold_answers_of: str | None = None
        self.let_pass = 0
        self.lose_answers_of: str | None = None
        self.held = threading.Event()
        self.delivered_late = threading.Event()
        self.lost = 0
        self._deliver = False
        self._released = threading.Event()
        line = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._forward(b"")

            def do_POST(self) -> None:
                self._forward(_body(self.headers, self.rfile))

            def log_message(self, format: str, *args: object) -> None:
                """Silent."""

            def _forward(self, body: bytes) -> None:
                is_held = line.holds(self.path, body)
                if is_held and not line.wait_for_release():
                    self.close_connection = True
                    return
                upstream = http.client.HTTPConnection("127.0.0.1", line.upstream_port, timeout=60)
                try:
                    headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP_BY_HOP}
                    upstream.request(self.command, self.path, body, headers)
                    answer = upstream.getresponse()
                    content = answer.read()
                except OSError:
                    self.close_connection = True
                    return
                finally:
                    upstream.close()
                if is_held:
                    line.delivered_late.set()
                if line.loses(self.path, body):
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in _HOP_BY_HOP:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a killed client is no news
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def holds(self, path: str, body: bytes) -> bool:
        """Whether this request is the one to be held back; the fault then stops by itself."""
        if self.hold_inserts_into is None or not _inserts_into(self.hold_inserts_into, path, body):
            return False
        self.let_pass -= 1
        if self.let_pass >= 0:
            return False
        self.hold_inserts_into = None
        self.held.set()
        return True

    def wait_for_release(self) -> bool:
        """Waits; True when what is held back is to be delivered after all."""
        self._released.wait(120)
        return self._deliver

    def loses(self, path: str, body: bytes) -> bool:
        """Whether the answer of this request is to get lost; the fault then stops by itself."""
        if self.hold_answers_of is not None and _inserts_into(self.hold_answers_of, path, body):
            self.let_pass -= 1
            if self.let_pass < 0:
                self.hold_answers_of = None
                self.held.set()
                self._released.wait(120)
                return True
        if self.lose_answers_of is None or not _inserts_into(self.lose_answers_of, path, body):
            return False
        self.lose_answers_of = None
        self.lost += 1
        return True

    def forget_held(self) -> None:
        """Drops what is held back, and holds nothing back any more."""
        self.hold_inserts_into = self.hold_answers_of = None
        self._released.set()
        self._released = threading.Event()

    def deliver_held(self) -> None:
        """Delivers what is held back, though nobody waits for the answer; returns when it was carried out."""
        self._deliver = True
        self._released.set()
        assert self.delivered_late.wait(90)

    def begin_again(self) -> None:
        """Forgets what was held back and what was delivered: the next fault is to come."""
        self.forget_held()
        self._deliver = False
        self.held.clear()
        self.delivered_late.clear()

    def close(self) -> None:
        """Ends the line."""
        self.forget_held()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


_HOP_BY_HOP = frozenset({"connection", "transfer-encoding", "content-length", "keep-alive"})


def _inserts_into(table: str, path: str, body: bytes) -> bool:
    text = path + body[:200].decode("latin-1")
    return "INSERT" in text.upper() and "CHECK GRANT" not in text and table in text


def _body(headers: Message, stream: BufferedIOBase) -> bytes:
    if headers.get("Transfer-Encoding") != "chunked":
        return stream.read(int(headers.get("Content-Length", 0)))
    parts = []
    while size := int(stream.readline().split(b";")[0], 16):
        parts.append(stream.read(size))
        stream.readline()
    stream.readline()
    return b"".join(parts)

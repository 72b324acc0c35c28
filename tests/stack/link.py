"""A line between two processes that can be cut, held, or slowed: what networks do on a bad day."""

from __future__ import annotations

import contextlib
import socket
import threading


class Link:
    """Forwards TCP from its own port on 127.0.0.1 to a server's.

    `cut` refuses and breaks connections; `hold` keeps them open while nothing flows, as on a line that died without
    a word; `slow` lets every chunk wait, in both directions, so what the client gave up on still arrives; `heal` ends
    all of it.
    """

    def __init__(self, upstream_port: int, port: int = 0) -> None:
        self.upstream_port = upstream_port
        self._flowing = threading.Event()
        self._flowing.set()
        self._closed = threading.Event()
        self._delay_s = 0.0
        self._cut = False
        self._lock = threading.Lock()
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name=f"link-{self.port}", daemon=True).start()

    def cut(self) -> None:
        """Breaks every connection, and each new one at once."""
        self._cut = True
        self._flowing.set()
        self._break_all()

    def hold(self) -> None:
        """Nothing flows any more; nobody is told."""
        self._flowing.clear()

    def slow(self, delay_s: float) -> None:
        """Each chunk arrives so much later."""
        self._delay_s = delay_s

    def heal(self) -> None:
        """As good as new. What was held flows on."""
        self._cut = False
        self._delay_s = 0.0
        self._flowing.set()

    def close(self) -> None:
        """Ends the link."""
        self._closed.set()
        self.cut()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = None if self._cut else socket.create_connection(("127.0.0.1", self.upstream_port), 5)
            except OSError:
                server = None
            if server is None:
                client.close()
                continue
            server.settimeout(None)
            pair = (client, server)
            with self._lock:
                self._pairs.add(pair)
            for source, target in (pair, pair[::-1]):
                threading.Thread(target=self._pump, args=(source, target, pair), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, pair: tuple[socket.socket, socket.socket]) -> None:
        try:
            while chunk := source.recv(65_536):
                self._flowing.wait()
                if self._delay_s:
                    self._closed.wait(self._delay_s)
                if self._cut:
                    return
                target.sendall(chunk)
        except OSError:
            pass  # one side is gone; the other is told below
        finally:
            self._break(pair)

    def _break_all(self) -> None:
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            self._break(pair)

    def _break(self, pair: tuple[socket.socket, socket.socket]) -> None:
        with self._lock:
            self._pairs.discard(pair)
        for end in pair:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

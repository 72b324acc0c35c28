"""Metrics and health of a process: counters, the lag histogram, and one small HTTP port for /metrics and /health."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Counter, Gauge, Histogram, generate_latest

# Geometric, so that a quantile read off the buckets is right within 20 %.
LAG_BUCKETS_S = tuple(round(0.001 * 1.2**i, 6) for i in range(64))

LAG = Histogram(
    "movers_lag_seconds",
    "Time since we received the event, when this stage was done with it",
    ["stage", "venue"],
    buckets=LAG_BUCKETS_S,
)
MESSAGES = Counter("movers_messages", "Messages this process finished with", ["stage", "topic"])
BAD_INPUT = Counter("movers_bad_input", "Messages or rows that could not be used", ["stage", "reason"])
NEWEST_EVENT = Gauge("movers_newest_event_timestamp_seconds", "Venue time of the newest event seen", ["stage", "venue"])
ROWS = Counter("movers_rows", "Rows written to the store", ["table"])

HealthCheck = Callable[[], Mapping[str, Any]]
"""Returns what /health shows; the key `ok` decides between 200 and 503."""


class _Handler(BaseHTTPRequestHandler):
    health: HealthCheck

    def do_GET(self) -> None:
        if self.path == "/metrics":
            self._answer(200, CONTENT_TYPE_LATEST, generate_latest(REGISTRY))
        elif self.path == "/health":
            state = dict(self.health())
            self._answer(200 if state.get("ok") else 503, "application/json", json.dumps(state).encode())
        else:
            self._answer(404, "text/plain", b"try /health or /metrics\n")

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Scrapes are not news."""


def serve(port: int, health: HealthCheck) -> ThreadingHTTPServer | None:
    """Serves /metrics and /health on loopback from a daemon thread; port 0 means none.

    Raises:
        OSError: the port is taken.
    """
    if port == 0:
        return None
    handler = type("Handler", (_Handler,), {"health": staticmethod(health)})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server


class Heartbeat:
    """Says whether a loop still turns: `beat()` in the loop, `health` for /health."""

    def __init__(self, *, silent_after_s: float = 60.0) -> None:
        self._silent_after_s = silent_after_s
        self._last_s = time.monotonic()
        self.started = False

    def beat(self) -> None:
        """The loop turned once."""
        self._last_s = time.monotonic()
        self.started = True

    def health(self) -> Mapping[str, Any]:
        """ok once started and not silent for longer than allowed."""
        silent_s = time.monotonic() - self._last_s
        return {"ok": self.started and silent_s < self._silent_after_s, "silent_s": round(silent_s, 1)}

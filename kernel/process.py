"""How every process of ours lives: two signals, one port, one meaning of healthy, one way to stop.

Healthy means: it can do its work now. `GET /health` answers 200 exactly then, else 503, and says in `state`:

| state | meaning | healthy | does a restart help? |
|---|---|---|---|
| `starting` | its loop has not turned yet | no | no |
| `working` | the loop turns and nothing it cannot work without is away | yes | – |
| `waiting` | the loop turns, but something it cannot work without is away; `away` says what, and why | no | no |
| `stuck` | the loop has not turned for `SILENT_AFTER_S` | no | yes |
| `stopping` | told to stop, finishing what it has at hand | no | no |

A processor or sink without Kafka, and a sink without its store, wait. A producer without Kafka collects on and keeps
what it has on disk: it works, and says so (`away` names Kafka, also one that is there and refuses messages). When
something goes away there is one line in the log, and one when it is back, whoever in the process notices first, and
however often.
"""

from __future__ import annotations

import gc
import hmac
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any, Literal, TypeVar

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest

from kernel.errors import TransientError, UserError
from kernel.http_server import HttpServer
from kernel.logs import get_logger
from kernel.loopback import is_loopback
from kernel.metrics import HEALTHY
from kernel.settings import ProcessSettings

log = get_logger(__name__)

State = Literal["starting", "working", "waiting", "stuck", "stopping"]
Facts = Callable[[], Mapping[str, Any]]
"""What a process adds to its health, under keys of its own."""

SILENT_AFTER_S = 60.0
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 10.0

ASKED_WITHIN_S = 10.0
"""Who has connected to our port and asked nothing by then is hung up on: each holds a thread."""

_YOUNG_OBJECTS = 50_000
"""After so many new objects Python looks for rings of dead ones; by default after 700. Ours live for a batch of
thousands and seldom form rings: looking cost a fifth of the sink's main thread and a fifteenth of the processor's."""

T = TypeVar("T")


class Stopped(Exception):
    """Told to stop while waiting for something; `living` ends in order on it."""


class Process:
    """What is known of the process we are in. Every method may be called from any thread.

    Args:
        name: as the command line has it, e.g. `sink-clickhouse`.
        silent_after_s: how long the loop may not turn.
    """

    def __init__(self, name: str, *, silent_after_s: float = SILENT_AFTER_S) -> None:
        self.name = name
        self.stopping = threading.Event()
        self._silent_after_s = silent_after_s
        self._turned_s = time.monotonic()
        self._started = False
        self._lock = threading.Lock()
        self._needs: dict[str, _Need] = {}
        self._facts: list[Facts] = []
        self._on_stop: list[Callable[[], object]] = []

    # ── told by the process ──────────────────────────────────────────────────────────────────────────────────────────

    def beat(self) -> None:
        """The loop has turned once."""
        self._turned_s = time.monotonic()
        self._started = True

    def away(self, need: str, detail: str, *, noticed_by: str = "", can_work: bool = False) -> None:
        """Something this process needs does not answer; told once until it is back.

        Args:
            need: what, in one word: `kafka`, `store`, `registry`.
            detail: one readable sentence.
            noticed_by: which client; the need is back when each that missed it has it again.
            can_work: whether the work goes on without it.
        """
        with self._lock:
            known = self._needs.get(need)
            if known is None:
                known = self._needs[need] = _Need(detail, can_work)
            known.detail = detail
            known.missed_by.add(noticed_by)
            told_before, known.told = known.told, True
        if not told_before:
            log.warning("need_away", need=need, detail=detail)

    def back(self, *needs: str, noticed_by: str = "") -> None:
        """They answer (again); none named: all that this client missed. Harmless when nothing was away."""
        with self._lock:
            named = [name for name in needs or tuple(self._needs) if name in self._needs]
            for name in named:
                self._needs[name].missed_by.discard(noticed_by)
            over = {name: self._needs.pop(name) for name in named if not self._needs[name].missed_by}
        for name, need in over.items():
            log.warning("need_back", need=name, away_s=round(time.monotonic() - need.since_s, 1))

    def misses(self, need: str) -> bool:
        """Whether something is away now."""
        with self._lock:
            return need in self._needs

    def until(self, step: Callable[[], T]) -> T:
        """Repeats a step of the start while what it needs is away, and says so; returns what the step returns.

        Raises:
            Stopped: told to stop meanwhile.
        """
        pause_s = FIRST_PAUSE_S
        while not self.stopping.is_set():
            try:
                result = step()
            except TransientError as error:
                self.away(error.need, str(error), noticed_by="start")
                self.beat()
                self.stopping.wait(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            else:
                self.back(noticed_by="start")
                return result
        raise Stopped

    def add_facts(self, facts: Facts) -> None:
        """More for /health to show. A key `ok` that is false makes the process unhealthy."""
        self._facts.append(facts)

    def on_stop(self, call: Callable[[], object]) -> None:
        """Called once, from the thread or signal handler that stops the process: it must only set a flag."""
        self._on_stop.append(call)

    def stop(self) -> None:
        """The one way to end: finish what is at hand, keep the rest, return."""
        if not self.stopping.is_set():
            self.stopping.set()
            for call in self._on_stop:
                call()

    # ── asked by others ──────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def state(self) -> State:
        """See the table above."""
        if self.stopping.is_set():
            return "stopping"
        if time.monotonic() - self._turned_s > self._silent_after_s:
            return "stuck"
        if not self._started:
            return "starting"
        with self._lock:
            return "waiting" if any(not need.can_work for need in self._needs.values()) else "working"

    def health(self) -> Mapping[str, Any]:
        """What /health shows; `ok` decides between 200 and 503."""
        state = self.state
        with self._lock:
            away = {name: need.detail for name, need in self._needs.items()}
        facts: dict[str, Any] = {}
        fine = True
        for ask in self._facts:
            answer = dict(ask())
            fine = bool(answer.pop("ok", True)) and fine
            facts |= answer
        silent_s = round(time.monotonic() - self._turned_s, 1)
        return {**facts, "ok": state == "working" and fine, "state": state, "silent_s": silent_s, "away": away}


class _Need:
    """Something that is away, and which clients miss it."""

    def __init__(self, detail: str, can_work: bool) -> None:
        self.detail = detail
        self.can_work = can_work
        self.missed_by: set[str] = set()
        self.since_s = time.monotonic()
        self.told = False


@contextmanager
def living(name: str, settings: ProcessSettings) -> Iterator[Process]:
    """A process from its first moment to its last: the port answers and the signals are taken while the block runs.

    SIGTERM and SIGINT call `Process.stop`. (In a thread other than the main one there are no signals to take.)

    Raises:
        UserError: the metrics port cannot be had, or others would reach it and no token is set. Told before anything
            else is begun.
    """
    process = Process(name)
    server = _listen(settings, process)
    HEALTHY.labels(name).set_function(lambda: float(process.health()["ok"]))
    before = {}
    young = gc.get_threshold()
    gc.set_threshold(_YOUNG_OBJECTS, *young[1:])
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            before[number] = signal.signal(number, lambda *_: process.stop())
    log.info("process_started", name=name, metrics_port=settings.metrics_port)
    try:
        yield process
    except Stopped:
        log.info("stopped_while_waiting", name=name)
    finally:
        gc.set_threshold(*young)
        for number, handler in before.items():
            signal.signal(number, handler)
        if server is not None:
            server.shutdown()
            server.server_close()
        log.info("process_ended", name=name)


def _listen(settings: ProcessSettings, process: Process) -> HttpServer | None:
    """Serves /metrics and /health from a daemon thread; port 0 means none."""
    host, port, token = settings.metrics_host, settings.metrics_port, settings.metrics_token.get_secret_value()
    if port == 0:
        return None
    if not token and not is_loopback(host):
        raise UserError(
            f"METRICS_HOST {host} can be reached from elsewhere: set METRICS_TOKEN, which others have to show"
        )
    own = {"process": process, "token": token.encode(), "timeout": ASKED_WITHIN_S}
    handler = type("Handler", (_Handler,), own)
    try:
        server = HttpServer((host, port), handler)
    except OSError as error:
        raise UserError(f"METRICS_PORT {port} on {host} cannot be used: {error.strerror}; choose another") from error
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server


class _Handler(BaseHTTPRequestHandler):
    process: Process
    token: bytes

    def do_GET(self) -> None:
        if not (is_loopback(self.client_address[0]) or self._shows_the_token()):
            self._answer(401, "text/plain", b"METRICS_TOKEN is asked for: Authorization: Bearer ...\n")
        elif self.path == "/metrics":
            self._answer(200, CONTENT_TYPE_LATEST, generate_latest(REGISTRY))
        elif self.path == "/health":
            health = self.process.health()
            self._answer(200 if health["ok"] else 503, "application/json", json.dumps(health).encode())
        else:
            self._answer(404, "text/plain", b"try /health or /metrics\n")

    def _shows_the_token(self) -> bool:
        shown = self.headers.get("Authorization", "").encode()
        return bool(self.token) and hmac.compare_digest(shown, b"Bearer " + self.token)

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        if status == 401:
            self.send_header("WWW-Authenticate", "Bearer")
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Scrapes are not news."""

"""The whole product on one machine: which processes, in which order, with which addresses. Behind `demo` and `up`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil

from dashboard import launch
from kernel import schema_registry
from kernel.errors import UserError
from kernel.kafka.topics import create_topics
from kernel.logs import get_logger
from kernel.settings import Settings
from movers import report
from movers.addresses import choose_addresses
from movers.disk import DiskWatch
from movers.local.broker.node import LocalKafka
from movers.local.folders import FolderLock, prepare_folder
from movers.local.ports import accepts
from movers.settings import load
from movers.supervisor import ChildSpec, Supervisor
from processors.registry import PROCESSORS
from schemas.topics import CATALOGUE, VENUES
from sinks.clickhouse.migrate import migrate

log = get_logger(__name__)

Say = Callable[[str], None]
RUNNING_FILE = "running.json"
_LOOK_EVERY_S = 2.0
_RSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class StackOptions:
    """What to run.

    Args:
        profile: folder under `movers_home` for the data: "demo" is wiped at each start, "up" is kept.
        simulator_args: arguments of the simulated venues; None for the live ones.
        run_for_s: stop by itself after so many seconds of running; None for until told.
        report_path: where the report of the run goes; None for nowhere.
    """

    profile: str
    simulator_args: Sequence[str] | None = None
    run_for_s: float | None = None
    report_path: Path | None = None
    verbose: bool = False


class Stack:
    """One run of the one-machine stack. Use `run()`; everything else serves it."""

    def __init__(self, settings: Settings, options: StackOptions, say: Say) -> None:
        self._options = options
        self._say = say
        self._home = settings.process.movers_home.absolute()
        self._min_free_mib = settings.process.disk_stop_mib
        self._data = self._home / options.profile
        self._lock = self._prepare_folders()
        self._addresses = choose_addresses(settings)
        self._environment = {**settings.overrides, **self._addresses.environment(), **self._folders()}
        if options.simulator_args is not None:
            self._environment |= self._addresses.simulated_venues()
        self._settings = load(self._environment)
        self._kafka = LocalKafka(
            data_dir=self._data / "kafka",
            cache_dir=self._home / "cache",
            port=self._addresses.kafka,
            controller_port=self._addresses.kafka_controller,
            java_home=settings.process.java_home,
        )
        self._disk = DiskWatch(self._data, settings.process.disk_low_mib, settings.process.disk_stop_mib)
        self._supervisor = Supervisor(self._data / "logs", screen=sys.stderr, verbose=options.verbose)
        self._began_s = time.monotonic()

    async def run(self) -> int:
        """Starts everything, runs until told or until the time is over, stops everything. Returns the exit code.

        Raises:
            MoversError: it could not be started; whatever was started is stopped again.
        """
        told = asyncio.Event()
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(signum, told.set)
        disk = loop.create_task(self._watch_disk(told))
        try:
            if not await _unless(told, self._start()):
                self._refuse_full_disk()
                return 130
            with self._announced():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stay(told), self._options.run_for_s)
                self._refuse_full_disk()
                return await self._report()
        finally:
            disk.cancel()
            self._say("Stopping …")
            await self._supervisor.stop()
            self._kafka.release()
            self._lock.release()
            self._say(f"Stopped. Logs: {self._data / 'logs'}")

    async def _watch_disk(self, told: asyncio.Event) -> None:
        """Stops everything in order while there is still room to finish what was begun."""
        while not told.is_set():
            if self._disk.look() == "full":
                told.set()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(told.wait(), _LOOK_EVERY_S)

    def _refuse_full_disk(self) -> None:
        if self._disk.room == "full":
            raise UserError(
                f"only {self._disk.free_mib} MiB are free at {self._data}: stopped before anything is lost; "
                f"make room and start again (DISK_STOP_MIB={self._min_free_mib})"
            )

    async def _start(self) -> None:
        self._step("preparing Kafka (the first time this downloads about 50 MB)")
        await asyncio.to_thread(self._kafka.prepare, self._say)
        self._step("starting Kafka, schema registry and the ClickHouse engine")
        await self._supervisor.start(self._infrastructure())
        self._step("creating topics, schemas and tables")
        await asyncio.to_thread(self._set_up)
        self._step("starting processors, sink and dashboard")
        await self._supervisor.start([*self._venues(), *self._workers(), self._dashboard()])
        self._step("starting producers")
        await self._supervisor.start(self._producers())
        self._say(
            f"\n  Dashboard   {self._dashboard_url()}\n  Stop with Ctrl-C; `movers status` in another terminal.\n"
        )

    async def _stay(self, told: asyncio.Event) -> None:
        """Says how the tape's catch-up goes, then waits."""
        if self._options.simulator_args is not None:
            await _unless(told, self._follow_catch_up())
        await told.wait()

    async def _follow_catch_up(self) -> None:
        url = f"http://127.0.0.1:{self._addresses.simulator}/simulator/status"
        async with httpx.AsyncClient(trust_env=False, timeout=5) as http:
            while True:
                with contextlib.suppress(httpx.HTTPError, ValueError):
                    status = (await http.get(url)).json()
                    if status["caught_up"] or status["finished"]:
                        self._say("The tape has reached the present." if status["caught_up"] else "The tape is over.")
                        return
                    behind_s = max(0.0, time.time() - status["now_us"] / 1e6)
                    self._say(f"Catching up: the tape is {behind_s / 60:.0f} min behind the present.")
                await asyncio.sleep(10)

    async def _report(self) -> int:
        if self._options.report_path is None:
            return 0
        statuses = [*self._supervisor.status(), _own_status()]
        processes = [report.Process(status, self._metrics_url(status["name"])) for status in statuses]
        extra = {"ran_s": round(time.monotonic() - self._began_s, 1), "profile": self._options.profile}
        result = await asyncio.to_thread(report.collect, self._settings, processes, extra)
        report.write(result, self._options.report_path)
        self._say(f"Report: {self._options.report_path} ({'ok' if result['ok'] else '; '.join(result['missing'])})")
        return 0 if result["ok"] else 1

    def _set_up(self) -> None:
        create_topics(self._settings.kafka)
        schemas = schema_registry.SchemaRegistry.of(self._settings.kafka)
        schemas.register(CATALOGUE)
        schemas.close()
        migrate(self._settings.clickhouse)

    def _infrastructure(self) -> list[ChildSpec]:
        a = self._addresses
        return [
            ChildSpec(
                name="kafka",
                argv=self._kafka.argv(),
                ready=_KafkaReady(self._kafka, a.kafka),
                stuck=lambda: not accepts(a.kafka),
                address=self._kafka.bootstrap,
            ),
            ChildSpec(
                name="registry",
                argv=_python("movers.local.registry.service", "--port", a.registry, "--data", self._data / "registry"),
                ready=_answers(f"http://127.0.0.1:{a.registry}/subjects"),
                stuck=_stuck(f"http://127.0.0.1:{a.registry}/subjects"),
                address=f"http://127.0.0.1:{a.registry}",
            ),
            ChildSpec(
                name="warehouse",
                argv=_python(
                    "movers.local.warehouse.service", "--port", a.warehouse, "--data", self._data / "warehouse"
                ),
                ready=_answers(f"http://127.0.0.1:{a.warehouse}/ping"),
                stuck=_stuck(f"http://127.0.0.1:{a.warehouse}/ping"),
                address=f"http://127.0.0.1:{a.warehouse}",
            ),
        ]

    def _venues(self) -> list[ChildSpec]:
        if self._options.simulator_args is None:
            return []
        url = f"http://127.0.0.1:{self._addresses.simulator}"
        args = ("--port", self._addresses.simulator, *self._options.simulator_args)
        return [
            ChildSpec(
                name="simulator",
                argv=_python("movers", "simulate", *args),
                env=self._environment,
                ready=_answers(f"{url}/simulator/status"),
                stuck=_stuck(f"{url}/simulator/status"),
                address=url,
            )
        ]

    def _workers(self) -> list[ChildSpec]:
        return [
            *(self._ours(f"process-{app}", "process", app) for app in PROCESSORS),
            self._ours("sink-clickhouse", "sink", "clickhouse"),
        ]

    def _producers(self) -> list[ChildSpec]:
        return [self._ours(f"produce-{venue}", "produce", venue) for venue in VENUES]

    def _dashboard(self) -> ChildSpec:
        return ChildSpec(
            name="dashboard",
            argv=[sys.executable, *launch.argv(self._settings)],
            env=self._environment,
            ready=_answers(f"{self._dashboard_url()}/_stcore/health"),
            stuck=_stuck(f"{self._dashboard_url()}/_stcore/health"),
            address=self._dashboard_url(),
        )

    def _ours(self, name: str, *command: str) -> ChildSpec:
        return ChildSpec(
            name=name,
            argv=_python("movers", *command),
            env={**self._environment, "METRICS_PORT": str(self._addresses.metrics[name])},
            ready=_answers(f"{self._metrics_url(name)}/health"),
            stuck=_stuck(f"{self._metrics_url(name)}/health"),
            address=self._metrics_url(name) or "",
        )

    def _dashboard_url(self) -> str:
        return f"http://127.0.0.1:{self._addresses.dashboard}"

    def _metrics_url(self, name: str) -> str | None:
        port = self._addresses.metrics.get(name)
        return None if port is None else f"http://127.0.0.1:{port}"

    def _folders(self) -> dict[str, str]:
        return {
            "MOVERS_HOME": str(self._home),
            "STATE_DIR": str(self._data / "state"),
            "SPILL_DIR": str(self._data / "spill"),
        }

    def _prepare_folders(self) -> FolderLock:
        """One run per home; the demo's data are made anew, since its tape starts in the past each time."""
        prepare_folder(self._home, "the stack", self._min_free_mib)
        lock = FolderLock(self._home, "stack")
        if self._options.profile == "demo" and self._data.exists():
            try:
                shutil.rmtree(self._data)
            except OSError as error:
                raise UserError(f"data folder {self._data} cannot be emptied: {error.strerror}") from error
        prepare_folder(self._data, "the stack", self._min_free_mib)
        return lock

    @contextlib.contextmanager
    def _announced(self) -> Iterator[None]:
        """While running, `movers status` and the other commands find the run by a file; it is refreshed as we go."""
        path = self._home / RUNNING_FILE
        refresher = asyncio.get_running_loop().create_task(self._refresh(path))
        try:
            yield
        finally:
            refresher.cancel()
            path.unlink(missing_ok=True)

    async def _refresh(self, path: Path) -> None:
        me = psutil.Process()
        while True:
            state = {
                "pid": me.pid,
                "created": me.create_time(),
                "profile": self._options.profile,
                "env": self._environment,
                "processes": self._supervisor.status(),
                "disk": {"room": self._disk.room, "free_mib": self._disk.free_mib, "folder": str(self._data)},
            }
            draft = path.with_suffix(".tmp")
            draft.write_text(json.dumps(state, indent=1), "utf-8")
            draft.replace(path)
            await asyncio.sleep(_LOOK_EVERY_S)

    def _step(self, text: str) -> None:
        self._say(f"[{time.monotonic() - self._began_s:5.1f} s] {text}")


def running(home: Path) -> dict[str, Any] | None:
    """The run announced under this home, if its supervisor is alive."""
    try:
        state: dict[str, Any] = json.loads((home / RUNNING_FILE).read_text("utf-8"))
        alive = psutil.Process(state["pid"]).create_time() == state["created"]
    except (OSError, ValueError, KeyError, psutil.Error):
        return None
    return state if alive else None


class _KafkaReady:
    """The first time a consumer group and a transaction must work; afterwards an open port is enough."""

    def __init__(self, broker: LocalKafka, port: int) -> None:
        self._broker = broker
        self._port = port
        self._proved = False

    def __call__(self) -> bool:
        if self._proved:
            return accepts(self._port)
        try:
            self._broker.wait_ready(timeout_s=60)
        except TimeoutError:
            return False
        self._proved = True
        return True


def _own_status() -> dict[str, Any]:
    """The supervisor's own cost, in the words of its children's; CPU over its whole life."""
    me = psutil.Process()
    times = me.cpu_times()
    cpu_s = times.user + times.system
    return {
        "name": "supervisor",
        "address": "",
        "restarts": 0,
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT_BYTES / 1e6, 1),
        "cpu_pct": round(100 * cpu_s / (time.time() - me.create_time()), 1),
        "cpu_s": round(cpu_s, 1),
    }


def _python(module: str, *args: object) -> list[str]:
    return [sys.executable, "-m", module, *(str(arg) for arg in args)]


def _answers(url: str) -> Callable[[], bool]:
    """A health check: whether the address answers with success."""
    return lambda: (answer := _get(url)) is not None and answer[0] == HTTPStatus.OK


def _stuck(url: str) -> Callable[[], bool]:
    """Whether only a restart helps: nothing answers, or the process says of itself that its loop stands still."""

    def check() -> bool:
        answer = _get(url)
        if answer is None:
            return True
        with contextlib.suppress(ValueError, AttributeError):
            return bool(json.loads(answer[1]).get("state") == "stuck")
        return False

    return check


def _get(url: str) -> tuple[int, bytes] | None:
    """Status and body, or None when nothing answers.

    Not through httpx: it makes a TLS context for each request, and these are asked every few seconds for ever.
    """
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=5)
    try:
        connection.request("GET", parts.path or "/")
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()


async def _unless(told: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Runs `work` until it ends (True) or until told to stop (False). It is cancelled then, or when this is."""
    task = asyncio.ensure_future(work)
    stop = asyncio.ensure_future(told.wait())
    try:
        await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
        ended = task.done()
    finally:
        for each in (task, stop):
            each.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await stop
        if task.cancelled() or not task.done():
            with contextlib.suppress(asyncio.CancelledError):
                await task
    if ended:
        task.result()
    return ended


def run(settings: Settings, options: StackOptions, say: Say) -> int:
    """Runs the stack to its end and returns the exit code.

    Raises:
        UserError, TransientError: it could not be started.
    """
    return asyncio.run(Stack(settings, options, say).run())

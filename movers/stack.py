"""The whole product on one machine, from its first step to its last: behind `demo` and `up`."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from kernel import schema_registry
from kernel.errors import UserError
from kernel.kafka.topics import create_topics
from kernel.settings import Settings
from movers import report
from movers.addresses import choose_addresses
from movers.children import Children
from movers.disk import DiskWatch
from movers.local.broker.node import LocalKafka
from movers.local.folders import FolderLock, prepare_folder
from movers.running import announced
from movers.settings import load
from movers.supervisor import Supervisor
from schemas.topics import CATALOGUE
from sinks.clickhouse.migrate import migrate

Say = Callable[[str], None]
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
        self._children = Children(
            self._addresses, self._environment, self._settings, self._kafka, self._data, options.simulator_args
        )
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
            with announced(self._home, self._told):
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
        children = self._children
        self._step("preparing Kafka (the first time this downloads about 50 MB)")
        await asyncio.to_thread(self._kafka.prepare, self._say)
        self._step("starting Kafka, schema registry and the ClickHouse engine")
        await self._supervisor.start(children.servers())
        self._step("creating topics, schemas and tables")
        await asyncio.to_thread(self._set_up)
        self._step("starting processors, sink and dashboard")
        await self._supervisor.start([*children.venues(), *children.workers(), children.dashboard()])
        self._step("starting producers")
        await self._supervisor.start(children.producers())
        self._say(
            f"\n  Dashboard   {children.dashboard_url()}\n  Stop with Ctrl-C; `movers status` in another terminal.\n"
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
        processes = [report.Process(status, self._children.metrics_url(status["name"])) for status in statuses]
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

    def _told(self) -> dict[str, Any]:
        """What the other commands are told of this run."""
        return {
            "profile": self._options.profile,
            "env": self._environment,
            "processes": self._supervisor.status(),
            "disk": {"room": self._disk.room, "free_mib": self._disk.free_mib, "folder": str(self._data)},
        }

    def _step(self, text: str) -> None:
        self._say(f"[{time.monotonic() - self._began_s:5.1f} s] {text}")


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

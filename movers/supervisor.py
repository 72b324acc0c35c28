"""Starts our processes in order, watches them, restarts what dies with backoff, stops them all, leaves none behind.

A child runs in a process group of its own, so that Ctrl-C reaches only the supervisor, which then stops the children
in reverse order. On Linux the kernel also ends a child whose supervisor was killed outright (PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import psutil

from kernel.errors import MoversError
from kernel.logs import get_logger
from movers.child_log import ChildLog

log = get_logger(__name__)

BACKOFF_S = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
STEADY_AFTER_S = 60.0
"""A child that ran so long starts its backoff anew."""

SAMPLE_EVERY_S = 1.0
CHECK_EVERY_S = 3.0
STUCK_CHECKS = 10
"""A child found stuck so many times in a row is started again. Checks are counted, not seconds: a suspended machine
makes no checks."""

TELL_AGAIN_EVERY = 5
"""A child that ends again and again is told loudly at each so-many-th time; it is started again all the same."""

CPU_WINDOW_SAMPLES = 31
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)  # loaded here: nothing may be imported between fork and exec


class StartFailedError(MoversError):
    """A child did not become healthy in time, or died again and again while starting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """One process to run.

    Args:
        ready: blocking check, True once the child does its work; called repeatedly from a worker thread.
        stuck: blocking check, True when only a restart can help: it does not answer, or says so itself. A child that
            waits for something else is not stuck. Called when `ready` is not True.
        address: what people would open or connect to; shown by status.
        ready_timeout_s: how long the first start may take.
        stop_timeout_s: how long SIGTERM may take before SIGKILL.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    ready: Callable[[], bool]
    stuck: Callable[[], bool] = lambda: False
    address: str = ""
    ready_timeout_s: float = 90.0
    stop_timeout_s: float = 20.0


class Child:
    """A running spec and what is known of it."""

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.process: asyncio.subprocess.Process | None = None
        self.healthy = False
        self.stuck_checks = 0
        self.restarts = 0
        self.rss_bytes = 0
        self.peak_rss_bytes = 0
        self.cpu_s = 0.0
        self.last_lines: deque[str] = deque(maxlen=8)
        self.started_s = 0.0
        self._cpu_samples: deque[tuple[float, float]] = deque(maxlen=CPU_WINDOW_SAMPLES)
        self._cpu_before_s = 0.0
        self._cpu_run_s = 0.0

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self.process.pid if self.process and self.process.returncode is None else None

    def sample(self) -> None:
        """Reads memory and CPU of the child and its own children."""
        if self.pid is None:
            return
        with contextlib.suppress(psutil.Error):
            root = psutil.Process(self.pid)
            family = [root, *root.children(recursive=True)]
            self.rss_bytes = sum(p.memory_info().rss for p in family)
            self.peak_rss_bytes = max(self.peak_rss_bytes, self.rss_bytes)
            self._cpu_run_s = sum(t.user + t.system for t in (p.cpu_times() for p in family))
            self.cpu_s = self._cpu_before_s + self._cpu_run_s
            self._cpu_samples.append((time.monotonic(), self.cpu_s))

    def cpu_pct(self) -> float:
        """CPU of the last half minute, percent of one core."""
        if len(self._cpu_samples) < 2:
            return 0.0
        (from_s, before), (to_s, after) = self._cpu_samples[0], self._cpu_samples[-1]
        return 100 * (after - before) / (to_s - from_s)

    def run_ended(self) -> None:
        """Keeps the CPU time of a run that is over."""
        self._cpu_before_s += self._cpu_run_s
        self._cpu_run_s = 0.0
        self.healthy = False
        self.stuck_checks = 0

    def status(self) -> dict[str, Any]:
        """What `movers status` shows."""
        return {
            "name": self.spec.name,
            "pid": self.pid,
            "healthy": self.healthy,
            "address": self.spec.address,
            "restarts": self.restarts,
            "rss_mb": round(self.rss_bytes / 1e6, 1),
            "peak_rss_mb": round(self.peak_rss_bytes / 1e6, 1),
            "cpu_pct": round(self.cpu_pct(), 1),
            "cpu_s": round(self.cpu_s, 1),
        }


class Supervisor:
    """Runs children. Call everything from one event loop.

    Args:
        log_dir: each child's output goes to `<log_dir>/<name>.log`, kept small (`child_log.py`).
        screen: where prefixed warnings (with `verbose` every line) appear; None for nowhere.
    """

    def __init__(self, log_dir: Path, *, screen: TextIO | None = sys.stderr, verbose: bool = False) -> None:
        log_dir.mkdir(parents=True, exist_ok=True)
        self._log_dir = log_dir
        self._screen = screen
        self._verbose = verbose
        self._stopping = False
        self._checking = False
        self._watchers: list[asyncio.Task[None]] = []
        self.children: dict[str, Child] = {}

    async def start(self, specs: Sequence[ChildSpec]) -> None:
        """Starts the children of one stage side by side and waits until all are healthy.

        Raises:
            StartFailedError: one did not get there; its last lines are in the message.
        """
        fresh = [Child(spec) for spec in specs]
        for child in fresh:
            self.children[child.spec.name] = child
            await self._spawn(child)
            self._watchers.append(asyncio.create_task(self._watch(child), name=child.spec.name))
        if len(self._watchers) == len(fresh):
            self._watchers.append(asyncio.create_task(self._sample(), name="sampler"))
        await asyncio.gather(*(self._wait_ready(child) for child in fresh))
        if not self._checking:
            self._checking = True
            self._watchers.append(asyncio.create_task(self._check(), name="checker"))

    async def stop(self) -> None:
        """Stops all children, last started first; after their time-out with SIGKILL."""
        self._stopping = True
        for child in reversed(self.children.values()):
            await self._terminate(child)
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        for child in self.children.values():  # one that was just being restarted
            await self._terminate(child)

    def status(self) -> list[dict[str, Any]]:
        """Status of each child, in start order."""
        return [child.status() for child in self.children.values()]

    async def _spawn(self, child: Child) -> None:
        child.process = await asyncio.create_subprocess_exec(
            *child.spec.argv,
            env=child_environment(child.spec.env),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=1024 * 1024,
            start_new_session=True,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
        child.started_s = time.monotonic()
        child_log = ChildLog(self._log_dir / f"{child.spec.name}.log")
        pump = asyncio.create_task(self._pump(child, child.process, child_log))
        pump.add_done_callback(lambda _: _close(child_log))

    async def _pump(self, child: Child, process: asyncio.subprocess.Process, child_log: ChildLog) -> None:
        """Copies the child's output to its log file and, where it matters, to the screen with its name in front."""
        assert process.stdout is not None  # noqa: S101  asked for with PIPE above
        while True:
            try:
                raw = await process.stdout.readline()
            except ValueError:  # a line over the limit; the reader has dropped it
                continue
            if not raw:
                return
            line = raw.decode("utf-8", "replace").rstrip("\n")
            child.last_lines.append(line)
            # Whatever happens to the file, the pipe is read on: a child must never wait for its log.
            with contextlib.suppress(OSError):
                child_log.write(line)
            shown = _for_screen(line, verbose=self._verbose)
            if self._screen is not None and shown is not None:
                print(f"{child.spec.name:>18} │ {shown}", file=self._screen, flush=True)

    async def _watch(self, child: Child) -> None:
        """Restarts the child whenever it ends, with backoff."""
        failures = 0
        while not self._stopping:
            process = child.process
            if process is None:
                return
            code = await process.wait()
            child.run_ended()
            if self._stopping:
                return
            if time.monotonic() - child.started_s > STEADY_AFTER_S:
                failures = 0
            pause_s = BACKOFF_S[min(failures, len(BACKOFF_S) - 1)]
            failures += 1
            log.warning("child_ended", child=child.spec.name, exit_code=code, restart_in_s=pause_s)
            if failures % TELL_AGAIN_EVERY == 0:
                last = child.last_lines[-1] if child.last_lines else ""
                log.error("child_keeps_ending", child=child.spec.name, times=failures, last_words=last[:300])
            await asyncio.sleep(pause_s)
            if self._stopping:
                return
            child.restarts += 1
            try:
                await self._spawn(child)
            except OSError as error:  # no memory, no file handle: `process` is still the one that ended
                log.error("child_not_started", child=child.spec.name, detail=str(error))

    async def _wait_ready(self, child: Child) -> None:
        deadline_s = time.monotonic() + child.spec.ready_timeout_s
        while not await asyncio.to_thread(child.spec.ready):
            if time.monotonic() > deadline_s or child.restarts >= 3:
                tail = "\n".join(f"    {line}" for line in child.last_lines)
                raise StartFailedError(
                    f"{child.spec.name} did not become ready in {child.spec.ready_timeout_s:.0f} s "
                    f"(log: {self._log_dir / child.spec.name}.log); its last lines:\n{tail}"
                )
            await asyncio.sleep(0.1)
        child.healthy = True

    async def _sample(self) -> None:
        """Memory and CPU of everybody, every second."""
        while not self._stopping:
            for child in list(self.children.values()):
                child.sample()
            await asyncio.sleep(SAMPLE_EVERY_S)

    async def _check(self) -> None:
        """Health of everybody, every few seconds; a slow answer delays only the next round."""
        while not self._stopping:
            started = [child for child in self.children.values() if child.pid is not None]
            await asyncio.gather(*(self._check_one(child) for child in started))
            await asyncio.sleep(CHECK_EVERY_S)

    async def _check_one(self, child: Child) -> None:
        ready = await asyncio.to_thread(_holds, child.spec.ready)
        child.healthy = ready and child.pid is not None
        starting = time.monotonic() - child.started_s < child.spec.ready_timeout_s
        if ready or starting or not await asyncio.to_thread(_holds, child.spec.stuck):
            child.stuck_checks = 0
            return
        child.stuck_checks += 1
        if child.stuck_checks >= STUCK_CHECKS and not self._stopping:
            log.error("child_stuck", child=child.spec.name, checks=child.stuck_checks, action="started again")
            await self._terminate(child)  # its watcher starts it again

    async def _terminate(self, child: Child) -> None:
        process = child.process
        if process is None or process.returncode is not None:
            return
        child.sample()
        _signal_group(process.pid, signal.SIGTERM, only_leader=True)
        try:
            await asyncio.wait_for(process.wait(), child.spec.stop_timeout_s)
        except TimeoutError:
            log.warning("child_killed", child=child.spec.name, after_s=child.spec.stop_timeout_s)
        # Whatever the child itself started and left behind goes with it.
        _signal_group(process.pid, signal.SIGKILL)
        await process.wait()
        child.run_ended()


def child_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """What a process started by us finds: our own environment and, over it, the settings meant for it."""
    return {**os.environ, **settings}


def _holds(check: Callable[[], bool]) -> bool:
    """A check's answer; one that fails itself has not found the child well."""
    try:
        return check()
    except Exception as error:
        log.warning("check_failed", error=repr(error))
        return False


def _close(child_log: ChildLog) -> None:
    with contextlib.suppress(OSError):
        child_log.close()


def _signal_group(pid: int, signum: signal.Signals, *, only_leader: bool = False) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if only_leader:
            os.kill(pid, signum)
        else:
            os.killpg(pid, signum)


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _for_screen(line: str, *, verbose: bool) -> str | None:
    """What a person should see of a line of a child's log: events at warning or above, with their keys; else None."""
    try:
        event = json.loads(line)
        level = event.pop("level")
        name = event.pop("event")
    except (ValueError, KeyError, TypeError, AttributeError):
        return line if verbose else None
    if not verbose and level not in {"warning", "error", "critical"}:
        return None
    keys = " ".join(f"{key}={value}" for key, value in event.items() if key not in {"timestamp", "process"})
    return f"{level:<7} {name} {keys}"

"""A run of `movers demo` or `movers up` as a user starts it, in a home of its own, with a handle on its parts."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import clickhouse_connect
import httpx
from clickhouse_connect.driver.client import Client

from tests.stack.processes import child_environment
from tests.stack.progress import computed, not_stored
from tests.stack.waiting import wait_until

START_TIMEOUT_S = 240  # the first start on a machine downloads Kafka


class Demo:
    """Started by the constructor; `stop` (or leaving the `with` block) ends it and waits.

    Args:
        home: MOVERS_HOME; one that is there already is gone on with.
        cache_dir: where Kafka's jars are, or will be.
        command: `demo` or `up`.
        checkout: whose code runs; None: this one's.
    """

    def __init__(
        self,
        home: Path,
        cache_dir: Path,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        command: str = "demo",
        checkout: Path | None = None,
    ) -> None:
        self.home = home
        home.mkdir(parents=True, exist_ok=True)
        cache_dir.mkdir(parents=True, exist_ok=True)
        if not (home / "cache").exists():
            (home / "cache").symlink_to(cache_dir, target_is_directory=True)
        self._log = (home / "demo.log").open("w")
        self._turn = _turn_to_start()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "movers", command, *arguments],
            cwd=checkout,
            env=child_environment({"MOVERS_HOME": str(home), **(env or {})}),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def __enter__(self) -> Demo:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> int:
        """SIGTERM, then waits for the end; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(90)
        self._log.close()
        self._turn.close()
        return code

    def wait_started(self) -> None:
        """Until the run is announced. Only then the next one of this machine begins."""
        try:
            self.until(lambda: (self.home / "running.json").exists(), START_TIMEOUT_S, "the demo to start")
        finally:
            self._turn.close()

    @property
    def state(self) -> dict[str, Any]:
        """What the run announces of itself."""
        state: dict[str, Any] = json.loads((self.home / "running.json").read_text())
        return state

    @property
    def env(self) -> dict[str, str]:
        """Settings that lead to this run."""
        env: dict[str, str] = self.state["env"]
        return env

    def child(self, name: str) -> dict[str, Any]:
        """Status of one process."""
        return next(child for child in self.state["processes"] if child["name"] == name)

    def kill(self, name: str) -> None:
        """kill -9 of one process; returns once the supervisor has started it again and it is healthy."""
        before = self.child(name)
        os.kill(before["pid"], signal.SIGKILL)
        self.until(
            lambda: self.child(name)["restarts"] > before["restarts"] and self.child(name)["healthy"],
            60,
            f"{name} to be restarted",
        )

    def clickhouse(self) -> Client:
        """A client on the run's store."""
        return clickhouse_connect.get_client(
            host="127.0.0.1", port=int(self.env["CLICKHOUSE_PORT"]), database="movers", autogenerate_session_id=False
        )

    def simulator(self, path: str, body: object | None = None) -> dict[str, Any]:
        """Asks the simulated venues."""
        url = self.env["KALSHI_API_URL"].split("/kalshi/")[0] + path
        answer = (
            httpx.get(url, trust_env=False, timeout=60)
            if body is None
            else httpx.post(url, json=body, trust_env=False, timeout=60)
        )
        answer.raise_for_status()
        result: dict[str, Any] = answer.json()
        return result

    def until(self, condition: Callable[[], bool], timeout_s: float, what: str) -> None:
        """Polls a condition; fails with the end of the demo's log when it does not come true, or the demo ends."""

        def ended() -> str | None:
            return None if self.process.poll() is None else f"exit code {self.process.returncode}"

        try:
            wait_until(condition, what, timeout_s, ended=ended)
        except AssertionError as error:
            tail = "".join((self.home / "demo.log").read_text().splitlines(keepends=True)[-30:])
            raise AssertionError(f"{error}; log ends:\n{tail}") from None

    def wait_drained(self, timeout_s: float = 180) -> None:
        """Until the tape is over, all ticks are computed with and all that came of it is stored, and that has stood
        still for three seconds: a collector may still have been publishing what it was shown last."""
        self.until(lambda: bool(self.simulator("/simulator/status")["finished"]), timeout_s, "the tape to end")
        client, bootstrap = self.clickhouse(), self.env["KAFKA_BOOTSTRAP_SERVERS"]
        seen: tuple[object, float] = ((), time.monotonic())

        def rows(sql: str) -> list[tuple[Any, ...]]:
            return [tuple(row) for row in client.query(sql).result_rows]

        def steady() -> bool:
            nonlocal seen
            (counts,) = rows(
                "SELECT (SELECT count() FROM snapshots), (SELECT max(ts) FROM movers_latest), "
                "(SELECT sum(last_offset) FROM ingest_offsets FINAL)"
            )
            if counts != seen[0]:
                seen = (counts, time.monotonic())
            if time.monotonic() - seen[1] <= 3:
                return False
            return computed(bootstrap) and not not_stored(bootstrap, rows)

        self.until(steady, timeout_s, "the pipeline to drain")
        client.close()


def _turn_to_start() -> IO[str]:
    """Waits until no other run of the tests is starting; whoever comes next waits until this is closed.

    A run takes the usual ports where they are free, and listens there seconds later: two that look at once take the
    same.
    """
    turn = (Path(tempfile.gettempdir()) / f"movers-demo-starts.{os.getuid()}.lock").open("w")
    fcntl.flock(turn, fcntl.LOCK_EX)
    return turn

"""The steps of a newcomer's path; each returns what it proved, in one line with figures."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from kernel.errors import UserError
from ops.compose import dotenv
from ops.compose.check import addresses
from ops.compose.engine import Project, compose_command
from ops.compose.images import choose
from sinks.clickhouse.migrate import packaged_migrations
from tests.e2e.demo import Demo
from tests.stack.ports import free_port
from tests.stack.processes import (
    REPO,
    KafkaProcess,
    MoversProcess,
    ServiceProcess,
    SimulatorProcess,
    child_environment,
)
from tests.stack.waiting import wait_until

DEMO_S = 90
LONG_S = 900
MIGRATIONS = "sinks/clickhouse/migrations"


class NotProved(Exception):
    """A step did not show what it is there to show."""


class Walk:
    """What the steps share.

    Args:
        folder: everything lies under it.
        own_venv: whether the clone installs its own; else it borrows this checkout's.
        tests: what `make test` runs.
        before: the release before this one, as git knows it; None: the commit before the last migration came.
    """

    def __init__(self, folder: Path, *, own_venv: bool, tests: str, before: str | None) -> None:
        self.folder = folder
        self.clone = folder / "a clone"
        self.cache = self.clone / ".movers" / "cache"
        self.tests = tests
        self.before = before or _before_the_last_migration()
        self._own_venv = own_venv

    # ── the steps ────────────────────────────────────────────────────────────────────────────────────────────────────

    def set_up(self) -> str:
        """Clones and installs."""
        _git("clone", "--quiet", "--no-hardlinks", str(REPO), str(self.clone))
        jars = REPO / ".movers" / "cache"
        if jars.is_dir():
            shutil.copytree(jars, self.cache)
        if self._own_venv:
            self._make("setup")
            how = "installed by make setup"
        else:
            (self.clone / ".venv").symlink_to(REPO / ".venv", target_is_directory=True)
            (self.clone / ".venv" / ".ready").touch()
            how = "with the .venv of the checkout it was cloned from"
        jars_are = "copied" if jars.is_dir() else "not there yet"
        return f"{_git('log', '-1', '--format=%h').strip()}, {how}; Kafka's jars {jars_are}"

    def demo(self) -> str:
        """`make demo`, and a subscriber beside it."""
        report = self.folder / "report.json"
        asked = f"ARGS=--for {DEMO_S} --report '{report}' --port {free_port()}"
        log = (self.folder / "demo.log").open("w")
        run = subprocess.Popen(
            ["make", "demo", asked],
            cwd=self.clone,
            env=self._environment(),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            announced = self.clone / ".movers" / "running.json"
            wait_until(announced.exists, "the demo runs", LONG_S, ended=lambda: _ended(run, self.folder / "demo.log"))
            alert = self._first_alert(json.loads(announced.read_text())["env"])
            run.wait(LONG_S)
        finally:
            if run.poll() is None:
                os.killpg(run.pid, signal.SIGTERM)
                run.wait(90)
            log.close()
        if run.returncode != 0:
            raise NotProved(f"make demo ended with {run.returncode}: {(self.folder / 'demo.log').read_text()[-600:]}")
        told: dict[str, Any] = json.loads(report.read_text())
        rows = told["rows_per_table"]
        return (
            f"{rows['snapshots']} ticks, {rows['ohlcv_1m']} bars, {rows['movers_cache']} ranked moves and "
            f"{rows['alerts']} alerts stored; the subscriber's first alert: {alert}"
        )

    def test(self) -> str:
        """`make test`, or a part of it."""
        done = self._make("test", f"ARGS=-q {self.tests}")
        return f"{self.tests or 'every test'}: {done.strip().splitlines()[-1].strip('= ')}"

    def shard(self) -> str:
        """A venue's one collector gives way to two halves, and the doctor finds all of it covered once."""
        folder = self.folder / "shards"
        with ExitStack() as until_end:
            settings = self._servers(folder, until_end)
            whole = self._collector(folder, "whole", settings)
            until_end.callback(whole.kill)
            _collects(whole)
            whole.terminate()
            halves = [self._collector(folder, f"half {n}", settings, "--shard", f"{n}/2") for n in (1, 2)]
            for half in halves:
                until_end.callback(half.terminate)
                _collects(half)
            said = subprocess.run(
                [sys.executable, "-m", "movers", "doctor"],
                cwd=folder,
                env=child_environment(settings, {"COLUMNS": "200"}),
                capture_output=True,
                text=True,
                check=False,
            ).stdout
            line = next((" ".join(line.split()) for line in said.splitlines() if "collectors" in line), "")
            if "kalshi (1of2, 2of2)" not in line:
                raise NotProved(f"the doctor does not find the halves: {line or said}")
            figures = " and ".join(str(round(_published(half))) for half in halves)
            return f"two halves published {figures} ticks; the doctor: {line}"

    def upgrade(self) -> str:
        """The code of before fills a store, today's goes on with it."""
        old = self.folder / "the release before"
        _git("clone", "--quiet", "--no-hardlinks", str(REPO), str(old))
        subprocess.run(["git", "checkout", "--quiet", self.before], cwd=old, check=True)
        home = self.folder / "upgraded"
        with ExitStack() as until_end:
            venue = self._venues(until_end)
            with self._up(home, venue, old) as run:
                before = _rows(run, "the release before stores", lambda rows: rows.count > 1000)
            with self._up(home, venue, self.clone) as run:
                _rows(run, "today's release stores more", lambda rows: rows.newest_us > before.newest_us)
                after = _until(run, before.newest_us)
                applied = _ask(run, "SELECT count(DISTINCT number) FROM schema_migrations")
        if after.count < before.count or after.count != after.distinct:
            raise NotProved(f"{before.count} ticks before; of that time now {after.count}, {after.distinct} distinct")
        if applied < len(packaged_migrations()):
            raise NotProved(f"{applied} of {len(packaged_migrations())} migrations applied")
        return (
            f"a store of {self.before[:7]} with {before.count} ticks: of that time {after.count} now, each once; "
            f"{applied} migrations applied, new ticks came"
        )

    def restore(self) -> str:
        """The warehouse's folder is copied, grown past, and put back."""
        home = self.folder / "restored"
        store, backup = home / "up" / "warehouse", self.folder / "a backup"
        with ExitStack() as until_end:
            venue = self._venues(until_end)
            with self._up(home, venue, self.clone) as run:
                saved = _rows(run, "ticks to save", lambda rows: rows.count > 1000)
            shutil.copytree(store, backup, symlinks=True)  # a database is a link to its folder
            with self._up(home, venue, self.clone) as run:
                grown = _rows(
                    run,
                    "more ticks than the backup has",
                    lambda rows: rows.newest_us > saved.newest_us and rows.count > saved.count,
                )
            shutil.rmtree(store)
            shutil.copytree(backup, store, symlinks=True)
            with self._up(home, venue, self.clone) as run:
                _rows(run, "what came later", lambda _: _until(run, grown.newest_us).count >= grown.count)
                again = _until(run, grown.newest_us)
        if again.count != again.distinct:
            raise NotProved(f"{grown.count} ticks before; restored {again.count}, {again.distinct} distinct")
        return (
            f"backup of {saved.count} ticks or a few more, {grown.count} when the store was lost; "
            f"restored and read on: {again.count}, each once"
        )

    def compose(self) -> str:
        """`make compose DEMO=1`, its doctor, and down again."""
        try:
            command = compose_command()
        except UserError as error:
            return f"skipped: {error}"
        images = choose(REPO, self.clone, "newcomer")
        env_file = self.clone / ".env"
        dotenv.complete(env_file, {**images.variables, **addresses()})
        project = Project(self.clone, "prediction-movers", command, [env_file, self.clone / "ops/compose/demo.env"])
        if project.services():
            return "skipped: a prediction-movers runs on this engine already"
        try:
            said = self._make("compose", "DEMO=1")
            if "You now have" not in said:
                raise NotProved(f"make compose says: {said[-600:]}")
            running = sorted(state["Service"] for state in project.services() if state["State"] == "running")
        finally:
            project.run("down", "--volumes", "--remove-orphans", "--timeout", "45", quiet=True)
        real = ", ".join(line.split(",")[0] for line in images.told[1:])
        return f"healthy: {', '.join(running)} ({real}); taken down"

    # ── with what ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _environment(self) -> dict[str, str]:
        engine = {name: os.environ[name] for name in ("DOCKER_HOST", "BASE_IMAGE") if name in os.environ}
        return child_environment(engine)

    def _make(self, *arguments: str) -> str:
        done = subprocess.run(
            ["make", *arguments], cwd=self.clone, env=self._environment(), capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise NotProved(f"make {arguments[0]} ended with {done.returncode}: {(done.stdout + done.stderr)[-1000:]}")
        return done.stdout

    def _first_alert(self, env: dict[str, str]) -> str:
        """What the documented subscriber prints first."""
        given = {**env, "GROUP": "newcomer"}
        subscriber = subprocess.Popen(
            [str(self.clone / ".venv/bin/python"), "examples/subscribers/alerts.py"],
            cwd=self.clone,
            env=child_environment(given),
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert subscriber.stdout is not None
            return subscriber.stdout.readline().strip()
        finally:
            subscriber.kill()
            subscriber.wait(20)

    def _venues(self, until_end: ExitStack) -> SimulatorProcess:
        log = self.folder / f"venues {free_port()}.log"
        venue = SimulatorProcess.start(log, "--markets", "60", "--since", "20m", "--speed", "60")
        until_end.callback(venue.terminate)
        return venue

    def _up(self, home: Path, venue: SimulatorProcess, checkout: Path) -> Demo:
        port = str(free_port())
        run = Demo(home, self.cache, "--port", port, env=venue.venue_settings(), command="up", checkout=checkout)
        try:
            run.wait_started()
        except BaseException:
            run.stop()
            raise
        return run

    def _servers(self, folder: Path, until_end: ExitStack) -> dict[str, str]:
        """Kafka, registry and venues, with topics and schemas made; settings that lead there."""
        folder.mkdir()
        node = KafkaProcess(folder / "node")
        until_end.callback(node.stop)
        registry = ServiceProcess.start("movers.local.registry.service", folder / "registry")
        until_end.callback(registry.terminate)
        settings = {
            **self._venues(until_end).venue_settings(),
            "MOVERS_HOME": str(folder / "home"),
            "KAFKA_BOOTSTRAP_SERVERS": node.bootstrap,
            "SCHEMA_REGISTRY_URL": registry.url,
        }
        for command in (("topics", "create"), ("schemas", "register")):
            argv = [sys.executable, "-m", "movers", *command]
            subprocess.run(argv, cwd=folder, env=child_environment(settings), capture_output=True, check=True)
        return settings

    def _collector(self, folder: Path, name: str, settings: dict[str, str], *arguments: str) -> MoversProcess:
        own = {**settings, "SPILL_DIR": str(folder / f"spill of {name}")}
        return MoversProcess.start(
            "produce", "kalshi", *arguments, log=folder / f"{name}.log", settings=own, cwd=folder
        )


STEPS: dict[str, Callable[[Walk], str]] = {
    "clone": Walk.set_up,
    "demo": Walk.demo,
    "tests": Walk.test,
    "shard": Walk.shard,
    "upgrade": Walk.upgrade,
    "restore": Walk.restore,
    "compose": Walk.compose,
}


@dataclass(frozen=True, slots=True)
class Ticks:
    """What the store holds of ticks: how many, how many different ones, and the newest moment."""

    count: int
    distinct: int
    newest_us: int


def _collects(process: MoversProcess) -> None:
    wait_until(lambda: process.healthy and _published(process) > 0, "it collects", LONG_S, ended=process.ended)


def _until(run: Demo, moment_us: int) -> Ticks:
    """Ticks up to a moment."""
    question = (
        "SELECT count(), uniqExact(token_id, ts), toUnixTimestamp64Micro(max(ts)) FROM snapshots "
        f"WHERE toUnixTimestamp64Micro(ts) <= {moment_us}"
    )
    with closing(run.clickhouse()) as client:
        return Ticks(*(int(value) for value in client.query(question).result_rows[0]))


def _rows(run: Demo, what: str, enough: Callable[[Ticks], bool]) -> Ticks:
    """Waits until the store holds enough."""
    found: list[Ticks] = []

    def holds() -> bool:
        found[:] = [_until(run, 1 << 62)]
        return enough(found[0])

    run.until(holds, LONG_S, what)
    return found[0]


def _ask(run: Demo, question: str) -> int:
    with closing(run.clickhouse()) as client:
        return int(client.query(question).result_rows[0][0])


def _published(process: MoversProcess) -> float:
    """Ticks that a collector has published."""
    text = httpx.get(f"http://127.0.0.1:{process.metrics_port}/metrics", trust_env=False, timeout=10).text
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return sum(s.value for s in samples if s.name == "movers_messages_total" and s.labels["topic"] == "ticks")


def _ended(run: subprocess.Popen[bytes], log: Path) -> str | None:
    return None if run.poll() is None else f"ended with {run.returncode}: {log.read_text()[-800:]}"


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=REPO, capture_output=True, text=True, check=True).stdout


def _before_the_last_migration() -> str:
    """The commit before the newest migration was added: as long as nothing is released, the release before."""
    added = _git("log", "-1", "--diff-filter=A", "--format=%H", "--", MIGRATIONS).strip()
    return _git("rev-parse", f"{added}^").strip()

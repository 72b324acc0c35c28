"""`make compose-check`: the whole compose file on an engine, from a clean checkout to nothing left.

Clones what is committed to a folder with a space in its name, makes `.env`, builds, brings everything up with the
simulated venues, waits for health, looks for moving data in every table and on the dashboard, restarts each service in
turn and looks again, and takes it down. Says which images were real. Exit code 0 only when all of it held.
"""

from __future__ import annotations

import http.cookiejar
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from kernel.errors import UserError
from movers.local.ports import free_port
from ops.compose import dotenv
from ops.compose.engine import Project, compose_command, docker
from ops.compose.images import choose

REPO = Path(__file__).resolve().parents[2]
TAG = "check"
PORTS = ("KAFKA_PORT", "SCHEMA_REGISTRY_PORT", "CLICKHOUSE_HTTP_PORT", "DASHBOARD_PORT")
UP_TIMEOUT_S = 240
DATA_TIMEOUT_S = 300
RESTART_TIMEOUT_S = 120
EASY_RULES = {"ALERT_THRESHOLD_PP": "3", "MIN_VOLUME_24H": "0", "MAX_SPREAD_PP": "20"}
"""The simulated world is small; with these it has moves and alerts to tell from its first minutes."""

NOT_AT_ONCE = {"alert_acks", "alert_corroboration", "alert_grades", "ingest_pending", "market_pairs"}
"""Tables that a few minutes need not fill: people's clicks and verdicts, what became of an alert, a batch cut off."""

READER = "movers_reader"
FORBIDDEN = (
    "INSERT INTO alerts SELECT * FROM alerts LIMIT 0",
    "ALTER TABLE alerts DELETE WHERE 1",
    "TRUNCATE TABLE snapshots",
    "DROP TABLE alert_acks",
    "CREATE TABLE movers.mine (x UInt8) ENGINE = MergeTree ORDER BY x",
    "CREATE USER another",
)
NO_RIGHT = "ACCESS_DENIED"

THE_WORLD = {"simulator"}
"""Not restarted: its tape would begin anew, two hours back, and no venue's time does that."""


class Failed(Exception):
    """Something the check looked for did not hold."""


class Check:
    """One run over one project."""

    def __init__(self, project: Project, env: dict[str, str], password: str) -> None:
        self._project = project
        self._env = env
        self._password = password
        self._began_s = time.monotonic()

    def run(self) -> None:
        """Everything after the build. Raises Failed or UserError."""
        self._began_s = time.monotonic()
        self._project.run(
            "up", "--detach", "--no-build", "--wait", "--wait-timeout", str(UP_TIMEOUT_S), timeout_s=UP_TIMEOUT_S + 60
        )
        self._say("healthy: " + ", ".join(sorted(self._running())))
        self._analytics_are_compiled()
        self._await("rows in every table", self._no_table_is_empty, DATA_TIMEOUT_S)
        self._data_move()
        self._say("moving data in every table")
        self._dashboard_answers()
        self._the_reader_cannot_write()
        for service in sorted(self._running() - THE_WORLD):
            self._restart(service)
        self._await("rows in every table, after the restarts", self._no_table_is_empty, DATA_TIMEOUT_S)
        self._data_move()
        self._dashboard_answers()
        self._nothing_was_refused()
        self._say("every service but the simulated venues was restarted, and data move on")

    # ── what is looked at ────────────────────────────────────────────────────────────────────────────────────────────

    def _running(self) -> set[str]:
        return {state["Service"] for state in self._project.services() if state["State"] == "running"}

    def _analytics_are_compiled(self) -> None:
        """The image holds machine code made from the very sources it runs."""
        asked = "from processors.analytics import moves; print(moves.__file__)"
        place = self._project.run("exec", "-T", "process-analytics", "python3", "-c", asked, quiet=True).stdout.strip()
        if not place.endswith(".so"):
            raise Failed(f"the analytics run interpreted: {place}")
        self._say("the analytics run as machine code")

    def _no_table_is_empty(self) -> bool:
        return not self._empty_tables()

    def _empty_tables(self) -> list[str]:
        tables = self._sql(
            "SELECT name FROM system.tables WHERE database = 'movers' AND engine LIKE '%MergeTree' ORDER BY name"
        ).split()
        if not tables:
            return ["(no tables)"]
        return [t for t in tables if t not in NOT_AT_ONCE and self._sql(f"SELECT count() FROM {t}") == "0"]  # noqa: S608  names from the store itself

    def _data_move(self) -> None:
        """The newest moment and the number of ticks grow."""
        question = "SELECT max(ts), count() FROM snapshots"
        before = self._sql(question).split("\t")

        def both_grew() -> bool:
            newest, count = self._sql(question).split("\t")
            return newest > before[0] and int(count) > int(before[1])

        self._await("new ticks in the store", both_grew, 90)

    def _dashboard_answers(self) -> None:
        """Nothing without the password, the page with it."""
        base = f"http://127.0.0.1:{self._env['DASHBOARD_PORT']}"
        try:
            urllib.request.urlopen(base, timeout=10)
        except urllib.error.HTTPError as error:
            if error.code != 401:
                raise Failed(f"the dashboard answers {error.code} without a password") from error
        else:
            raise Failed("the dashboard asks for no password")
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
        form = urllib.parse.urlencode({"password": self._password}).encode()
        page = browser.open(f"{base}/login", form, timeout=20).read().decode()
        if "<title>Streamlit</title>" not in page:
            raise Failed(f"the dashboard's page is not there after the login: {page[:200]}")
        self._say("the dashboard asks for the password and answers")

    def _the_reader_cannot_write(self) -> None:
        """The dashboard's user of the store reads, notes who has seen an alert, and may nothing else."""
        self._sql("SELECT count() FROM alerts", READER)
        self._sql("INSERT INTO alert_acks (alert_id, acked_by) VALUES ('of nobody', 'compose-check')", READER)
        for statement in FORBIDDEN:
            try:
                self._sql(statement, READER)
            except Failed as refused:
                if NO_RIGHT not in str(refused):
                    raise
            else:
                raise Failed(f"the reader may `{statement}`")
        self._say(f"the dashboard's user of the store is refused {len(FORBIDDEN)} ways to write")

    def _restart(self, service: str) -> None:
        began_s = time.monotonic()
        self._project.run("restart", service, quiet=True, timeout_s=150)
        self._await(f"{service} is healthy after its restart", lambda: self._healthy(service), RESTART_TIMEOUT_S)
        self._say(f"restarted {service} in {time.monotonic() - began_s:.0f} s")

    def _healthy(self, service: str) -> bool:
        states = [state for state in self._project.services() if state["Service"] == service]
        return bool(states) and all(state["Health"] == "healthy" for state in states)

    def _nothing_was_refused(self) -> None:
        """No process of ours ended by itself, and none was killed for its memory."""
        for state in self._project.services():
            told = json.loads(docker("inspect", "--format", "{{json .}}", state["ID"]))
            if told["RestartCount"] or told["State"]["OOMKilled"]:
                raise Failed(f"{state['Service']} ended by itself: {told['RestartCount']} restarts")

    # ── with what ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _sql(self, statement: str, user: str = "movers") -> str:
        password = self._env["CLICKHOUSE_READ_PASSWORD" if user == READER else "CLICKHOUSE_PASSWORD"]
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._env['CLICKHOUSE_HTTP_PORT']}/?database=movers",
            statement.encode(),
            {"X-ClickHouse-User": user, "X-ClickHouse-Key": password},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                return str(answer.read().decode().strip())
        except urllib.error.HTTPError as error:
            if error.code == 503:  # the stand-in's door while what is behind it starts
                raise
            raise Failed(f"the store refuses `{statement}`: {error.read(500).decode(errors='replace')}") from error

    def _await(self, what: str, holds: Callable[[], bool], timeout_s: float) -> None:
        deadline_s = time.monotonic() + timeout_s
        while not _now(holds):
            if time.monotonic() > deadline_s:
                empty = f" (empty: {', '.join(self._empty_tables())})" if "table" in what else ""
                raise Failed(f"not within {timeout_s:.0f} s: {what}{empty}")
            time.sleep(1)

    def _say(self, text: str) -> None:
        _say(f"[{time.monotonic() - self._began_s:5.1f} s] {text}")


def _now(holds: Callable[[], bool]) -> bool:
    try:
        return holds()
    except OSError:  # a service that is being restarted
        return False


def main() -> int:
    """Exit code 0 when everything held."""
    try:
        command = compose_command()
        with _checkout() as folder:
            env_file = folder / ".env"
            images = choose(REPO, folder, TAG)
            for line in images.told:
                _say(f"image  {line}")
            made = dotenv.complete(env_file, {**images.variables, **addresses(), **EASY_RULES})
            project = Project(
                folder, f"movers-check-{os.getpid()}", command, [env_file, folder / "ops/compose/demo.env"]
            )
            project.run("build", "--quiet", timeout_s=1800)
            _with_cleanup(project, Check(project, dotenv.read(env_file), made.dashboard_password or ""))
    except (UserError, Failed) as error:
        print(f"compose-check: {error}", file=sys.stderr)  # noqa: T201
        return 1
    _say("compose-check: ok, nothing is left but the images " + ", ".join(images.built))
    return 0


def _with_cleanup(project: Project, check: Check) -> None:
    try:
        check.run()
    except BaseException:
        _show_what_went_wrong(project)
        raise
    finally:
        project.run("down", "--volumes", "--remove-orphans", "--timeout", "45", quiet=True)
    label = f"label=com.docker.compose.project={project.name}"
    left = [docker(*kind, "ls", "--quiet", "--filter", label) for kind in (("volume",), ("network",))]
    left.append(docker("ps", "--all", "--quiet", "--filter", label))
    if any(left):
        raise Failed(f"left behind: {' '.join(left)}")


def _show_what_went_wrong(project: Project) -> None:
    """The state of all, and the last lines of those that are not well."""
    for state in project.services():
        _say(f"  {state['Service']:<24} {state['State']:<10} {state.get('Health', '')} exit {state['ExitCode']}")
        if state.get("Health") == "unhealthy" or state["State"] not in ("running", "created"):
            print(project.run("logs", "--tail", "20", state["Service"], quiet=True).stdout, file=sys.stderr)  # noqa: T201


@contextmanager
def _checkout() -> Iterator[Path]:
    """What is committed, in a folder with a space in its name; gone afterwards."""
    parent = Path(mkdtemp(prefix="movers-check-"))
    folder = parent / "a clean checkout"
    try:
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(REPO), str(folder)], check=True)
        yield folder
    finally:
        shutil.rmtree(parent)


def addresses() -> dict[str, str]:
    """Free ports in place of the known ones, and what the engine here can give."""
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    given = {name: os.environ[name] for name in ("PIP_INDEX_URL", "PIP_CERT") if os.environ.get(name)}
    return {
        **{name: str(free_port()) for name in PORTS},
        "CLICKHOUSE_OPEN_FILES": str(min(hard, 262_144) if hard > 0 else 262_144),
        **given,
    }


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())

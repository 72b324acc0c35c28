"""The command line: help with an example everywhere, and one clear line for a user's mistake."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import typer

from movers.cli import app
from movers.local.folders import FolderLock
from tests.stack.processes import child_environment

COMMANDS = [
    ("demo",),
    ("up",),
    ("simulate",),
    ("produce",),
    ("process",),
    ("sink", "clickhouse"),
    ("dashboard",),
    ("migrate",),
    ("topics", "create"),
    ("topics", "former"),
    ("schemas", "register"),
    ("top",),
    ("alerts", "tail"),
    ("sql",),
    ("status",),
    ("config",),
    ("doctor",),
    ("record",),
    ("replay",),
    ("compile",),
    ("backtest",),
    ("track-record",),
    ("digest",),
    ("hash-password",),
    *(("pairs", what) for what in ("suggest", "confirm", "refuse", "show", "publish", "alerts", "moves")),
]


def movers(
    *arguments: str, cwd: Path, env: Mapping[str, str] | None = None, timeout_s: float = 60
) -> subprocess.CompletedProcess[str]:
    """Runs the command as a user would, in a folder of its own."""
    return subprocess.run(
        [sys.executable, "-m", "movers", *arguments],
        cwd=cwd,
        env=child_environment({"MOVERS_HOME": str(cwd / "home"), **(env or {})}),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def assert_one_clear_line(result: subprocess.CompletedProcess[str], *words: str) -> None:
    assert result.returncode not in (0, -9), result.stderr
    assert "Traceback" not in result.stderr
    line = result.stderr.strip().splitlines()[-1]
    for word in words:
        assert word in line, result.stderr


def test_every_command_is_listed_here() -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    names: set[tuple[str, ...]] = set()
    for name, command in group.commands.items():
        inner = getattr(command, "commands", None)
        names |= {(name, sub) for sub in inner} if inner else {(name,)}

    assert names == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_shows_an_example(command: tuple[str, ...], tmp_path: Path) -> None:
    result = movers(*command, "--help", cwd=tmp_path)

    assert result.returncode == 0
    assert "xample: " in result.stdout + result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("produce", "betfair"), ("betfair", "polymarket", "kalshi")),
        (("process", "nothing"), ("nothing", "analytics")),
        (("top", "--window", "7m"), ("7m", "5m")),
        (("status",), ("no stack is running", "movers demo")),
        (("demo", "--for", "-3"), ("--for", "positive")),
        (("demo", "--markets", "many"), ("--markets",)),
        (("nonsense",), ("nonsense",)),
    ],
    ids=lambda value: " ".join(value),
)
def test_a_mistake_is_one_clear_line(arguments: tuple[str, ...], words: tuple[str, ...], tmp_path: Path) -> None:
    result = movers(*arguments, cwd=tmp_path)

    assert result.returncode == 2
    assert_one_clear_line(result, *words[:1])
    assert all(word in result.stderr for word in words)


def test_a_setting_that_does_not_fit_is_named(tmp_path: Path) -> None:
    result = movers("config", cwd=tmp_path, env={"KAFKA_PARTITIONS": "none"})

    assert result.returncode == 2
    assert_one_clear_line(result, "KAFKA_PARTITIONS")


def test_a_store_that_is_away_is_named_with_what_to_do(tmp_path: Path, dead_port: int) -> None:
    result = movers("sql", "SELECT 1", cwd=tmp_path, env={"CLICKHOUSE_PORT": str(dead_port)})

    assert_one_clear_line(result, "ClickHouse", str(dead_port), "movers doctor")


def test_a_broker_that_is_away_is_named(tmp_path: Path, dead_port: int) -> None:
    result = movers("topics", "create", cwd=tmp_path, env={"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{dead_port}"})

    assert_one_clear_line(result, "Kafka", str(dead_port))


def test_a_taken_dashboard_port_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        result = movers("demo", "--port", str(port), cwd=tmp_path)

    assert result.returncode == 2
    assert_one_clear_line(result, str(port), "dashboard")


def test_an_unreadable_tape_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "broken.tape").write_text('{"format": "movers-tape/1", "start_us": 1}\n{"kind": "quo')

    result = movers("demo", "--tape", "broken.tape", cwd=tmp_path)

    assert result.returncode == 2
    assert_one_clear_line(result, "broken.tape", "line 2")


def test_rules_with_a_mistake_are_refused_before_anything_starts(tmp_path: Path) -> None:
    """Started, the processor alone would refuse them, again and again, behind a stack that never gets ready."""
    (tmp_path / "mine.json").write_text('[{"name": "a", "treshold": 5}]')

    result = movers("up", "--for", "1", cwd=tmp_path, env={"ALERT_RULES": "mine.json"})

    assert result.returncode == 2
    assert_one_clear_line(result, "mine.json", "unknown field treshold")
    assert not (tmp_path / "home").exists()


def test_a_missing_tape_is_refused_before_anything_starts(tmp_path: Path) -> None:
    result = movers("demo", "--tape", "nowhere.tape", cwd=tmp_path)

    assert result.returncode == 2
    assert_one_clear_line(result, "nowhere.tape")


def test_a_data_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")

    result = movers("demo", cwd=tmp_path, env={"MOVERS_HOME": str(tmp_path / "file" / "home")})

    assert result.returncode == 2
    assert_one_clear_line(result, "cannot be written")


def test_a_second_stack_under_the_same_home_is_refused_and_touches_nothing(tmp_path: Path) -> None:
    kept = tmp_path / "home" / "demo" / "precious"
    kept.parent.mkdir(parents=True)
    kept.touch()
    lock = FolderLock(tmp_path / "home", "stack")

    result = movers("demo", cwd=tmp_path)

    lock.release()
    assert result.returncode == 2
    assert_one_clear_line(result, "in use by another stack", str(os.getpid()))
    assert kept.exists()


def test_config_masks_secrets_and_prints_json(tmp_path: Path) -> None:
    result = movers("config", "--json", cwd=tmp_path, env={"CLICKHOUSE_PASSWORD": "hunter2"})

    assert result.returncode == 0
    assert '"CLICKHOUSE_PASSWORD", "value": "********"' in result.stdout
    assert "hunter2" not in result.stdout


@pytest.fixture
def dead_port() -> Iterator[int]:
    """A port nobody listens on: it is bound, but not listening, for as long as the test runs."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]

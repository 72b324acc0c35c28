"""Compose is found by its version, asked in one way, and fails in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kernel.errors import UserError
from ops.compose import engine
from ops.compose.engine import MIN_COMPOSE, Project, compose_command, docker

Programs = Callable[[dict[str, str]], None]


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """Puts shell scripts of these names on an otherwise empty PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def make(scripts: dict[str, str]) -> None:
        for name, script in scripts.items():
            (folder / name).write_text(f"#!/bin/sh\n{script}\n")
            (folder / name).chmod(0o755)

    return make


@pytest.mark.parametrize(
    ("text", "new_enough"),
    [
        ("2.20.0\n", True),
        ("v2.20.0", True),
        ("2.20", True),
        ("2.29.1-desktop.1", True),
        ("5.0.0", True),
        ("2.19.9", False),
        ("2.3.4", False),
        ("1.29.2", False),
        ("", False),
        ("unknown", False),
    ],
)
def test_versions_are_compared_as_numbers(text: str, new_enough: bool) -> None:
    assert (engine._version(text) >= MIN_COMPOSE) is new_enough


def test_the_plugin_is_preferred_and_the_program_serves_where_there_is_none(programs: Programs) -> None:
    programs({"docker": '[ "$1" = compose ] && exit 1; echo 27.0', "docker-compose": "echo 2.30.0"})
    assert compose_command() == ["docker-compose"]

    programs({"docker": "echo 2.30.0"})
    assert compose_command() == ["docker", "compose"]


def test_an_old_compose_is_refused_with_the_way_that_needs_none(programs: Programs) -> None:
    programs({"docker": "echo 2.3.0", "docker-compose": "echo 1.29.2"})

    with pytest.raises(UserError, match=r"Docker Compose 2\.20 or newer .*`make up` needs none"):
        compose_command()


def test_a_compose_without_an_engine_tells_the_engines_own_reason(programs: Programs) -> None:
    programs({"docker": '[ "$1" = compose ] && echo 2.30.0 && exit; echo first >&2; echo no daemon >&2; exit 1'})

    with pytest.raises(UserError, match=r"^no Docker engine answers: no daemon$"):
        compose_command()


def test_a_project_is_named_and_its_files_come_in_order(tmp_path: Path, programs: Programs) -> None:
    programs({"compose": 'for each in "$@"; do echo "$each"; done; echo "$WHAT"'})
    files = [tmp_path / ".env", tmp_path / "demo env"]

    done = Project(tmp_path, "mine", ["compose"], files, {"WHAT": "given"}).run("up", "--wait")

    assert done.stdout.splitlines() == [
        "--progress",
        "quiet",
        "--project-name",
        "mine",
        "--env-file",
        str(files[0]),
        "--env-file",
        str(files[1]),
        "up",
        "--wait",
        "given",
    ]


def test_a_failure_shows_the_last_lines_and_what_was_asked(tmp_path: Path, programs: Programs) -> None:
    programs({"compose": 'n=0; while [ $n -lt 40 ]; do n=$((n+1)); echo "line $n" >&2; done; exit 3'})

    with pytest.raises(UserError) as told:
        Project(tmp_path, "mine", ["compose"], []).run("restart", "sink", "--timeout", "9", quiet=True)

    lines = str(told.value).splitlines()
    assert lines[0] == "docker compose restart sink failed:"
    assert lines[1:] == [f"line {n}" for n in range(26, 41)]


def test_the_state_of_services_is_read_past_what_compose_remarks(tmp_path: Path, programs: Programs) -> None:
    programs({"compose": 'echo \'time="…" level=warning\'; echo \'{"Service": "sink"}\'; echo \'{"Service": "ui"}\''})

    services = Project(tmp_path, "mine", ["compose"], []).services()

    assert [state["Service"] for state in services] == ["sink", "ui"]


def test_docker_answers_without_the_line_end_and_fails_by_its_command(programs: Programs) -> None:
    programs({"docker": '[ "$1" = ps ] && echo abc && exit; echo gone >&2; exit 1'})

    assert docker("ps") == "abc"
    with pytest.raises(UserError, match=r"^docker inspect failed:\ngone$"):
        docker("inspect", "x")

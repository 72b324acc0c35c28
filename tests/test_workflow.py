"""What the workflow promises: pinned actions, no rights it does not need, every job gathered, Pythons as declared."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

GATHERING = "all"


@pytest.fixture(scope="module")
def workflow(repo_dir: Path) -> dict[str, Any]:
    text = (repo_dir / ".github" / "workflows" / "checks.yml").read_text("utf-8")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def test_actions_are_pinned_to_a_commit_and_say_their_version(repo_dir: Path) -> None:
    text = (repo_dir / ".github" / "workflows" / "checks.yml").read_text("utf-8")
    used = re.findall(r"uses: (.*)", text)

    assert used
    assert [line for line in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)] == []


def test_no_job_has_more_than_the_right_to_read(workflow: dict[str, Any]) -> None:
    assert workflow["permissions"] == {}
    assert {str(job["permissions"]) for job in workflow["jobs"].values()} <= {"{}", "{'contents': 'read'}"}


def test_strangers_code_is_never_run_with_our_rights(repo_dir: Path) -> None:
    assert "pull_request_target" not in (repo_dir / ".github" / "workflows" / "checks.yml").read_text("utf-8")


def test_the_gathering_job_needs_every_other_one_and_runs_always(workflow: dict[str, Any]) -> None:
    gathering = workflow["jobs"][GATHERING]

    assert set(gathering["needs"]) == set(workflow["jobs"]) - {GATHERING}
    assert gathering["if"] == "always()"


def test_every_job_ends(workflow: dict[str, Any]) -> None:
    assert [name for name, job in workflow["jobs"].items() if "timeout-minutes" not in job] == []


def test_the_oldest_and_the_newest_python_are_tested(workflow: dict[str, Any], repo_dir: Path) -> None:
    oldest, after_newest = re.findall(
        r"3\.\d+", (repo_dir / "pyproject.toml").read_text("utf-8").split("dependencies")[0]
    )

    tested = workflow["jobs"]["test"]["strategy"]["matrix"]["python"]

    assert tested == [oldest, f"3.{int(after_newest.split('.')[1]) - 1}"]


def test_the_words_of_make_that_it_runs_exist(workflow: dict[str, Any], repo_dir: Path) -> None:
    words = {
        match[1]
        for job in workflow["jobs"].values()
        for step in job["steps"]
        if (match := re.match(r"make (\S+)", step.get("run", "")))
    }
    makefile = (repo_dir / "Makefile").read_text("utf-8")

    assert words >= {"check", "test", "compose-check"}
    assert [word for word in words if not re.search(rf"^{word}:", makefile, re.MULTILINE)] == []


def test_the_contracts_are_asked_of_the_images_that_compose_runs(workflow: dict[str, Any], repo_dir: Path) -> None:
    services = yaml.safe_load((repo_dir / "docker-compose.yml").read_text("utf-8"))["services"]
    named = workflow["jobs"]["contract"]["env"]

    for service in ("redpanda", "clickhouse"):
        variable = f"{service.upper()}_IMAGE"
        assert services[service]["image"] == f"${{{variable}:-{named[variable]}}}"

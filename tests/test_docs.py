"""The documents speak of things that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from movers.cli import app
from schemas.topics import CATALOGUE

DOCUMENTS = [
    *("README.md", "CONTRIBUTING.md", "docs/architecture.md", "simulator/README.md"),
    *("docs/operations.md", "docs/security.md", "docs/consuming_alerts.md"),
]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_relative_links_lead_somewhere(name: str, repo_dir: Path) -> None:
    document = repo_dir / name
    targets = re.findall(r"\]\(([^)#:]+)\)", document.read_text("utf-8"))

    assert [target for target in targets if not (document.parent / target).exists()] == []


def test_the_readme_lists_every_topic(repo_dir: Path) -> None:
    text = (repo_dir / "README.md").read_text("utf-8")

    assert [topic.name for topic in CATALOGUE if f"`{topic.name}`" not in text] == []


def test_every_python_file_named_in_the_architecture_exists(repo_dir: Path) -> None:
    text = (repo_dir / "docs" / "architecture.md").read_text("utf-8")
    existing = {path.name for path in repo_dir.rglob("*.py") if ".venv" not in path.parts}

    named = {Path(name).name for name in re.findall(r"`([\w/.<>-]+\.py)`", text)}

    assert {name for name in named if "<" not in name} - existing == set()


def test_every_command_in_the_readme_is_one_of_ours(repo_dir: Path) -> None:
    command = typer.main.get_command(app)
    assert isinstance(command, typer.core.TyperGroup)
    text = (repo_dir / "README.md").read_text("utf-8")
    used = re.findall(r"\.venv/bin/movers ([^`\n#|]+)", text)

    assert len(used) >= 4
    assert [line for line in used if shlex.split(line)[0] not in command.commands] == []


def test_every_make_word_in_the_readme_is_a_target(repo_dir: Path) -> None:
    targets = set(re.findall(r"^(\w+):", (repo_dir / "Makefile").read_text("utf-8"), flags=re.MULTILINE))

    used = set(re.findall(r"^make (\w+)", (repo_dir / "README.md").read_text("utf-8"), flags=re.MULTILINE))

    assert used
    assert used <= targets

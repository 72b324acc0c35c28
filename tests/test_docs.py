"""The documents speak of things that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from movers.cli import app
from schemas.topics import CATALOGUE

REPO = Path(__file__).parents[1]
FOLDERS = ("docs", "examples", "ops", "producers", "simulator", "tests")
DOCUMENTS = sorted(
    [*REPO.glob("*.md"), *(path for folder in FOLDERS for path in (REPO / folder).rglob("*.md"))],
)


def anchors(document: Path) -> set[str]:
    """The names under which a page's headings are linked to, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text("utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPO)))
def test_links_of_a_page_lead_to_files_and_headings_that_are_there(document: Path) -> None:
    links = re.findall(r"\]\(([^)#:\s]*)(?:#([^)\s]*))?\)", document.read_text("utf-8"))

    for path, anchor in links:
        target = document.parent / path if path else document
        assert target.exists(), path
        assert not anchor or anchor in anchors(target), f"{path}#{anchor}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPO)))
def test_a_test_that_a_page_names_is_one_that_there_is(document: Path, tests_by_name: frozenset[str]) -> None:
    named = set(re.findall(r"`(test_\w+)`", document.read_text("utf-8")))

    assert named - tests_by_name == set()


@pytest.fixture(scope="module")
def tests_by_name() -> frozenset[str]:
    """Names of all test functions."""
    texts = (path.read_text("utf-8") for path in (REPO / "tests").rglob("*.py"))
    return frozenset(name for text in texts for name in re.findall(r"def (test_\w+)", text))


NAMED = re.compile(r"`((?!NNNN_)[\w/.-]+\.(?:py|sql|avsc|md))`")


@pytest.fixture(scope="module")
def file_names() -> frozenset[str]:
    """Of all files of ours; of tests also as docs/feeds.md calls them, without `test_`."""
    names = {path.name for path in REPO.rglob("*.*") if not {".venv", ".git", ".movers"} & set(path.parts)}
    return frozenset(names | {name.removeprefix("test_") for name in names})


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPO)))
def test_a_file_that_a_page_names_is_one_that_there_is(document: Path, file_names: frozenset[str]) -> None:
    named = {Path(name).name for name in NAMED.findall(document.read_text("utf-8"))}

    assert named - file_names == set()


def test_a_file_that_a_comment_or_docstring_names_is_one_that_there_is(file_names: frozenset[str]) -> None:
    folders = (
        "schemas",
        "kernel",
        "producers",
        "processors",
        "sinks",
        "dashboard",
        "movers",
        "simulator",
        "ops",
        "bench",
    )
    modules = [path for folder in folders for path in (REPO / folder).rglob("*.py")]
    named = {(path.name, name) for path in modules for name in NAMED.findall(path.read_text("utf-8"))}

    assert {(path, name) for path, name in named if Path(name).name not in file_names} == set()


def test_the_readme_lists_every_topic(repo_dir: Path) -> None:
    text = (repo_dir / "README.md").read_text("utf-8")

    assert [topic.name for topic in CATALOGUE if f"`{topic.name}`" not in text] == []


def test_every_module_of_the_way_stands_in_the_architecture(repo_dir: Path) -> None:
    text = (repo_dir / "docs" / "architecture.md").read_text("utf-8")
    named = {Path(name).name for name in re.findall(r"`([\w/.<>-]+\.py)`", text)}
    folders = ("schemas", "kernel", "producers", "processors", "sinks", "dashboard", "movers")
    modules = [path for folder in folders for path in (repo_dir / folder).rglob("*.py")]

    missing = [path for path in modules if path.name not in named and not path.name.startswith("__")]

    # A page is named as one: `views/<page>.py`.
    assert [path for path in missing if path.parent.name != "views"] == []


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

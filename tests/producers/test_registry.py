"""Venues are named in one place, and look alike."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from producers.registry import VENUES
from schemas import topics

PARTS = {"README.md", "wire.py", "mapper.py", "feed.py", "reader.py", "venue.py", "settings.py", "__init__.py"}


def test_each_registered_venue_has_its_folder_and_each_folder_is_registered(repo_dir: Path) -> None:
    folders = {path.parent.name for path in (repo_dir / "producers").glob("*/mapper.py")}

    assert folders == set(VENUES) == set(topics.VENUES)


@pytest.mark.parametrize("venue", VENUES)
def test_every_venue_has_the_same_files(repo_dir: Path, venue: str) -> None:
    assert {path.name for path in (repo_dir / "producers" / venue).iterdir() if path.is_file()} >= PARTS


def test_only_the_registry_and_a_venues_own_folder_name_it(repo_dir: Path) -> None:
    named = re.compile("|".join(VENUES), re.IGNORECASE)
    neutral = set((repo_dir / "producers").glob("*.py")) - {repo_dir / "producers" / "registry.py"}
    found = {
        f"{path.name}: {line.strip()}"
        for path in neutral
        for line in path.read_text("utf-8").splitlines()
        if named.search(line)
    }
    for venue in VENUES:
        others = re.compile("|".join(v for v in VENUES if v != venue), re.IGNORECASE)
        for path in (repo_dir / "producers" / venue).glob("*.py"):
            found |= {
                f"{venue}/{path.name}: {line}" for line in path.read_text("utf-8").splitlines() if others.search(line)
            }

    # A rule that both venues share may say where it comes from.
    assert {line for line in found if "own rule for the price it shows" not in line} == set()

"""The layout says what it says: fixed top level, no drawers for odds and ends, venues named only where they belong."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

FIXED = {
    "README.md",
    "pyproject.toml",
    "docker-compose.yml",
    "schemas",
    "producers",
    "processors",
    "sinks",
    "dashboard",
    "tests",
}
VENUE = re.compile(r"polymarket|kalshi", re.IGNORECASE)
MAY_NAME_VENUES = {
    "bench/feeds/command.py",  # reads frames of both
    "bench/feeds/ceiling.py",
    "bench/feeds/kalshi.py",
    "bench/feeds/polymarket.py",
    "bench/feeds/venues.py",
    "bench/house_ticks.py",  # makes ticks of both
    "bench/processing.py",
    "dashboard/formats.py",  # how their names are written
    "movers/cli.py",  # help text
    "kernel/settings.py",  # their addresses
    "movers/pairs/commands.py",  # help text
    "movers/addresses.py",  # the simulator's addresses in their place
    "producers/quotes.py",  # whose rule for the shown price it is
    "producers/registry.py",
    "schemas/topics.py",
}

READ_THE_ENVIRONMENT = {
    "kernel/settings.py": "the loader of all settings",
    "movers/supervisor.py": "what a child of ours is given",
    "schemas/compiled.py": "whether code is compiled is decided as its module is imported, before there are settings",
    "examples/subscribers/alerts.py": "a program of a user, which knows nothing of ours",
    "examples/subscribers/alerts_quix.py": "the same",
    # What drives Docker's own programs, before and outside the product: where pip and the engine are, which images.
    "ops/compose/check.py": "",
    "ops/compose/engine.py": "",
    "ops/compose/images.py": "",
    "ops/compose/up.py": "",
    # In the place of images that take their users from their environment.
    "ops/compose/standins/clickhouse.py": "",
    "ops/compose/standins/users.py": "",
    # Which servers tests are pointed at, which long tests are wanted; what a child of a test is given.
    "tests/cluster/test_cluster.py": "",
    "tests/contract/servers.py": "",
    "tests/movers/test_compiling.py": "",
    "tests/newcomer/walk.py": "",
    "tests/stack/environment.py": "",
}
"""Every file that reads its environment, and why it may."""


@pytest.fixture(scope="module")
def files(repo_dir: Path) -> list[str]:
    """Files of the repository as git sees them, the new ones among them."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=repo_dir,
        capture_output=True,
        text=True,
        check=True,
    )
    return [name for name in listing.stdout.splitlines() if (repo_dir / name).is_file()]


def test_the_fixed_names_stand_at_the_top(repo_dir: Path) -> None:
    assert {path.name for path in repo_dir.iterdir()} >= FIXED


def test_no_module_is_a_drawer_for_odds_and_ends(files: list[str]) -> None:
    drawers = {"utils", "util", "helpers", "helper", "common", "misc"}

    assert [name for name in files if set(Path(name).with_suffix("").parts) & drawers] == []


def test_venues_are_named_only_in_their_folders_the_registry_and_data(files: list[str], repo_dir: Path) -> None:
    own = ("producers/polymarket/", "producers/kalshi/", "simulator/", "tests/")
    code = [name for name in files if name.endswith(".py") and not name.startswith(own)]

    naming = {name for name in code if VENUE.search((repo_dir / name).read_text("utf-8"))}

    assert naming - MAY_NAME_VENUES == set()


def test_the_same_part_has_the_same_name_in_each_venue(repo_dir: Path) -> None:
    polymarket, kalshi = (
        {path.name for path in (repo_dir / "producers" / venue).iterdir() if path.is_file()}
        for venue in ("polymarket", "kalshi")
    )

    assert polymarket == kalshi


def test_no_file_names_a_registry_host_or_a_folder_of_the_machine_it_was_made_on(
    files: list[str], repo_dir: Path
) -> None:
    hosts = re.compile("|".join(["python" + "hosted", "pypi[.]" + "org", "repo1?[.]mav" + "en", "/wo" + "rk/"]))
    text = [name for name in files if not name.endswith((".png", ".svg"))]

    assert [name for name in text if hosts.search((repo_dir / name).read_text("utf-8"))] == []


def test_only_these_files_read_the_environment(files: list[str], repo_dir: Path) -> None:
    environment = re.compile(r"\bos\.(environ|getenv)\b")
    code = [name for name in files if name.endswith(".py")]

    assert {name for name in code if environment.search((repo_dir / name).read_text("utf-8"))} == set(
        READ_THE_ENVIRONMENT
    )

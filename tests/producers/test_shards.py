"""Parts of a venue: each market in one of them, none in two, and none collected twice on one machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.errors import UserError
from producers.shards import Shard, lock, uncovered
from schemas.words import CATEGORIES
from tests.stack.environment import child_environment


@given(st.lists(st.text(min_size=1), unique=True), st.integers(1, 12))
def test_the_parts_of_a_division_hold_every_market_once(ids: list[str], of: int) -> None:
    parts = [Shard("v", number=number, of=of) for number in range(1, of + 1)]

    for market_id in ids:
        assert sum(part.owns(market_id, "sports") for part in parts) == 1


def test_the_categories_hold_every_market_once_whose_category_is_known() -> None:
    parts = [Shard("v", category) for category in CATEGORIES]

    assert [sum(part.owns("V:a", category) for part in parts) for category in CATEGORIES] == [1] * len(CATEGORIES)
    assert not any(part.owns("V:a", "") for part in parts)


def test_several_categories_in_one_part_hold_the_markets_of_each_and_no_other() -> None:
    parts = [Shard.parse("v", "politics,elections,world"), Shard.parse("v", "sports")]
    rest = Shard.parse("v", ",".join(c for c in CATEGORIES if not any(part.owns("V:a", c) for part in parts)))

    assert [sum(part.owns("V:a", c) for part in (*parts, rest)) for c in CATEGORIES] == [1] * len(CATEGORIES)
    assert uncovered([part.label for part in (*parts, rest)]) == []
    assert uncovered([part.label for part in (*parts, rest, Shard.parse("v", "world,other"))]) == [
        "world is in two parts",
        "other is in two parts",
    ]


def test_a_market_stays_in_its_part_over_versions_and_machines() -> None:
    ids = ("POLY:0xabc", "KALSHI:KXNFL-1", "POLY:0xdef", "KALSHI:KXBTC")

    found = [[number for number in range(1, 5) if Shard("v", number=number, of=4).owns(i, "")] for i in ids]

    assert found == [[1], [2], [4], [4]]


def test_parts_are_about_equal() -> None:
    part = Shard("v", number=2, of=4)

    assert 2_300 < sum(part.owns(f"POLY:0x{n:064x}", "") for n in range(10_000)) < 2_700


@pytest.mark.parametrize(
    ("category", "part", "label", "name"),
    [
        ("", "", "all", "polymarket"),
        ("", "2/4", "2of4", "polymarket-2of4"),
        ("sports", "", "sports", "polymarket-sports"),
        ("sports", "2/4", "sports-2of4", "polymarket-sports-2of4"),
        ("world, politics", "", "politics+world", "polymarket-politics+world"),
        ("", "1/1", "all", "polymarket"),
    ],
)
def test_a_part_has_a_name_of_its_own(category: str, part: str, label: str, name: str) -> None:
    shard = Shard.parse("polymarket", category, part)

    assert (shard.label, shard.name) == (label, name)


@pytest.mark.parametrize(
    ("category", "part", "said"),
    [
        ("sport", "", "unknown category sport; known: politics"),
        ("sports,sport", "", "unknown category sport; known: politics"),
        ("", "5/4", "no such shard: 5/4; written as 2/4"),
        ("", "0/4", "no such shard: 0/4"),
        ("", "2of4", "no such shard: 2of4"),
    ],
)
def test_a_part_that_there_is_not_is_one_clear_line(category: str, part: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        Shard.parse("polymarket", category, part)


@pytest.mark.parametrize(
    ("labels", "problems"),
    [
        (["all"], []),
        (["1of2", "2of2"], []),
        (list(CATEGORIES), []),
        ([*CATEGORIES[1:], f"{CATEGORIES[0]}-1of2", f"{CATEGORIES[0]}-2of2"], []),
        (["1of3", "3of3"], ["all: no part 2/3"]),
        (["all", "all"], ["all runs twice"]),
        (["all", "sports"], ["sports overlap with the whole"]),
        (["1of2", "2of2", "1of3"], ["all: divided into 2 and 3 at once"]),
        (list(CATEGORIES[:-1]), ["no part has the category other"]),
    ],
)
def test_parts_that_overlap_or_are_missing_are_named(labels: list[str], problems: list[str]) -> None:
    assert uncovered(labels) == problems


def test_a_part_is_collected_by_one_process_of_a_machine(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from producers.shards import Shard, lock\n"
        f"held = lock(Path({str(tmp_path)!r}), Shard('kalshi')); print('held', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=child_environment()
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(UserError, match="kalshi is collected by another process already"):
            lock(tmp_path, Shard("kalshi"))
        other.kill()

    with lock(tmp_path, Shard("kalshi")):
        pass

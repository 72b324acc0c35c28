"""A run is found by its file for as long as it lasts, and not after its death."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from movers.running import announced, running
from tests.stack.waiting import until


async def seen_during_a_run(home: Path) -> dict[str, Any]:
    """What is found of a run that tells that it is a demo."""
    with announced(home, lambda: {"profile": "demo"}):
        await asyncio.sleep(0)
        found = running(home)
    assert found is not None
    return found


def test_a_run_is_found_with_what_it_tells_until_it_ends(tmp_path: Path) -> None:
    found = asyncio.run(seen_during_a_run(tmp_path))

    assert found["profile"] == "demo"
    assert running(tmp_path) is None


def test_a_disk_that_is_full_for_a_moment_makes_nobody_tell_old_news_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("movers.running._EVERY_S", 0.01)
    told: list[str] = []

    def tell() -> dict[str, Any]:
        told.append("news")
        return {"told": len(told)}

    async def told_again() -> None:
        with announced(tmp_path, tell):
            in_the_way = tmp_path / "running.tmp"
            in_the_way.mkdir()
            await until(lambda: len(told) > 3, "it was tried again", 5)
            in_the_way.rmdir()
            await until(lambda: running(tmp_path) is not None, "one is written again")

    asyncio.run(told_again())


def test_a_file_that_was_left_by_a_process_that_is_gone_is_no_run(tmp_path: Path) -> None:
    found, left = asyncio.run(seen_during_a_run(tmp_path)), tmp_path / "running.json"
    left.write_text(json.dumps(found), "utf-8")
    assert running(tmp_path) == found, "it was left by this process, which lives"

    left.write_text(json.dumps(found | {"created": found["created"] - 1}), "utf-8")

    assert running(tmp_path) is None, "its number is another process's by now"


def test_a_file_that_cannot_be_read_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "running.json").write_text("{", "utf-8")

    assert running(tmp_path) is None

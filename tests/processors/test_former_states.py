"""Topics that are made anew leave no state behind for ever, and no state in use is touched."""

from __future__ import annotations

import os
import time
from pathlib import Path

from processors.former_states import UNUSED_S, remove_former

GROUP = "movers-analytics"
IN_USE = f"{GROUP}-00000001"


def state(folder: Path, name: str, age_s: float) -> None:
    """A state that was written so long ago."""
    inside = folder / name / "default" / "0"
    inside.mkdir(parents=True)
    (inside / "CURRENT").touch()
    at_s = time.time() - age_s
    for path in (inside / "CURRENT", inside, inside.parent, folder / name):
        os.utime(path, (at_s, at_s))


def left(folder: Path) -> set[str]:
    remove_former(folder, GROUP, IN_USE)
    return {path.name for path in folder.iterdir()}


def test_what_another_log_left_a_week_ago_is_removed_and_what_is_in_use_is_not(tmp_path: Path) -> None:
    state(tmp_path, IN_USE, 2 * UNUSED_S)
    state(tmp_path, f"{GROUP}-00000002", 2 * UNUSED_S)
    state(tmp_path, f"{GROUP}-00000003", UNUSED_S / 2)

    assert left(tmp_path) == {IN_USE, f"{GROUP}-00000003"}


def test_a_folder_counts_by_what_was_written_last_inside(tmp_path: Path) -> None:
    state(tmp_path, f"{GROUP}-00000002", 2 * UNUSED_S)
    os.utime(tmp_path / f"{GROUP}-00000002" / "default" / "0" / "CURRENT")

    assert left(tmp_path) == {f"{GROUP}-00000002"}


def test_nothing_of_another_stage_is_touched(tmp_path: Path) -> None:
    others = ("movers-analytics-more-00000002", "movers-analyticsx-00000002", "movers-other")
    for name in others:
        state(tmp_path, name, 2 * UNUSED_S)
    (tmp_path / "titles.sqlite").touch()

    assert left(tmp_path) == {*others, "titles.sqlite"}

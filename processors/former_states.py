"""State on disk of logs that nobody follows any more.

A topic that was made anew is another log, with a state of its own (`quix.group_of`); what the former one left would
stay for ever.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from pathlib import Path

from kernel.logs import get_logger

log = get_logger(__name__)

UNUSED_S = 7 * 86_400
"""A folder in which nothing was written for so long is a former one's. Should its log come back, its state is
made again from its changelog."""


def remove_former(state_dir: Path, stage_group: str, group: str) -> None:
    """Removes the states that a stage has on this disk for other logs than the one it follows.

    Args:
        stage_group: what the names of all its groups begin with.
        group: the one in use.
    """
    of_stage = re.compile(re.escape(stage_group) + r"(-[0-9a-f]{8})?")
    for folder in state_dir.glob(f"{stage_group}*"):
        if folder.name == group or not of_stage.fullmatch(folder.name) or not folder.is_dir():
            continue
        if time.time() - _written_s(folder) > UNUSED_S:
            shutil.rmtree(folder, ignore_errors=True)
            log.info("former_state_removed", folder=str(folder))


def _written_s(folder: Path) -> float:
    """When something in it was written last."""
    newest_s = folder.stat().st_mtime
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # whoever uses it removes files too
            newest_s = max(newest_s, path.lstat().st_mtime)
    return newest_s

"""Room on the disk: told when it gets scarce, and the moment to stop before anything is lost for want of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from kernel.logs import get_logger

log = get_logger(__name__)

Room = Literal["enough", "low", "full"]
"""low: somebody should act. full: whoever writes must stop now, while what was acknowledged can still be finished."""

_MIB = 1 << 20
_BACK_AT = 1.1


class DiskWatch:
    """How much room is left under a folder; each change is told once.

    Args:
        folder: an existing folder on the disk in question.
        low_mib: under so many MiB free the room is low.
        full_mib: under so many it counts as full.
        free_bytes: asks the system.
    """

    def __init__(
        self, folder: Path, low_mib: int, full_mib: int, free_bytes: Callable[[Path], int] | None = None
    ) -> None:
        self._folder = folder
        self._low_mib = low_mib
        self._full_mib = full_mib
        self._free_bytes = free_bytes or (lambda path: shutil.disk_usage(path).free)
        self.room: Room = "enough"
        self.free_mib = 0

    def look(self) -> Room:
        """Asks anew. Room is back only once it is a tenth over the limit, so that the news does not flap."""
        self.free_mib = self._free_bytes(self._folder) // _MIB
        before, self.room = self.room, self._judged()
        if self.room == "enough" != before:
            log.warning("disk_room_back", folder=str(self._folder), free_mib=self.free_mib)
        elif self.room != before:
            where = str(self._folder)
            log.error(
                "disk_scarce", room=self.room, folder=where, free_mib=self.free_mib, stops_under_mib=self._full_mib
            )
        return self.room

    def _judged(self) -> Room:
        if self.free_mib < self._full_mib * (_BACK_AT if self.room == "full" else 1):
            return "full"
        if self.free_mib < self._low_mib * (1 if self.room == "enough" else _BACK_AT):
            return "low"
        return "enough"

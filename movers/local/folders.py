"""Data folders: made, checked for rights and room, and held by one process at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path
from typing import IO

from kernel.errors import UserError

MIN_FREE_MIB = 64


def prepare_folder(folder: Path, what: str, min_free_mib: int = MIN_FREE_MIB) -> None:
    """Creates `folder` and proves that it can be written and has `min_free_mib` MiB left; else UserError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.write_bytes(b"0" * 4096)
        probe.unlink()
        free_mib = shutil.disk_usage(folder).free // (1024 * 1024)
    except OSError as error:
        raise UserError(f"data folder {folder} ({what}) cannot be written: {error.strerror or error}") from None
    if free_mib < min_free_mib:
        raise UserError(f"data folder {folder} ({what}) is on a full disk: {free_mib} MiB free, {min_free_mib} needed")


class FolderLock:
    """Keeps a second process out of a data folder for as long as this one lives (kill -9 frees it too)."""

    def __init__(self, folder: Path, what: str) -> None:
        path = folder / f"{what}.lock"
        self._file: IO[str] = path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.seek(0)
            holder = self._file.read().strip() or "unknown"
            self._file.close()
            raise UserError(f"data folder {folder} is in use by another {what} (pid {holder})") from None
        self._file.seek(0)
        self._file.truncate()
        self._file.write(str(os.getpid()))
        self._file.flush()

    def release(self) -> None:
        """Lets the next process in."""
        self._file.close()

"""What a child says, in files of bounded size: a stack runs for months, and on a bad day a child says much."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

MAX_BYTES = 20_000_000
"""A file that would grow beyond it makes way for a new one."""

KEPT = 3
"""Files of one child: `<name>.log`, before it `<name>.log.1`, and so on. As many and as large in docker-compose.yml."""


class ChildLog:
    """Appends lines. Raises OSError where the disk takes none; the next line is tried all the same.

    Args:
        path: of the newest file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO = path.open("ab")

    def write(self, line: str) -> None:
        """Adds a line, which is in the file once this has returned."""
        data = f"{line}\n".encode()
        if self._file.closed:  # its successor could not be opened
            self._file = self._path.open("ab")
        elif self._file.tell() + len(data) > MAX_BYTES and self._file.tell():
            self._begin_anew()
        self._file.write(data)
        self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _begin_anew(self) -> None:
        self._file.close()
        names = [self._path, *(self._path.with_name(f"{self._path.name}.{number}") for number in range(1, KEPT))]
        for older, newer in zip(names[:0:-1], names[-2::-1], strict=True):
            if newer.exists():
                newer.replace(older)
        self._file = self._path.open("ab")

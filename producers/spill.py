"""What Kafka would not take, kept in a file in order until it does. One file a collector, one JSON object a line."""

from __future__ import annotations

import base64
import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import orjson

from kernel.errors import UserError
from kernel.logs import get_logger
from kernel.metrics import SPILL

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Spilled:
    """One message as it was to be published. `value` is None where a compacted topic is to forget the key."""

    topic: str
    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


class Spill:
    """Appends messages and gives them back in order.

    A record survives the death of the process once `append` has returned. `mark` says how far the records have been
    delivered; after a crash the rest is given out again, so a message may come twice, never not at all.

    Args:
        folder: where the files are.
        max_bytes: so large it may grow. A whole venue's answers fill 50 GB in an hour.

    Raises:
        UserError: the folder cannot be written.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._path = folder / "undelivered.jsonl"
        self._mark_path = folder / "delivered_to"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("ab")
        except OSError as error:
            raise UserError(f"SPILL_DIR {folder}: {error.strerror}") from error
        self._seal()
        self._done = self._read_mark()
        SPILL.labels(folder.name).set_function(lambda: 0 if self._file.closed else self.waiting_bytes)

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return self._file.tell() > self._done

    @property
    def waiting_bytes(self) -> int:
        """Size of what waits."""
        return self._file.tell() - self._done

    def append(self, message: Spilled) -> bool:
        """Adds a message at the end. False when there is no room: answers as received may take half of it only, so
        that what was made of them still finds its place.

        Raises:
            UserError: the disk takes no more.
        """
        if self._file.tell() >= (self._max_bytes // 2 if message.topic.startswith("raw.") else self._max_bytes):
            return False
        record = {
            "topic": message.topic,
            "key": base64.b64encode(message.key).decode(),
            "value": None if message.value is None else base64.b64encode(message.value).decode(),
            "headers": [[name, base64.b64encode(value).decode()] for name, value in message.headers],
        }
        try:
            self._file.write(orjson.dumps(record) + b"\n")
            self._file.flush()
        except OSError as error:
            raise UserError(f"{self._path}: {error.strerror}; Kafka takes nothing either") from error
        return True

    def waiting(self) -> Iterator[tuple[Spilled, int]]:
        """The messages not yet delivered, oldest first, each with the mark behind it."""
        with self._path.open("rb") as file:
            file.seek(self._done)
            for line in file:
                message = _parse(line)
                if message is None:
                    log.error("spill_record_unreadable", path=str(self._path), offset=file.tell() - len(line))
                else:
                    yield message, file.tell()

    def mark(self, position: int) -> None:
        """Everything before this mark has been delivered. At the end the file starts anew."""
        self._done = position
        if position < self._file.tell():
            self._write_mark(position)
            return
        # First the mark, then the file: a crash in between gives the records out again, never skips new ones.
        self._mark_path.unlink(missing_ok=True)
        self._file.truncate(0)
        self._file.seek(0)
        self._done = 0

    def finish(self) -> None:
        """Everything has been delivered or is beyond reading: the file starts anew."""
        if self:
            self.mark(self._file.tell())

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __enter__(self) -> Self:
        """Itself, closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _seal(self) -> None:
        """A record cut short by a crash gets its line end, so that it does not swallow the next one."""
        self._file.seek(0, os.SEEK_END)
        if self._file.tell() == 0:
            return
        with self._path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                self._file.write(b"\n")
                self._file.flush()

    def _read_mark(self) -> int:
        with contextlib.suppress(OSError, ValueError):
            position = int(self._mark_path.read_text("ascii"))
            return position if 0 <= position <= self._file.tell() else 0
        return 0

    def _write_mark(self, position: int) -> None:
        """A disk that is full, perhaps with what waits here, costs the mark only: a crash gives more out again then."""
        fresh = self._mark_path.with_suffix(".new")
        with contextlib.suppress(OSError):
            fresh.write_text(str(position), "ascii")
            fresh.replace(self._mark_path)


def _parse(line: bytes) -> Spilled | None:
    """The message of a line; None when the line is broken."""
    try:
        record = orjson.loads(line)
        return Spilled(
            record["topic"],
            base64.b64decode(record["key"]),
            None if record["value"] is None else base64.b64decode(record["value"]),
            tuple((name, base64.b64decode(value)) for name, value in record["headers"]),
        )
    except (ValueError, KeyError, TypeError):
        return None

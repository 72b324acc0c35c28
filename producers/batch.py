"""Frames as received, about a hundred to a message: so raw streams cost a tenth, and a range can be played again.

A batch is lines of `<receipt in microseconds> <length in bytes> <step>`, each followed by the frame itself and a
newline. The step says in which order its collector took it in (`journal.py`); older batches have none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

CONTENT_TYPE: Final = "application/x-movers-frames"
MOST_FRAMES: Final = 100
MOST_BYTES: Final = 1_000_000
"""A batch is full with so many frames, or so many bytes."""


class Frame(NamedTuple):
    """A frame of a batch. Receipt by our clock; `step` is None in batches of before there were steps."""

    received_us: int
    body: bytes
    step: int | None = None


class Batch:
    """Frames of one connection that wait for their message."""

    __slots__ = ("_frames", "_size", "first_us", "last_us")

    def __init__(self) -> None:
        self._frames: list[bytes] = []
        self._size = 0
        self.first_us = 0
        """Receipt of the oldest frame, our clock."""
        self.last_us = 0
        """Receipt of the newest frame, our clock."""

    def __len__(self) -> int:
        """Frames in it."""
        return len(self._frames) // 2

    @property
    def full(self) -> bool:
        """Whether it should go."""
        return len(self._frames) >= 2 * MOST_FRAMES or self._size >= MOST_BYTES

    def add(self, received_us: int, frame: bytes, step: int) -> None:
        """One more frame."""
        if not self._frames:
            self.first_us = received_us
        self._frames += (b"%d %d %d" % (received_us, len(frame), step), frame)
        self._size += len(frame)
        self.last_us = received_us

    def take(self) -> bytes:
        """All frames as one body; the batch is empty after it."""
        body = b"\n".join((*self._frames, b""))
        self._frames, self._size = [], 0
        return body


def frames(body: bytes) -> Iterator[Frame]:
    """The frames of a body, in order.

    Raises:
        ValueError: not a batch.
    """
    place = 0
    while place < len(body):
        end = body.index(b"\n", place)
        received_us, length, *step = (int(part) for part in body[place:end].split(b" "))
        frame = body[end + 1 : end + 1 + length]
        place = end + length + 2
        if len(frame) != length or body[place - 1 : place] != b"\n":
            raise ValueError(f"the frame at byte {end + 1} is cut off")
        yield Frame(received_us, frame, step[0] if step else None)

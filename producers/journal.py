"""What a collector does beside what it is told, noted so that it can be played again, step by step.

Answers and frames are kept as they came. In which order they were taken in, what was subscribed, when a stream's lease
began and when it was blind is in none of them, and decides what becomes a tick. So everything that changes what a
collector knows has a number, one more than the thing before it: a frame beside itself in its batch (`batch.py`), all
else in a note. Notes go to `raw.<venue>` as messages of kind `notes`, one JSON object to a line:

    {"step": 17, "note": "take", "of": ["<connection>", 4]}

What each note says is written where it is read: `replaying.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final
from uuid import uuid4

import orjson

from producers.base import Errand, Received

CONTENT_TYPE: Final = "application/x-movers-notes"

_MOST_BYTES: Final = 1_000_000
_MOST_NAMES: Final = 200_000


class Journal:
    """Numbers and notes what one collector does in one life. Without `out` nothing is kept, as in a replay.

    Args:
        out: takes the notes, as a message of the raw topic.
        now_us: our clock, for the stamp of that message.
    """

    def __init__(self, out: Callable[[Received], None] | None = None, now_us: Callable[[], int] = lambda: 0) -> None:
        self.life = uuid4().hex
        self._out, self._now_us = out, now_us
        self._steps = self._connections = self._sent = self._size = 0
        self._lines: list[bytes] = []
        self._numbers: dict[str, int] = {}
        self._named = 0

    def step(self) -> int:
        """The number of what is done now."""
        number = self._steps
        self._steps += 1
        return number

    def connection(self) -> str:
        """A name for a new connection, from which its life can be told."""
        self._connections += 1
        return f"{self.life}.{self._connections}"

    def note(self, what: str, **more: Any) -> None:
        """Something has been done."""
        if self._out is None:
            return
        line = orjson.dumps({"step": self.step(), "note": what, **more})
        self._lines.append(line)
        self._size += len(line)
        if self._size >= _MOST_BYTES:
            self.flush()

    def note_of(self, what: str, tokens: Iterable[str], **more: Any) -> None:
        """The same, of tokens. Each is named once and then by a number: thousands are told of every few seconds."""
        if self._out is None:
            return
        if len(self._numbers) > _MOST_NAMES:
            self._numbers.clear()
        first, new, runs = self._named, [], list[list[int]]()
        for token in tokens:
            number = self._numbers.get(token)
            if number is None:
                number = self._numbers[token] = self._named
                self._named += 1
                new.append(token)
            if runs and runs[-1][0] + runs[-1][1] == number:
                runs[-1][1] += 1
            else:
                runs.append([number, 1])
        self.note(what, **more, first=first, new=new, runs=runs)

    def flush(self) -> None:
        """Sends what was noted."""
        if self._out is None or not self._lines:
            return
        body, self._lines, self._size = b"\n".join(self._lines), [], 0
        self._sent += 1
        self._out(
            Received(
                kind="notes",
                errand=Errand("stream"),
                channel="notes",
                connection_id=self.life,
                sequence=self._sent - 1,
                body=body,
                ts_received_us=self._now_us(),
                content_type=CONTENT_TYPE,
            )
        )

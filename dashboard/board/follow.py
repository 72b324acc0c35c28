"""Keeps the newest moves in memory up with the store, while somebody looks.

A look reads what was stored since the last one (`reading.py`), every second, in a thread of its own: no page waits for
it. When nobody has asked for half a minute the thread ends, and nothing is read until somebody asks again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import TypeVar

from dashboard.board.moves import Moves
from dashboard.board.reading import Reading, contents
from dashboard.store import Store, StoreUnavailableError
from kernel.logs import get_logger

R = TypeVar("R")
log = get_logger(__name__)

_PAUSE_S = 1.0
_UNWATCHED_S = 30.0
_CURRENT_S = 10.0
"""What was looked at longer ago is not shown: the store is asked itself, and says what is wrong."""
_KEPT_S = 3600.0
"""What the store drops by its retention leaves the memory when it is filled anew."""
_MOST_ROWS = 2_500_000
"""Of more rows nothing is held: the store answers each reader then. These are some 400 MB."""


class Followed:
    """The newest moves of one store, in memory. Threads share it.

    Args:
        store: where they are read.
        most_rows: a store that holds more is not read.
        clock: seconds that only grow.
    """

    def __init__(self, store: Store, most_rows: int = _MOST_ROWS, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._most_rows, self._clock = store, most_rows, clock
        self._lock = threading.Lock()
        self._reading: Reading | None = None
        self._filled_s = self._looked_s = self._asked_s = -_KEPT_S
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    def answer(self, of: Callable[[Moves], R]) -> R | None:
        """What `of` makes of the moves. None when they are not in memory, or not as they are now: ask the store."""
        with self._lock:
            self._asked_s = self._clock()
            if self._thread is None and not self._closed.is_set():
                self._thread = threading.Thread(target=self._keep_looking, name="board", daemon=True)
                self._thread.start()
            if self._reading is None or self._asked_s - self._looked_s > _CURRENT_S:
                return None
            return of(self._reading.moves)

    def close(self) -> None:
        """Ends the looking."""
        self._closed.set()

    def look(self) -> None:
        """Reads what was stored since the last look; everything at first and after any doubt. One thread at a time.

        Raises:
            StoreUnavailableError: the store is away, or has no tables yet.
        """
        began_s = self._clock()
        now = contents(self._store)
        reading = self._reading
        if reading is None or reading.is_doubtful(now) or began_s - self._filled_s > _KEPT_S:
            with self._lock:
                self._reading = None  # the old one goes first: two need twice the memory
            if now.rows > self._most_rows:
                return
            filled = Reading(now)
            filled.read_on(self._store, now, nullcontext())  # nobody else sees it yet
            with self._lock:
                self._reading = filled
            self._filled_s = began_s
            log.info("board_filled", rows=now.rows, s=round(self._clock() - began_s, 2))
        else:
            reading.read_on(self._store, now, self._lock)
        self._looked_s = began_s

    def _keep_looking(self) -> None:
        while True:
            began_s = self._clock()
            try:
                self.look()
            except StoreUnavailableError:
                pass  # said where it was noticed; readers ask the store meanwhile
            except Exception:
                log.exception("board_look_failed")
            took_s = self._clock() - began_s
            if self._closed.wait(max(_PAUSE_S - took_s, took_s)) or self._ends():
                return

    def _ends(self) -> bool:
        """Whether nobody has asked for long; the next one to ask starts another thread."""
        with self._lock:
            if self._clock() - self._asked_s <= _UNWATCHED_S:
                return False
            self._thread = None
            return True

"""Keeps the newest moves in memory up with the store, while somebody looks.

A look reads what was stored since the last one (`reading.py`), every second (`lookout.py`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import TypeVar

from dashboard.board.lookout import Lookout
from dashboard.board.moves import Moves
from dashboard.board.reading import Reading, contents
from dashboard.store import Store
from kernel.logs import get_logger

R = TypeVar("R")
log = get_logger(__name__)

_PAUSE_S = 1.0
_CURRENT_S = 10.0
"""What was looked at longer ago is not shown: the store is asked itself, and says what is wrong."""
_KEPT_S = 3600.0
"""What the store drops by its retention leaves the memory when it is filled anew."""
MOST_ROWS = 2_500_000
"""Of more rows nothing is held: the store answers each reader then. They take some 700 MB: `bench board`
found 223 MB for 800,000."""


class Followed:
    """The newest moves of one store, in memory. Threads share it.

    Args:
        store: where they are read.
        most_rows: a store that holds more is not read.
        clock: seconds that only grow.
    """

    def __init__(self, store: Store, most_rows: int = MOST_ROWS, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._most_rows, self._clock = store, most_rows, clock
        self._lock = threading.Lock()
        self._reading: Reading | None = None
        self._filled_s = self._looked_s = -_KEPT_S
        self._lookout = Lookout("board", self.look, _PAUSE_S, clock)

    def answer(self, of: Callable[[Moves], R]) -> R | None:
        """What `of` makes of the moves. None when they are not in memory, or not as they are now: ask the store."""
        try:
            with self._lock:
                if self._reading is None or self._clock() - self._looked_s > _CURRENT_S:
                    return None
                return of(self._reading.moves)
        finally:
            self._lookout.asked()

    def close(self) -> None:
        """Ends the looking."""
        self._lookout.close()

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

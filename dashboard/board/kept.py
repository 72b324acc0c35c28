"""One answer of the store, asked for again and again while somebody looks, so that readers find it ready."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

from dashboard.board.lookout import Lookout

R = TypeVar("R")


class Kept(Generic[R]):
    """The newest answer to one question. Threads share it.

    Args:
        name: of the thread that asks.
        ask: asks the store; it may raise.
        pause_s: from one asking to the next.
        current_s: an answer to what was asked longer ago is not given.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        name: str,
        ask: Callable[[], R],
        pause_s: float = 2.0,
        current_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask, self._current_s, self._clock = ask, current_s, clock
        self._newest: tuple[float, R] | None = None
        self._lookout = Lookout(name, self.look, pause_s, clock)

    def answer(self) -> R:
        """The answer as of a moment ago. Where there is none the reader asks for himself, and learns what is wrong."""
        newest = self._newest
        try:
            if newest is None or self._clock() - newest[0] > self._current_s:
                return self.look()
            return newest[1]
        finally:
            self._lookout.asked()

    def look(self) -> R:
        """Asks once and keeps the answer; once it fails none is kept."""
        asked_s = self._clock()
        try:
            answer = self._ask()
        except Exception:
            self._newest = None
            raise
        self._newest = asked_s, answer
        return answer

    def close(self) -> None:
        """Ends the asking."""
        self._lookout.close()

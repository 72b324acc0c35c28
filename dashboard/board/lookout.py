"""Looks at the store again and again while somebody asks for what was seen, in a thread of its own: no page waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from dashboard.store import StoreUnavailableError
from kernel.logs import get_logger

log = get_logger(__name__)

_UNWATCHED_S = 30.0


class Lookout:
    """A thread that looks while it is wanted. Threads share it.

    Args:
        name: of the thread, and in the log.
        look: looks once; it may raise.
        pause_s: from the begin of one look to the next; a look that takes longer than half of it is followed by a
            pause as long as itself.
        clock: seconds that only grow.
    """

    def __init__(
        self, name: str, look: Callable[[], object], pause_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name, self._look, self._pause_s, self._clock = name, look, pause_s, clock
        self._lock = threading.Lock()
        self._asked_s = 0.0
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    def asked(self) -> None:
        """Somebody asks: the thread looks on, or begins to."""
        with self._lock:
            self._asked_s = self._clock()
            if self._thread is None and not self._closed.is_set():
                self._thread = threading.Thread(target=self._keep_looking, name=self._name, daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Ends the looking."""
        self._closed.set()

    def _keep_looking(self) -> None:
        while True:
            began_s = self._clock()
            try:
                self._look()
            except StoreUnavailableError:
                pass  # said where it was noticed; readers ask the store meanwhile
            except Exception:
                log.exception("look_failed", what=self._name)
            took_s = self._clock() - began_s
            if self._closed.wait(max(self._pause_s - took_s, took_s)) or self._ends():
                return

    def _ends(self) -> bool:
        """Whether nobody has asked for long; the next one to ask starts another thread."""
        with self._lock:
            if self._clock() - self._asked_s <= _UNWATCHED_S:
                return False
            self._thread = None
            return True

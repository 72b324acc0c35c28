"""When the thread looks, and when it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable

from dashboard.board.lookout import Lookout
from tests.dashboard.board.conftest import Clock


def looking(clock: Clock, look: Callable[[], object]) -> tuple[Lookout, Callable[[], list[threading.Thread]]]:
    """A lookout that does not pause, and what lists its threads."""
    name = f"test lookout {id(clock)}"
    return Lookout(name, look, 0.0, clock), lambda: [each for each in threading.enumerate() if each.name == name]


def test_it_looks_again_and_again_once_somebody_asks_whatever_goes_wrong(clock: Clock) -> None:
    looked = threading.Semaphore(0)

    def look() -> None:
        looked.release()
        raise ValueError("wrong")

    lookout, threads = looking(clock, look)
    assert threads() == []

    lookout.asked()
    lookout.asked()

    assert all(looked.acquire(timeout=30) for _ in range(3))
    [thread] = threads()
    lookout.close()
    thread.join(30)
    assert threads() == []


def test_it_ends_when_nobody_has_asked_for_long_and_begins_with_the_next_who_asks(clock: Clock) -> None:
    looked = threading.Semaphore(0)
    lookout, threads = looking(clock, looked.release)
    lookout.asked()
    [thread] = threads()

    clock.now_s += 31
    thread.join(30)
    assert threads() == []
    lookout.asked()

    assert len(threads()) == 1
    lookout.close()

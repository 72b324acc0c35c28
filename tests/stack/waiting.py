"""The one way a test waits: for a fact, never for a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

PATIENCE_S = 90.0
"""What a busy machine may take for anything that takes seconds: a bound that is never reached costs nothing."""

_POLL_S = 0.02


def wait_until(
    condition: Callable[[], bool],
    what: str,
    timeout_s: float = PATIENCE_S,
    *,
    ended: Callable[[], str | None] = lambda: None,
) -> None:
    """Polls until `condition` holds.

    Args:
        condition: the fact waited for; cheap, or its own cost is the pace.
        what: the fact in words, for the failure.
        timeout_s: seconds after which it fails.
        ended: why waiting is in vain (a process ended, say), or None while it is not.

    Raises:
        AssertionError: it did not hold in time, or never will.
    """
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        reason = ended()
        assert reason is None, f"waited for: {what}; {reason}"
        assert time.monotonic() < deadline_s, f"not within {timeout_s:.0f} s: {what}"
        time.sleep(_POLL_S)


def wait_while_it_gets_on(
    condition: Callable[[], bool],
    what: str,
    place: Callable[[], object],
    patience_s: float = 120.0,
    *,
    ended: Callable[[], str | None] = lambda: None,
) -> None:
    """As `wait_until`, but for as long as `place` (how far it has come) still changes: a busy machine is slow, and only
    what stands still for `patience_s` has failed.

    Raises:
        AssertionError: it stood still, or never will hold.
    """
    last, since_s = place(), time.monotonic()
    while not condition():
        reason = ended()
        assert reason is None, f"waited for: {what}; {reason}"
        now, now_s = place(), time.monotonic()
        if now != last:
            last, since_s = now, now_s
        assert now_s < since_s + patience_s, f"stood still for {patience_s:.0f} s at {now}: {what}"
        time.sleep(_POLL_S)


async def until(
    condition: Callable[[], bool], what: str = "the condition holds", timeout_s: float = PATIENCE_S
) -> None:
    """The same in an event loop, which goes on meanwhile. Raises AssertionError as `wait_until` does."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, f"not within {timeout_s:.0f} s: {what}"
        await asyncio.sleep(_POLL_S)

"""How a collector takes over from the one before, and what the time between is: unwatched, until something answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from kernel.clock import Clock
from producers.base import Received
from producers.before import Before
from producers.feed_state import GAP_PROMISES
from producers.journal import Journal
from producers.rhythm import Rhythm
from producers.statuses import Statuses
from producers.tracked import Tracked
from schemas.times import is_ahead
from schemas.units import US_PER_S

ANSWER_WITHIN_S = 10.0
"""Wall seconds after its start in which a collector waits for a first answer, before it says that it is blind."""


class Takeover:
    """From where the process before ended to the first answer that can be used.

    `first_seen` is told the venue's time of the very first answer, of a venue that nobody watched before, and is done
    before anything of that answer is published.
    """

    def __init__(
        self,
        tracked: Tracked,
        statuses: Statuses,
        rhythm: Rhythm,
        clock: Clock,
        journal: Journal,
        first_seen: Callable[[int], None],
    ) -> None:
        self._tracked, self._statuses, self._state, self._rhythm = tracked, statuses, statuses.state, rhythm
        self._clock, self._journal, self._first_seen = clock, journal, first_seen
        self._began_us, self._began_s = clock.now_us(), clock.monotonic_s()
        self._absent_since_us: int | None = None
        self._is_first = False
        self._ended_early = False
        self._blind_told_us: int | None = None

    async def remember(self, before: Before) -> None:
        """Begins where the process before ended: what it told is not told again, and the time between is a gap."""
        watched_until_us = 0 if before.begun else before.until_us or 0
        self._journal.note(
            "remember",
            markets=len(before.markets),
            watched_until_us=watched_until_us,
            safe_until_us=before.until_us,
        )
        for number, told in enumerate(before.markets.values()):
            self._tracked.restore(told, before.until_us, before.promise_s)
            if number % 1_000 == 0:
                await asyncio.sleep(0)
        self._began_us, self._began_s = self._clock.now_us(), self._clock.monotonic_s()
        self._absent_since_us = before.until_us
        self._ended_early = before.hands_full or before.begun
        self._is_first = before.until_us is None
        self._rhythm.takes_over(before.promise_s)
        if before.promise_s:
            self._journal.note("promise", s=before.promise_s)
        self._tracked.watched_until_us = watched_until_us

    def answered(self, received: Received) -> None:
        """Something that can be used has come. With the first of it ends what nobody watched, and is told."""
        if not self._unanswered:
            return
        first_us, since_us, blind_us = _said_us(received), self._absent_since_us, self._blind_told_us
        self._absent_since_us, self._is_first = None, False
        self._state.answered()
        goes_on = blind_us is not None and blind_us <= first_us
        if blind_us is not None and not goes_on:  # it was told by our clock, which is ahead of the venue's
            self._statuses.tell(self._state.mistimed(), self._clock.now_us())
        if since_us is None:
            self._first_seen(self._began_us if goes_on else first_us)
        if goes_on:
            return
        if since_us is None:
            self._statuses.tell(self._state.begins(first_us), first_us)
        elif blind_us is not None or self._is_gap(since_us, first_us):
            self._statuses.tell(self._state.was_away(since_us, first_us), first_us)
        else:
            # The first sweep is still due by what was promised before.
            self._state.took_over(since_us, self._rhythm.before_s)

    def wait_for_an_answer(self) -> None:
        """Without any for a while the feed is blind, which is told by our clock: the venue's cannot be asked."""
        waited_s, now_us = self._clock.monotonic_s() - self._began_s, self._clock.now_us()
        if not self._unanswered or waited_s < ANSWER_WITHIN_S:
            return
        self._statuses.tell(self._state.unanswered(waited_s), now_us)
        since_us = self._absent_since_us
        if self._blind_told_us is None and (since_us is None or self._is_gap(since_us, now_us)):
            self._blind_told_us = now_us
            blind = self._state.begins(self._began_us) if since_us is None else self._state.was_away(since_us, now_us)
            self._statuses.tell(blind, now_us)

    @property
    def _unanswered(self) -> bool:
        """Whether nothing that can be used has come since the start."""
        return self._is_first or self._absent_since_us is not None

    def _is_gap(self, since_us: int, now_us: int) -> bool:
        """Whether somebody was missing for longer than a sweep may take, or was killed with what it had seen in its
        hands, or before it had seen all."""
        return self._ended_early or now_us - since_us > GAP_PROMISES * self._rhythm.before_s * US_PER_S


def _said_us(received: Received) -> int:
    """What time it was by the first answer, before there is a venue's clock to ask."""
    said_us = received.ts_venue_us or received.ts_received_us
    return received.ts_received_us if is_ahead(said_us, received.ts_received_us) else said_us

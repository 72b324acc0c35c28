"""What time it is at a venue: which of its Dates are believed, and how fast its time runs (at our speed, or a tape's).

A venue's Date counts whole seconds and is mostly right. Now and then one is not (a server with a wrong clock, a
proxy's answer), and a wrong stamp must not decide what is newer than what. So a Date that is ahead of our clock counts
only when others follow that agree with it, and one that is behind what this venue said before does not count, however
many do: if a venue's time went back, all that it shows would seem older than what it showed before, and what is owed by
then would never be late.
"""

from __future__ import annotations

from typing import NamedTuple

from producers.base import Received
from schemas.times import is_ahead
from schemas.units import US_PER_S
from schemas.words import TickFlag, TimeBasis

MAX_PACE = 1000.0
_LOCKSTEP = "lockstep"
_AGREEING = 3
"""So many answers in a row prove that the venue's clock is ahead of ours."""


class Stamp(NamedTuple):
    """When the content of an answer was true, by the venue's clock, and how well that is known."""

    as_of_us: int
    basis: TimeBasis
    flags: tuple[TickFlag, ...]


class VenueClock:
    """Follows a venue's clock by the Dates of its answers. Takes our clock from what it is given; reads none.

    Args:
        max_skew_s: difference of both clocks that is flagged, and jump of the venue's that is not believed.
        now_us: our clock at the start, which the venue's is taken for until its first Date.
    """

    def __init__(self, max_skew_s: float, now_us: int) -> None:
        self._max_skew_us = int(max_skew_s * US_PER_S)
        self._venue_us = self._ours_us = now_us
        self._dated = self._heard = False
        self._doubted: list[int] = []
        self.pace = 1.0
        """Venue seconds in one of ours."""
        self.lockstep = False
        """The venue's time stands still until a sweep was served: a simulator that waits for us."""
        self.skew_us: int | None = None
        """Our clock less the venue's at the last answer; None when that had no Date."""
        self.disbelieved = 0

    def now_us(self, ours_us: int) -> int:
        """The venue's time when our clock shows `ours_us`. A tape that catches up does not pass the present: there it
        runs as we do, which we may hear seconds later."""
        if self.lockstep:
            return self._venue_us
        spent_us = ours_us - self._ours_us
        told_us = self._venue_us + int(spent_us * self.pace)
        return told_us if self.pace == 1.0 else min(told_us, max(ours_us, self._venue_us + spent_us))

    @property
    def runs_as_ours(self) -> bool:
        """Whether an answer has said that it does: a restart knows its markets before it knows what the venue is."""
        return self._heard and not self.lockstep and self.pace == 1.0

    def read(self, received: Received) -> Stamp:
        """When an answer's content was true. Without a Date, or with one that is not believed, our clock tells."""
        ours_us, said_us, self._heard = received.ts_received_us, received.date_us, True
        self._run_at(received.pace, ours_us)
        self.skew_us = None if said_us is None else ours_us - said_us
        behind = said_us is not None and self._dated and said_us < self._venue_us - self._max_skew_us
        if said_us is not None and behind and self._was_overtaken(received, said_us):
            return self._stamp(received, said_us, believed=True)
        believed = said_us is not None and not behind and self._believe(said_us, ours_us)
        if said_us is not None and believed:
            # Within one second the venue's time does not go back for the second's being cut off.
            floor_us = self._venue_us if self._dated else 0
            self._venue_us, self._ours_us, self._dated = max(said_us, floor_us), ours_us, True
            as_of_us = said_us
        else:
            as_of_us = max(self.now_us(ours_us), self._venue_us)
            self.disbelieved += said_us is not None
        if behind:  # Dates that had run ahead of our clock: time stands until ours has come there
            as_of_us = max(min(as_of_us, ours_us), self._venue_us)
            self._venue_us, self._ours_us = as_of_us, ours_us
        return self._stamp(received, as_of_us, believed=believed)

    def _was_overtaken(self, received: Received, said_us: int) -> bool:
        """Whether an answer was under way when a newer one came, so that it may be as old as it says: not older than
        its question, of which in lockstep nobody knows the venue's time."""
        asked_us, ours_us = received.ts_asked_us, received.ts_received_us
        if asked_us is None or asked_us >= self._ours_us:
            return False
        asked_at_us = self.now_us(ours_us) - int((ours_us - asked_us) * self.pace)
        return self.lockstep or said_us >= asked_at_us - self._max_skew_us

    def _stamp(self, received: Received, as_of_us: int, *, believed: bool) -> Stamp:
        skewed = self.skew_us is None or abs(self.skew_us) > self._max_skew_us or not believed
        return Stamp(
            as_of_us=as_of_us - (received.age_s or 0) * US_PER_S,
            basis="http_date" if believed else "received",
            flags=("clock_skew",) if skewed else (),
        )

    def _believe(self, said_us: int, ours_us: int) -> bool:
        if is_ahead(said_us, ours_us):
            return False
        expected_us = self.now_us(ours_us)
        if said_us <= max(ours_us, expected_us) + self._max_skew_us:
            self._doubted.clear()
            return True
        if self._doubted and abs(said_us - ours_us - self._doubted[-1]) > self._max_skew_us:
            self._doubted.clear()
        self._doubted.append(said_us - ours_us)
        return len(self._doubted) >= _AGREEING

    def _run_at(self, pace: str, ours_us: int) -> None:
        lockstep = pace == _LOCKSTEP
        if lockstep != self.lockstep:
            self._venue_us, self._ours_us, self.lockstep = self.now_us(ours_us), ours_us, lockstep
        try:
            told = float(pace) if pace and not lockstep else 1.0
        except ValueError:
            told = 1.0
        told = min(max(told, 1.0), MAX_PACE) if told == told else 1.0
        if told != self.pace:
            self._venue_us, self._ours_us, self.pace = self.now_us(ours_us), ours_us, told

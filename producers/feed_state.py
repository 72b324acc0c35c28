"""How a feed is doing: connected, degraded or disconnected; gaps opened and closed. Told from its jobs. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from schemas.units import US_PER_S
from schemas.words import FeedWord

GAP_PROMISES = 2.5
"""Ticks missing for so many times what was promised are a gap."""

DISCONNECTED_AFTER = 5
"""So many failures of the sweep in a row mean that the venue is away."""

SWEEP = "sync_prices"
"""The job that decides about gaps and disconnection: what else fails leaves the prices coming."""


@dataclass(frozen=True, slots=True)
class Change:
    """Something to tell on `feed.status`. `gap_started_us` only for gaps."""

    state: FeedWord
    detail: str
    gap_started_us: int | None = None


@dataclass(slots=True)
class FeedState:
    """State of one feed. Times are the venue's.

    A sweep promises nothing before it is known how long one takes: `promise_s` is 0 until then.
    """

    state: FeedWord | None = None
    _failures: dict[str, int] = field(default_factory=dict)
    _last_sweep_us: int | None = None
    _owed_since_us: int = 0
    _gap_open: bool = False
    _unanswered: bool = False
    has_swept: bool = False
    """Whether this process has done a whole sweep: until then it cannot say that it has seen the venue."""

    @property
    def gap_open(self) -> bool:
        """Whether a gap has begun and not ended."""
        return self._gap_open

    def failures(self, job: str) -> int:
        """Failures of a job in a row."""
        return self._failures.get(job, 0)

    def succeeded(self, job: str) -> list[Change]:
        """A job was done in full."""
        failed_before = self._failures.pop(job, 0)
        if self._failures or self.state == "connected":
            return []
        self.state = "connected"
        return [Change("connected", f"{job} works again" if failed_before else f"{job} works")]

    def failed(self, job: str, detail: str) -> list[Change]:
        """A job could not be done."""
        count = self._failures[job] = self.failures(job) + 1
        away = self._unanswered or self.failures(SWEEP) >= DISCONNECTED_AFTER
        state: FeedWord = "disconnected" if away else "degraded"
        if state == self.state or (self.state == "disconnected" and not away and job != SWEEP):
            return []
        self.state = state
        return [Change(state, f"{job} failed {count} times in a row: {detail}")]

    def unanswered(self, waited_s: float) -> list[Change]:
        """Nothing that can be used has come since the start: nobody knows how the venue is."""
        if self._unanswered:
            return []
        self._unanswered, self.state = True, "disconnected"
        return [Change("disconnected", f"no usable answer for {waited_s:.0f} s since the start")]

    def answered(self) -> None:
        """Something has come: from now on jobs tell how the venue is."""
        self._unanswered = False

    def was_away(self, since_us: int, now_us: int) -> list[Change]:
        """This process, or the one before it, has seen nothing between these moments."""
        self._gap_open = True
        self._last_sweep_us = self._owed_since_us = since_us
        away_s = (now_us - since_us) / US_PER_S
        return [Change("gap_opened", f"nobody collected for {away_s:.0f} s", since_us)]

    def mistimed(self) -> list[Change]:
        """The open gap was told by a clock that is not the venue's."""
        self._gap_open = False
        return [Change("gap_closed", "told by our clock, which is ahead of the venue's", self._last_sweep_us)]

    def begins(self, now_us: int) -> list[Change]:
        """Nobody watched before, and not every market has been seen: blind until the first whole sweep."""
        self._gap_open = True
        self._last_sweep_us = self._owed_since_us = now_us
        return [Change("gap_opened", "the first look at the venue: not every market has been seen yet", now_us)]

    def took_over(self, since_us: int, promise_s: float) -> None:
        """The process before this one saw the venue until a moment that is not long ago, and its promise stands. What
        it had shown may by then have been as old as that."""
        self._last_sweep_us, self._owed_since_us = since_us, since_us - round(promise_s * US_PER_S)

    def swept(self, began_us: int, promise_s: float) -> list[Change]:
        """A whole sweep that began at `began_us`; the one before had promised it within `promise_s`."""
        changes, since_us = self.watch(began_us, promise_s), self._last_sweep_us
        if since_us is not None and self._gap_open:
            missing_s = (began_us - since_us) / US_PER_S
            changes.append(Change("gap_closed", f"no sweep for {missing_s:.0f} s of the venue's time", since_us))
            self._gap_open = False
        self._last_sweep_us, self._owed_since_us, self.has_swept = began_us, began_us, True
        return changes

    def watch(self, now_us: int, promise_s: float) -> list[Change]:
        """Time goes on without a sweep."""
        since_us, missing_s = self._last_sweep_us, (now_us - self._owed_since_us) / US_PER_S
        if since_us is None or self._gap_open or not promise_s or missing_s <= promise_s * GAP_PROMISES:
            return []
        self._gap_open = True
        return [Change("gap_opened", f"no sweep for {missing_s:.0f} s, promised every {promise_s:.0f} s", since_us)]

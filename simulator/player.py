"""Plays one venue's tape into its world: by a running clock, or in lockstep with a REST sweeper."""

from __future__ import annotations

from schemas.units import US_PER_S
from simulator.clock import TapeClock, real_now_us
from simulator.tape import Line, Tape
from simulator.world import World


class Player:
    """One venue being played.

    With a clock, `catch_up` applies every line up to the clock's now. In lockstep (no clock) the tape stands still at
    a moment, a whole second whose state is the last quote at or before it, until a full price sweep of this moment has
    been handed out and the next one begins; then it steps to the next second in which something changed. Who begins
    another sweep has the last one: what is asked beside sweeps cannot show a newer moment before. While held it stays
    where it is, whatever is served: a test can then kill a sweeper and know that nothing is lost.
    """

    def __init__(self, venue: str, tape: Tape, clock: TapeClock | None, past_us: int = 0) -> None:
        self.venue = venue
        self.world = World(tape.start_us - past_us if past_us else None)
        self.lockstep = clock is None
        self.held = False
        self.moments_served = 0
        self.sweeps_of_moment = 0
        self._clock = clock
        self._lines = tape.lines(venue)
        self._next: Line | None = None
        self._moment_us = _whole_second(tape.start_us)
        self._read()
        if clock is None:
            self._step(self._moment_us)
            if not self.world.states:
                self.step_on()
        else:
            self.catch_up()

    def now_us(self) -> int:
        """The venue's clock."""
        return self._moment_us if self._clock is None else self._clock.now_us()

    @property
    def finished(self) -> bool:
        """Whether a finite tape has been played to its end, and in lockstep its last moment served."""
        return self._next is None and (not self.lockstep or not self.world.states or self.sweeps_of_moment > 0)

    def catch_up(self) -> None:
        """Applies what has happened by now. In lockstep there is nothing to do."""
        if self._clock is not None:
            self._play(self._clock.now_us())

    def sweep_begins(self) -> None:
        """A sweep asks for its first page."""
        if self.lockstep and self.sweeps_of_moment and not self.held:
            self.step_on()

    def sweep_served(self, moment_us: int) -> None:
        """A full sweep that began at `moment_us` has been handed out. A sweep of an earlier moment does not count."""
        if not self.lockstep or moment_us != self._moment_us:
            return
        self.sweeps_of_moment += 1
        if self.sweeps_of_moment == 1:
            self.moments_served += 1

    def step_on(self) -> None:
        """In lockstep: on to the next moment, if there is one and it does not lie in the future."""
        if self._next is not None and self._next.ts_us is not None:
            moment_us = _whole_second(self._next.ts_us)
            if moment_us <= real_now_us():
                self._step(moment_us)

    def inject(self, line: Line) -> None:
        """Plays a line that is not on the tape, now."""
        self.catch_up()
        self.world.apply(line)

    def hold(self, held: bool) -> None:
        """Holds the tape at its moment, or lets it go on with the next sweep."""
        self.held = held

    def _step(self, moment_us: int) -> None:
        self._moment_us = moment_us
        self.sweeps_of_moment = 0
        self._play(moment_us)

    def _play(self, to_us: int) -> None:
        while self._next is not None and self._next.ts_us is not None and self._next.ts_us <= to_us:
            self.world.apply(self._next)
            self._read()

    def _read(self) -> None:
        self._next = next(self._lines, None)
        while self._next is not None and self._next.ts_us is None:  # a market that is listed with its first quote
            self.world.apply(self._next)
            self._next = next(self._lines, None)


def _whole_second(ts_us: int) -> int:
    """The first whole second at or after an instant."""
    return -(-ts_us // US_PER_S) * US_PER_S

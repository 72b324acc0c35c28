"""A second channel on which a venue tells the same prices by another way. It bears witness, and is published by nobody.

Whatever becomes of it costs nothing but its witness: it may be slow, refused, or gone for good.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from kernel.clock import Clock
from kernel.logs import get_logger
from producers.base import Frames, Witnessing
from producers.facts import Top
from producers.limits import RateLimit
from producers.line import Line
from producers.streams import KEPT_RANK

log = get_logger(__name__)

_HANDSHAKES_PER_S = 1.0


@dataclass(slots=True, eq=False)
class _Place:
    line: Line
    tokens: dict[str, None] = field(default_factory=dict)
    reader: Frames | None = None


class Witnesses:
    """The connections to it. Belongs to one event loop.

    Args:
        connections: at most so many.
        saw: hears each top that it tells.
    """

    def __init__(self, witness: Witnessing, connections: int, saw: Callable[[Top], None], clock: Clock) -> None:
        self._witness, self._saw, self._clock = witness, saw, clock
        self._most, self._places = connections, dict[int, _Place]()
        self._place_of: dict[str, _Place] = {}
        self._wanted: Sequence[str] = ()
        self._handshakes = RateLimit(_HANDSHAKES_PER_S, clock)
        self._lines: asyncio.TaskGroup | None = None
        self.missed = 0
        """Messages that never came, by the venue's own numbers."""

    @property
    def opened(self) -> int:
        """Connections that stand. May be asked from another thread, while others are made."""
        return sum(place.reader is not None for place in tuple(self._places.values()))

    async def run(self) -> None:
        """Keeps the connections open until cancelled."""
        async with asyncio.TaskGroup() as self._lines:
            self.follow(self._wanted)
            await asyncio.Event().wait()

    def follow(self, tokens: Sequence[str]) -> None:
        """Watches these tokens, the busiest first, as far as there are places. One stays until it falls well below."""
        self._wanted = tokens
        if self._lines is None:
            return
        places = self._most * self._witness.capacity
        stay = set(tokens[: int(places * KEPT_RANK)])
        self._leave([token for token in self._place_of if token not in stay])
        joining = [token for token in tokens if token not in self._place_of][: places - len(self._place_of)]
        while joining:
            place = self._with_room()
            room = self._witness.capacity - len(place.tokens)
            self._join(place, joining[:room])
            joining = joining[room:]

    def _with_room(self) -> _Place:
        known = (place for place in self._places.values() if len(place.tokens) < self._witness.capacity)
        return next(known, None) or self._add()

    def _add(self) -> _Place:
        number = len(self._places) + 1
        line = Line(number, self._witness.url, dict, None, 60.0, self, self._handshakes, self._clock)
        place = self._places[number] = _Place(line)
        if self._lines is not None:
            self._lines.create_task(line.run())
        return place

    def _join(self, place: _Place, tokens: Sequence[str]) -> None:
        place.tokens.update(dict.fromkeys(tokens))
        self._place_of.update(dict.fromkeys(tokens, place))
        place.line.send([self._witness.subscribe(tokens)])

    def _leave(self, tokens: Sequence[str]) -> None:
        leaving: dict[int, list[str]] = {}
        for token in tokens:
            place = self._place_of.pop(token)
            del place.tokens[token]
            leaving.setdefault(place.line.number, []).append(token)
        for number, mine in leaving.items():
            self._places[number].line.send([self._witness.unsubscribe(mine)])

    # ── what a line says ─────────────────────────────────────────────────────────────────────────────────────────────

    def opened_line(self, line: Line) -> Sequence[str]:
        """The handshake is done: what is sent first."""
        place = self._places[line.number]
        place.reader = self._witness.reader()
        return [self._witness.subscribe(list(place.tokens))] if place.tokens else []

    def frame(self, line: Line, body: bytes) -> None:
        """A message has come. What cannot be read is counted where it is logged: nothing depends on it."""
        reader = self._places[line.number].reader
        if reader is None:
            return
        facts = reader.read(body)
        self.missed += sum(facts.missed.values())
        for fact in facts.facts:
            if isinstance(fact, Top):
                self._saw(fact)
        for ack in facts.acks:
            if ack.code:
                log.warning("witness_command_refused", connection=line.number, text=ack.text)
        for error in facts.bad:
            log.warning("witness_unreadable", connection=line.number, detail=error.detail)

    def closed_line(self, line: Line, reason: str, status: int | None) -> None:
        """A connection is gone, or could not be made."""
        self._places[line.number].reader = None
        rest_s = self._witness.rest_s(line.close_code)
        line.rest(rest_s)
        log.info("witness_closed", connection=line.number, reason=reason, status=status, for_good=math.isinf(rest_s))

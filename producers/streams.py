"""A venue's streams: which connection shows which token, and what is done when one of them falls silent.

The pool spreads the wanted tokens over a bounded number of connections, the busiest first, so that a low limit costs
only the quiet ones. A venue whose connections all tell the same (`mirrored`) gets each token on all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from kernel.clock import Clock
from kernel.logs import get_logger
from producers.base import Frames, Sockets
from producers.continuity import ALL_LINES, Continuity, Redrive
from producers.facts import Facts
from producers.journal import Journal
from producers.limits import RateLimit
from producers.line import Line
from producers.served import Capacity, Unserved
from schemas.units import US_PER_S

log = get_logger(__name__)

KEPT_RANK = 1.25
"""A token on the stream stays there until it falls below so many times the places, so that ranks may waver."""

_WATCH_S = 0.5
_FEW = 5
_SILENT_BESIDE_A_TWIN_S = 6.0
_SETTLED_S = 10.0
_HANDSHAKES_PER_S = 10.0


@dataclass(slots=True)
class Gap:
    """Tokens that a connection has stopped to show, and since when (our clock)."""

    since_us: int
    tokens: dict[str, None]


@dataclass(slots=True, eq=False)
class Source:
    """What messages come on: a connection, or a tape of one. `number` names it for people."""

    number: int
    reader: Frames | None = None
    """Of its present life."""
    connection_id: str = ""
    data_s: float = 0.0
    """Our monotonic clock at the last message of data, and at the opening."""
    data_us: int = 0
    """The same by our wall clock; 0 before the first."""


@dataclass(slots=True, eq=False)
class Connection(Source):
    """One place in the pool: its line, and what it shows."""

    line: Line = field(kw_only=True)
    told_s: float = 0.0
    """Our monotonic clock when it last told of a market, or was opened. Answers to commands of ours tell of none."""
    told_us: int = 0
    """When it last told of a market by our wall clock, in whichever life; 0 before that."""
    tokens: dict[str, None] = field(default_factory=dict)
    gap: Gap | None = None
    refused: str = ""
    """Why the last handshake was refused, if it was."""
    refused_us: int = 0
    """Since when (our clock)."""

    @property
    def tells(self) -> bool:
        """Whether it stands and something has come on it, so that the venue has heard what we want."""
        return self.reader is not None and not self.line.is_ending and self.data_s > (self.line.opened_s or 0.0)


class Hearer(Protocol):
    """Who uses what a stream tells."""

    def told(self, source: Source, body: bytes, facts: Facts) -> None:
        """A message of data."""


def read_frame(
    source: Source, reader: Frames, body: bytes, continuity: Continuity, hearer: Hearer, *, mirrored: bool
) -> Facts:
    """A message of data, live or from a tape: read, accounted for, and handed on."""
    facts = reader.read(body)
    mark = continuity.met if mirrored else continuity.heard
    for token in facts.heard:
        mark(token, source.data_s)
    for token in facts.opened:
        continuity.heard(token, source.data_s, opening=True)
    hearer.told(source, body, facts)
    return facts


class Listener(Hearer, Protocol):
    """Who uses what the streams tell, and hears how they are."""

    def gap_opened(self, connection: Connection, gap: Gap, reason: str) -> None:
        """Tokens are not shown any more (of mirrored connections: none at all is)."""

    def gap_closed(self, connection: Connection, gap: Gap) -> None:
        """They are shown again."""

    def changed(self, connection: Connection, reason: str) -> None:
        """A connection came, went or was refused, gap or not."""

    def unserved(self, gap: Gap, reason: str) -> None:
        """Tokens are wanted, and none of the connections that stand shows them. Said again when they change."""

    def served(self, gap: Gap) -> None:
        """They are shown, or not wanted any more."""


class Streams:
    """All connections to one venue. Belongs to one event loop.

    Args:
        connections: at most so many.
        places: of mirrored connections, so many tokens are subscribed singly.
    """

    def __init__(
        self,
        sockets: Sockets,
        listener: Listener,
        clock: Clock,
        *,
        connections: int,
        places: int,
        continuity: Continuity | None = None,
        journal: Journal | None = None,
    ) -> None:
        self.continuity = continuity or Continuity()
        self._journal = journal or Journal()
        self.connections: dict[int, Connection] = {}
        self._sockets, self._listener, self._clock = sockets, listener, clock
        self._most, self._places = connections, places
        self._capacity = Capacity(sockets.capacity)
        self._handshakes = RateLimit(_HANDSHAKES_PER_S, clock)
        self._of_token: dict[str, None] = {}
        self._wanted: Sequence[str] = ()
        self._lines = asyncio.TaskGroup()
        self._running = False
        self._redriven = 0
        self._unserved = Unserved()

    async def run(self) -> None:
        """Keeps the connections open and whole until cancelled."""
        async with self._lines:
            self._running = True
            self.follow(self._wanted)
            while True:
                await self._clock.sleep(_WATCH_S)
                self.watch()

    @property
    def opened(self) -> int:
        """Connections that stand. May be asked from another thread, while others are made."""
        return sum(connection.reader is not None for connection in tuple(self.connections.values()))

    def shows(self, token: str) -> bool:
        """Whether a connection that is not in doubt shows a token."""
        known = self.continuity.tokens.get(token)
        return known is not None and known.opened and known.suspect_s is None and self.opened > 0

    def shown_tokens(self) -> list[str]:
        """All of these."""
        return [name for name in self.continuity.tokens if self.shows(name)]

    # ── what is wanted ───────────────────────────────────────────────────────────────────────────────────────────────

    def follow(self, tokens: Sequence[str]) -> None:
        """Shows these tokens, the busiest first, as far as there are places."""
        self._wanted = tokens
        if not self._running:
            return
        if self._sockets.mirrored:
            while len(self.connections) < self._most:
                self._add()
        places = self._places if self._sockets.mirrored else self._most * self._capacity.tokens
        stay = set(tokens[: int(places * KEPT_RANK)])
        self._leave([token for token in self._of_token if token not in stay])
        free = max(0, places - len(self._of_token))
        joining = [token for token in tokens if token not in self._of_token][:free]
        self._of_token.update(dict.fromkeys(joining))
        if self._sockets.mirrored:
            for connection in self.connections.values():
                self._join(connection, joining)
            return
        while joining:
            connection = self._with_room()
            room = self._capacity.tokens - len(connection.tokens)
            self._join(connection, joining[:room])
            joining = joining[room:]

    def _with_room(self) -> Connection:
        known = (c for c in self.connections.values() if len(c.tokens) < self._capacity.tokens)
        return next(known, None) or self._add()

    def _add(self) -> Connection:
        number, own = len(self.connections) + 1, self._sockets
        line = Line(number, own.url, own.headers, own.ping, own.ping_every_s, self, self._handshakes, self._clock)
        connection = self.connections[number] = Connection(number, line=line)
        self._lines.create_task(line.run())
        return connection

    def _join(self, connection: Connection, tokens: Sequence[str]) -> None:
        connection.tokens.update(dict.fromkeys(tokens))
        if connection.reader is not None and tokens:
            self._asked(connection, tokens)
            connection.line.send(self._sockets.subscribe(tokens))

    def _asked(self, connection: Connection, tokens: Sequence[str]) -> None:
        self._expect(connection, tokens)
        if not self._sockets.mirrored:
            self.continuity.subscribed(connection.number, tokens, self._clock.monotonic_s())

    def _expect(self, connection: Connection, tokens: Sequence[str]) -> None:
        """Opening books of these are to come."""
        if connection.reader is not None and tokens:
            connection.reader.follow(tokens)
            self._journal.note_of("follow", tokens, line=connection.number)

    def _leave(self, tokens: Sequence[str]) -> None:
        if not tokens:
            return
        self._journal.note_of("leave", tokens)
        for token in tokens:
            del self._of_token[token]
        for connection in self.connections.values():
            mine = [token for token in tokens if connection.tokens.pop(token, "") is None]
            if mine and connection.reader is not None:
                connection.reader.leave(mine)
                connection.line.send(self._sockets.unsubscribe(mine, connection.reader.subscription))
        if not self._sockets.mirrored:
            self.continuity.unsubscribed(tokens)

    # ── what a line says ─────────────────────────────────────────────────────────────────────────────────────────────

    def opened_line(self, line: Line) -> Sequence[str]:
        """The handshake is done: what is sent first."""
        connection = self.connections[line.number]
        connection.reader = self._sockets.reader()
        connection.connection_id = self._journal.connection()
        self._journal.note("opened", line=connection.number, connection=connection.connection_id)
        connection.data_s = connection.told_s = line.opened_s or self._clock.monotonic_s()
        connection.refused = ""
        tokens = list(connection.tokens)
        self._asked(connection, tokens)
        self._listener.changed(connection, "opened")
        return self._sockets.opening(tokens)

    def frame(self, line: Line, body: bytes) -> None:
        """A message has come."""
        connection = self.connections[line.number]
        if connection.reader is None or self._sockets.is_control(body):
            return
        connection.data_us, connection.data_s = self._clock.now_us(), line.heard_s
        mirrored = self._sockets.mirrored
        facts = read_frame(connection, connection.reader, body, self.continuity, self._listener, mirrored=mirrored)
        if facts.heard or facts.facts:
            connection.told_us, connection.told_s = connection.data_us, connection.data_s
        if facts.doubts:
            self._doubt(connection, connection.reader, facts.doubts)

    def _doubt(self, connection: Connection, reader: Frames, tokens: Sequence[str]) -> None:
        if self._sockets.mirrored:  # a doubt of this connection; the other tells on
            connection.line.send(self._sockets.renew(tokens, reader.subscription))
            return
        for token in tokens:
            self.continuity.doubted(token, connection.data_s)

    def closed_line(self, line: Line, reason: str, status: int | None) -> None:
        """A connection is gone, or could not be made."""
        connection = self.connections[line.number]
        was_open, connection.reader = connection.reader is not None, None
        if status is not None:
            connection.refused_us = connection.refused_us if connection.refused else self._clock.now_us()
            connection.refused = reason
        if not self._sockets.mirrored:
            self.continuity.lost(connection.tokens)
        log.warning("stream_closed", connection=connection.number, reason=reason, status=status)
        if was_open and not (self._sockets.mirrored and self._told_by_others(connection)):
            tokens = self.continuity.tokens if self._sockets.mirrored else connection.tokens
            self._open_gap(connection, list(tokens), connection.told_us or self._clock.now_us(), reason)
        self._listener.changed(connection, reason)

    def _told_by_others(self, gone: Connection) -> bool:
        """Whether another mirrored connection has told lately: one that is silent may be as dead as this one. For the
        time that this one was silent itself only one that has stood all the while can vouch."""
        now_s = self._clock.monotonic_s()
        lately_s = now_s - _SILENT_BESIDE_A_TWIN_S
        others = (c for c in self.connections.values() if c is not gone and c.tells and c.told_s >= lately_s)
        return any(gone.told_s >= lately_s or (c.line.opened_s or now_s) <= gone.told_s for c in others)

    # ── the watch ────────────────────────────────────────────────────────────────────────────────────────────────────

    def watch(self) -> None:
        """Finds what has fallen silent, has it redriven, and closes gaps that are over."""
        now_s = self._clock.monotonic_s()
        for redrive in self.continuity.due(now_s):
            self._redrive(redrive, now_s)
        if self._sockets.mirrored:
            self._compare_twins(now_s)
        else:
            late = self.continuity.late()
            self._account(late, now_s)
            for connection in list(self.connections.values()) if late else ():
                self._learn_limit(connection, now_s)
            if self._capacity.test(now_s):
                self.follow(self._wanted)
        for connection in self.connections.values():
            gap = connection.gap
            if gap is not None and connection.tells and not self.continuity.waits(gap.tokens):
                connection.gap = None
                shown = dict.fromkeys(token for token in gap.tokens if token not in self._unserved.tokens)
                self._listener.gap_closed(connection, Gap(gap.since_us, shown))

    def _account(self, late: Mapping[str, float], now_s: float) -> None:
        """Tells which of the wanted tokens no connection shows, and polls alone do: the venue serves fewer than we took
        it to, or refuses a connection."""
        known, limited = self._unserved, self._capacity.is_limited
        refused = [c for c in self.connections.values() if c.refused and c.gap is None]
        if not (late or refused or limited or known.tokens):
            return
        lacking = dict.fromkeys(late) | {token: None for c in refused for token in c.tokens}
        wanted = self._wanted[: self._most * self._sockets.capacity]
        followed = self._of_token.keys() | wanted
        lacking.update((token, None) for token in wanted if limited and token not in self._of_token)
        lacking.update((token, None) for token in known.tokens if token in followed and not self.shows(token))
        if not known.account(lacking, self._lacking_since_us(lacking, late, refused, now_s), now_s):
            return
        gap = Gap(known.since_us, lacking)
        if not lacking:
            self._capacity.stood()
            self._listener.served(gap)
            return
        reasons = dict.fromkeys(connection.refused for connection in refused)
        if late or limited or not reasons:
            reasons["the venue serves fewer than are wanted"] = None
        self._listener.unserved(gap, ", ".join(reasons))

    def _lacking_since_us(
        self, lacking: Collection[str], late: Mapping[str, float], refused: Iterable[Connection], now_s: float
    ) -> int:
        """Since when the first of them is not shown, or was asked for in vain."""
        now_us = self._clock.now_us()
        gaps = [c.gap for c in self.connections.values() if c.gap is not None]
        begins_us = [gap.since_us for gap in gaps if not gap.tokens.keys().isdisjoint(lacking)]
        begins_us += [now_us - int((now_s - since_s) * US_PER_S) for since_s in late.values()]
        begins_us += [connection.refused_us for connection in refused]
        return min([*begins_us, now_us])

    def _redrive(self, redrive: Redrive, now_s: float) -> None:
        """Subscribes anew, or ends the connection: its line opens another, and subscribes all."""
        if redrive.line == ALL_LINES:
            # One of the mirrored connections after the other, so that there is always one that tells.
            self._redriven = self._redriven % len(self.connections) + 1
            redrive = Redrive(self._redriven, "reconnect", redrive.tokens, redrive.reason)
        connection = self.connections[redrive.line]
        log.warning(
            "stream_redriven", connection=redrive.line, remedy=redrive.remedy, reason=redrive.reason,
            tokens=len(redrive.tokens), example=redrive.tokens[0],
        )  # fmt: skip
        known = [self.continuity.tokens[name] for name in redrive.tokens]
        silent_s = now_s - min(token.heard_s or token.asked_s for token in known)
        since_us = self._clock.now_us() - int(silent_s * US_PER_S)
        if any(token.opened for token in known):
            self._open_gap(connection, redrive.tokens, since_us, redrive.reason)
        if redrive.remedy == "reconnect":
            connection.line.redrive(redrive.reason)
        elif connection.reader is not None:
            asked_again = all(token.asked_again for token in known)
            self._expect(connection, redrive.tokens)
            if not asked_again:
                self.continuity.subscribed(redrive.line, redrive.tokens, now_s, redriven=True)
            connection.line.send(self._sockets.renew(redrive.tokens, connection.reader.subscription))

    def _compare_twins(self, now_s: float) -> None:
        """A connection that says nothing while the other one tells is frozen, whatever its pings say."""
        told = (c.told_s for c in self.connections.values() if c.told_s - (c.line.opened_s or now_s) > _SETTLED_S)
        newest_s = max(told, default=0.0)  # what a connection tells at first is no news
        for connection in self.connections.values():
            if connection.reader is not None and newest_s - connection.told_s > _SILENT_BESIDE_A_TWIN_S:
                connection.line.redrive(f"silent for {now_s - connection.told_s:.0f} s beside a connection that tells")

    def _learn_limit(self, connection: Connection, now_s: float) -> None:
        """Many tokens without a book, though asked for twice: the venue serves fewer on a connection than we took."""
        unserved = self.continuity.unserved(connection.number, now_s)
        served = len(connection.tokens) - len(unserved)
        if len(unserved) < _FEW or len(unserved) * 5 < len(connection.tokens) or not served:
            return
        self._capacity.learnt(max(served, _FEW), now_s)
        log.warning("stream_token_limit", connection=connection.number, tokens=self._capacity.tokens)
        self._leave(unserved)
        self._listener.changed(connection, f"serves {served} tokens only")
        self.follow(self._wanted)

    def _open_gap(self, connection: Connection, tokens: Sequence[str], since_us: int, reason: str) -> None:
        gap = connection.gap
        if gap is None:
            connection.gap = Gap(since_us, dict.fromkeys(tokens))
        else:
            gap.tokens.update(dict.fromkeys(tokens))
        self._listener.gap_opened(connection, connection.gap or Gap(since_us, {}), reason)

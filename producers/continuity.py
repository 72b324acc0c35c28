"""Is a stream whole? What each connection and each token last told, and what an independent witness says. Pure.

A token that is silent may be quiet or frozen, and the stream itself cannot tell which. So the stream is held against a
witness: an answer over REST, or a second connection. A witness that shows another price, while the stream stays silent
for longer than a frame may be on its way, has found a frozen token.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

GRACE_S: Final = 1.5
"""A change that REST shows may be on its way to us on the stream for so long."""

FIRST_BOOK_S: Final = 10.0
"""An opening book that has not come by then is asked for once more, and then given up."""

CURED_S: Final = 4.0
"""A frozen token that was subscribed anew and got no book by then needs a new connection."""

FROZEN_TOKENS_OF_A_FROZEN_LINE: Final = 3
"""So many tokens found frozen at once mean that their connection is."""

_REDRIVE_EVERY_S: Final = 15.0
_TRUSTED_S: Final = 600.0
_MOST_DOUBTS: Final = 6

ALL_LINES: Final = 0
"""The line of a token that every connection tells of."""

Remedy = Literal["subscribe", "reconnect"]


@dataclass(slots=True, kw_only=True)
class Token:
    """What is known of one subscribed token. Times are our monotonic clock."""

    line: int
    asked_s: float
    opened: bool = False
    asked_again: bool = False
    heard_s: float = 0.0
    suspect_s: float | None = None
    """Since when a witness contradicts the stream's silence."""
    redriven_s: float | None = None
    """When it was last subscribed anew because of a doubt. A doubt soon after it calls for a new connection."""
    trusted_s: float = 0.0
    """Until then the witness is not believed: it was wrong."""
    doubts: int = 0
    """How often the stream has contradicted itself. Each time makes us wait twice as long for the next."""


class Redrive(NamedTuple):
    """What is to be done, and why."""

    line: int
    remedy: Remedy
    tokens: tuple[str, ...]
    reason: str


class Continuity:
    """Watches the tokens of all connections."""

    def __init__(self) -> None:
        self.tokens: dict[str, Token] = {}
        self._suspects: dict[str, None] = {}
        self._unopened: dict[str, None] = {}
        self._doubted: dict[str, None] = {}
        self._blamed: dict[str, None] = {}
        self.agreed = self.contradicted = self.frozen = 0

    @property
    def waiting(self) -> int:
        """Tokens whose opening book has not come. May be asked from another thread."""
        return len(self._unopened)

    # ── what happens ─────────────────────────────────────────────────────────────────────────────────────────────────

    def subscribed(self, line: int, tokens: Iterable[str], now_s: float, *, redriven: bool = False) -> None:
        """Asked for on a connection: an opening book is due for each. `redriven`: because of a doubt."""
        for name in tokens:
            before = self.tokens.get(name) or Token(line=line, asked_s=now_s)
            self.tokens[name] = Token(
                line=line,
                asked_s=now_s,
                redriven_s=now_s if redriven else None,
                trusted_s=before.trusted_s,
                doubts=before.doubts,
            )
            self._unopened[name] = None
            self._suspects.pop(name, None)

    def lost(self, names: Iterable[str]) -> None:
        """Their connection is gone. They are asked for again when it is back; until then nothing is due."""
        for name in names:
            token = self.tokens.get(name)
            if token is not None:
                token.opened, token.suspect_s, token.redriven_s = False, None, None
            for kept in (self._unopened, self._suspects, self._doubted):
                kept.pop(name, None)

    def met(self, name: str, now_s: float) -> None:
        """A token is told of by connections that tell of all: it needs no opening book."""
        token = self.tokens.get(name)
        if token is None:
            self.tokens[name] = Token(line=ALL_LINES, asked_s=now_s, opened=True, heard_s=now_s)
        else:
            self.heard(name, now_s)

    def unsubscribed(self, tokens: Iterable[str]) -> None:
        """Not followed any more."""
        for name in tokens:
            self.tokens.pop(name, None)
            for kept in (self._unopened, self._suspects, self._doubted, self._blamed):
                kept.pop(name, None)

    def heard(self, name: str, now_s: float, *, opening: bool = False) -> None:
        """The stream has spoken of a token."""
        token = self.tokens.get(name)
        if token is None:
            return
        token.heard_s = now_s
        if token.suspect_s is not None:
            token.suspect_s = None
            self._suspects.pop(name, None)
        if opening and not token.opened:
            token.opened = True
            self._unopened.pop(name, None)

    def doubted(self, name: str, now_s: float) -> None:
        """The stream contradicts itself about a token: something was missed."""
        token = self.tokens.get(name)
        if token is None or name in self._doubted:
            return
        rest_s = _REDRIVE_EVERY_S * 2.0 ** min(token.doubts, _MOST_DOUBTS)
        if token.redriven_s is None or now_s - token.redriven_s >= rest_s:
            token.doubts += 1
            self._doubted[name] = None

    def reopened(self, name: str, now_s: float, *, changed: bool) -> None:
        """Its opening book has come. One that says what the stream had said all along clears a token that was called
        frozen: the witness was wrong, and is not believed for a while."""
        token = self.tokens.get(name)
        if token is not None and name in self._blamed and not changed:
            token.trusted_s = now_s + _TRUSTED_S
        self._blamed.pop(name, None)

    def witnessed(self, name: str, now_s: float, *, agrees: bool) -> None:
        """Another source shows a token's price, as it was at `now_s`: the same as the stream's, or not."""
        token = self.tokens.get(name)
        if token is None or not token.opened:
            return
        if agrees:
            self.agreed += 1
            token.suspect_s = None
            self._suspects.pop(name, None)
        elif token.suspect_s is None and now_s >= token.trusted_s:
            self.contradicted += 1
            token.suspect_s = now_s
            self._suspects[name] = None

    # ── what follows ─────────────────────────────────────────────────────────────────────────────────────────────────

    def due(self, now_s: float) -> list[Redrive]:
        """What is to be subscribed anew, and which connections are to be made anew. Takes it for done."""
        found: dict[int, list[str]] = {}
        for name in {**self._suspects, **self._doubted}:
            token = self.tokens[name]
            if name in self._doubted or (token.suspect_s is not None and now_s - token.suspect_s >= GRACE_S):
                found.setdefault(token.line, []).append(name)
        redrives = []
        for line, names in found.items():
            frozen = [name for name in names if name in self._suspects]
            self.frozen += len(frozen)
            self._blamed.update(dict.fromkeys(frozen))
            again = [name for name in frozen if self._lately(name, now_s)]
            reconnect = len(frozen) >= FROZEN_TOKENS_OF_A_FROZEN_LINE or bool(again)
            for name in names:
                self.tokens[name].suspect_s = None
                self._suspects.pop(name, None)
                self._doubted.pop(name, None)
            reason = f"{len(frozen)} tokens frozen" if frozen else f"{len(names)} tokens contradict their books"
            redrives.append(Redrive(line, "reconnect" if reconnect else "subscribe", tuple(names), reason))
        return redrives + self._late_books(now_s)

    def unserved(self, line: int, now_s: float) -> list[str]:
        """Tokens of a connection whose opening book never came, though asked for twice."""
        late = ((name, self.tokens[name]) for name in self._unopened)
        return [n for n, t in late if t.line == line and t.asked_again and now_s - t.asked_s >= FIRST_BOOK_S]

    def late(self) -> dict[str, float]:
        """Tokens of any connection without an opening book though asked for twice, and when they were first."""
        waiting = ((name, self.tokens[name]) for name in self._unopened)
        return {name: token.asked_s - FIRST_BOOK_S for name, token in waiting if token.asked_again}

    def waits(self, names: Iterable[str]) -> bool:
        """Whether one of these is still to get its opening book."""
        return any(name in self._unopened and not self.tokens[name].asked_again for name in names)

    def _lately(self, name: str, now_s: float) -> bool:
        redriven_s = self.tokens[name].redriven_s
        return redriven_s is not None and now_s - redriven_s < 4 * _REDRIVE_EVERY_S

    def _late_books(self, now_s: float) -> list[Redrive]:
        late: dict[int, list[str]] = {}
        frozen: dict[int, list[str]] = {}
        for name in self._unopened:
            token = self.tokens[name]
            if token.redriven_s is not None and now_s - token.asked_s >= CURED_S:
                frozen.setdefault(token.line, []).append(name)
                token.redriven_s = None
            elif not token.asked_again and now_s - token.asked_s >= FIRST_BOOK_S:
                token.asked_again, token.asked_s = True, now_s
                late.setdefault(token.line, []).append(name)
        found = [Redrive(line, "subscribe", tuple(n), f"{len(n)} opening books late") for line, n in late.items()]
        found += [Redrive(line, "reconnect", tuple(n), f"{len(n)} stay frozen") for line, n in frozen.items()]
        return found

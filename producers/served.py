"""What streams serve of what is wanted: how many tokens a connection takes, and which tokens none shows. Pure.

No venue says where its limits are; they are learnt from what does not come, and may be lifted again.
"""

from __future__ import annotations

from collections.abc import Iterable

HOLDS_S = 300.0
HOLDS_AT_MOST_S = 3_600.0
SAID_EVERY_S = 10.0


class Capacity:
    """Tokens on one connection: as many as we take it to be, or fewer, if that was learnt.

    What was learnt is put to the test after `HOLDS_S`, and after twice as long each time that it holds.
    """

    def __init__(self, most: int) -> None:
        self.tokens = self._most = most
        self._learnt_s, self._holds_s = 0.0, HOLDS_S

    @property
    def is_limited(self) -> bool:
        """Whether the venue is known to serve fewer than we took it to."""
        return self.tokens < self._most

    def learnt(self, tokens: int, now_s: float) -> None:
        """A connection does not serve more than so many."""
        self.tokens, self._learnt_s = min(self.tokens, tokens), now_s

    def test(self, now_s: float) -> bool:
        """Whether it is time to ask for as many as ever. Takes it for done."""
        if not self.is_limited or now_s - self._learnt_s < self._holds_s:
            return False
        self.tokens, self._holds_s = self._most, min(2 * self._holds_s, HOLDS_AT_MOST_S)
        return True

    def stood(self) -> None:
        """All that is wanted is served."""
        if not self.is_limited:
            self._holds_s = HOLDS_S


class Unserved:
    """Wanted tokens that no connection shows, and since when (our clock)."""

    def __init__(self) -> None:
        self.tokens: dict[str, None] = {}
        self.since_us = 0
        self._said_s = 0.0

    def account(self, lacking: Iterable[str], since_us: int, now_s: float) -> bool:
        """Takes note of those that are lacking now. True when there is something to tell: the first of them, other ones
        than were told (not more often than each `SAID_EVERY_S`), or that there are none any more."""
        now = dict.fromkeys(lacking)
        if now.keys() == self.tokens.keys():
            return False
        if now and self.tokens and now_s - self._said_s < SAID_EVERY_S:
            return False
        self.since_us = self.since_us if self.tokens else since_us
        self.tokens, self._said_s = now, now_s
        return True

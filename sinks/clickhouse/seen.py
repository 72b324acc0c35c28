"""Each (token, moment) once: which ticks of a batch are stored already, though they came at another offset.

A producer that crashed may publish the same tick again, and a sink that crashed between an insert and its fence reads
the same messages again. The fence cannot tell either; the tick's identity can. Nearly all ticks are newer than the
newest of their token and need no question; the rest are looked up in the store, one query a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from schemas.events import Tick
from schemas.units import US_PER_S
from sinks.clickhouse.store import NewestTicks

AskStore = Callable[[Sequence[tuple[str, int]]], set[tuple[str, int]]]
"""Which of these (token, venue time in microseconds) the store holds."""

_KEPT_US = 86_400 * US_PER_S
_FEWEST = 50_000


class SeenTicks:
    """Newest venue time of each token, and the decision it allows.

    `new_ones` assumes that the batch is stored before the next call; when it is not, call `restart`.

    Args:
        fewest: so many tokens are remembered in any case.
        kept_us: of more, those whose newest is so much older than the newest of all may be forgotten.
    """

    def __init__(self, fewest: int = _FEWEST, kept_us: int = _KEPT_US) -> None:
        self._fewest, self._kept_us = fewest, kept_us
        self._newest: dict[str, int] = {}
        self._floor_us = 0
        """A token that is not known has nothing in the store from here on."""
        self._room = fewest

    def restart(self, stored: NewestTicks) -> None:
        """Forgets everything and starts from what the store holds."""
        self._newest = dict(stored.by_token)
        self._floor_us = stored.floor_us
        self._room = max(self._fewest, 2 * len(self._newest))

    def new_ones(self, ticks: Sequence[Tick], ask: AskStore) -> list[bool]:
        """For each tick, in order, whether to store it: it is the first of its (token, moment)."""
        newest, floor_us = self._newest, self._floor_us
        fresh = [False] * len(ticks)
        late: list[int] = []
        for i, tick in enumerate(ticks):
            token, ts = tick.token_id, tick.ts_event_us
            last = newest.get(token)
            if ts > last if last is not None else ts >= floor_us:
                newest[token] = ts
                fresh[i] = True
            elif ts != last:
                late.append(i)
        if late:
            self._decide_late(ticks, late, fresh, ask)
        if len(newest) > self._room:
            self._forget_silent()
        return fresh

    def _forget_silent(self) -> None:
        """Lets go of markets that have ended. Not before there are twice as many: each is walked over seldom."""
        floor_us = max(self._newest.values()) - self._kept_us
        if floor_us > self._floor_us:
            self._floor_us = floor_us
            self._newest = {token: ts for token, ts in self._newest.items() if ts >= floor_us}
        self._room = max(self._fewest, 2 * len(self._newest))

    def _decide_late(self, ticks: Sequence[Tick], late: Sequence[int], fresh: list[bool], ask: AskStore) -> None:
        """Ticks older than the newest of their token, or of a token unknown for a day: the batch and the store know.

        They never become a token's newest: what the store holds between them and the floor is not known here.
        """
        identities = {i: (ticks[i].token_id, ticks[i].ts_event_us) for i in late}
        known = {(t.token_id, t.ts_event_us) for t, is_fresh in zip(ticks, fresh, strict=True) if is_fresh}
        known |= ask(sorted(set(identities.values()) - known))
        for i in late:
            if identities[i] not in known:
                known.add(identities[i])
                fresh[i] = True

"""Each (token, moment) once: which ticks of a batch are stored already, though they came at another offset.

A producer that crashed may publish the same tick again, and a sink that crashed between an insert and its fence reads
the same messages again. The fence cannot tell either; the tick's identity can. Nearly all ticks are newer than the
newest of their token and need no question; the rest are looked up in the store, one query a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from schemas.events import Tick
from sinks.clickhouse.store import NewestTicks

AskStore = Callable[[Sequence[tuple[str, int]]], set[tuple[str, int]]]
"""Which of these (token, venue time in microseconds) the store holds."""


class SeenTicks:
    """Newest venue time of each token, and the decision it allows.

    `new_ones` assumes that the batch is stored before the next call; when it is not, call `restart`.
    """

    def __init__(self) -> None:
        self._newest: dict[str, int] = {}
        self._floor_us = 0

    def restart(self, stored: NewestTicks) -> None:
        """Forgets everything and starts from what the store holds."""
        self._newest = dict(stored.by_token)
        self._floor_us = stored.floor_us

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
        return fresh

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

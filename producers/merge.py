"""Merges connections that tell the same: each message is taken once, whichever connection brings it first. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Newest:
    """The states of a channel of one market at its newest order, as merged, and how far each connection told them: in
    which of its lives, and how many of the states."""

    order: int = -1
    states: list[object] = field(default_factory=list)
    told: dict[int, tuple[str, int]] = field(default_factory=dict)


class Merge:
    """Decides for each message whether it is the first of its kind.

    Both connections tell a market's states in the same order, with the same `order` number (a stamp or the exchange's
    clock), of which several states may share one. A connection that dies and comes back may begin anywhere; only where
    a market returned to the very same state within one order is it unsure what such a connection means, and the state
    is taken for told, since the other connection will tell it if it is new.
    """

    def __init__(self) -> None:
        self._newest: dict[str, dict[str, _Newest]] = {}

    def is_new(self, connection: int, life: str, market: str, order: int, state: object, channel: str = "") -> bool:
        """Whether no connection has told this state yet. One of a lower order than the newest has been told.

        `life` names one life of a connection, of which only the last counts: each begins with a snapshot of all, and a
        market may stay at one order for weeks. Each `channel` of a market has states and orders of its own.
        """
        channels = self._newest.get(market)
        if channels is None:
            channels = self._newest[market] = {}
        newest = channels.get(channel)
        if newest is None:
            newest = channels[channel] = _Newest()
        if order < newest.order:
            return False
        if order > newest.order:
            newest.order, newest.states, newest.told = order, [state], {connection: (life, 1)}
            return True
        lived, place = newest.told.get(connection, (life, 0))
        place = place if lived == life else 0
        for index in range(place, len(newest.states)):
            if newest.states[index] == state:
                newest.told[connection] = life, index + 1
                return False
        newest.states.append(state)
        newest.told[connection] = life, len(newest.states)
        return True

    def markets(self) -> Collection[str]:
        """Those of which something is kept."""
        return self._newest.keys()

    def forget(self, market: str) -> None:
        """The market has ended."""
        self._newest.pop(market, None)

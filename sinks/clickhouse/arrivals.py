"""Up to which moment of each venue's moves all ticks are stored: what is judged by prices afterwards waits for that.

Moves are few and ticks are many. A sink that catches up, after a bad hour or at a start, has stored the moves of a
moment minutes before the ticks of that moment; judged then, a market seems silent or to have stood still, for good.
So a moment counts when the store's record of offsets, of all sinks, has passed where the ticks' partitions stood when
its move was stored. Not by the times of messages: where one machine's clock was an hour ahead for a moment, Kafka finds
that moment's messages for every later time of that hour.

Each venue has a moment of its own: the collector of one may keep its ticks on disk for an hour, because Kafka is out of
its reach, while another's go on. They are published late, and until then nothing can be said of their time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from kernel.kafka.readers import Place
from schemas.topics import TICKS
from schemas.units import US_PER_S
from sinks.clickhouse.fence import in_force
from sinks.clickhouse.store import Store

_EVERY_US: Final = 60 * US_PER_S


class Bounds(Protocol):
    """Where a topic begins and ends, as `log_ends.Bounds` tells it."""

    def is_answered(self) -> bool:
        """Whether `offsets` would not wait."""

    def offsets(self) -> Mapping[Place, tuple[int, int]] | None:
        """Of each place the first offset that is held, and the one that is next; None: not told."""


class Logs(Protocol):
    """What is asked of Kafka, as `Membership` does."""

    def bounds(self, name: str) -> Bounds:
        """Asks where a topic begins and ends."""

    def topic_id(self, name: str) -> str:
        """Which of the topics of this name."""


class Arrivals:
    """One moment at a time, a minute apart at least; nothing here waits for Kafka."""

    def __init__(self, store: Store, logs: Logs) -> None:
        self._store = store
        self._logs = logs
        self._newest_us: dict[str, int] = {}
        self._asked: Bounds | None = None
        self._moments_us: dict[str, int] = {}
        self._wanted: dict[Place, int] = {}
        self._arrived_us: dict[str, int] = {}

    def advance(self, newest_us: Mapping[str, int]) -> Mapping[str, int] | None:
        """Of each venue the moment up to which all its ticks are stored; None most of the time. Of some venue it is a
        minute later than before.

        Args:
            newest_us: of each venue the newest of the moves just stored, venue time.

        Raises:
            TransientError: the store is away; call again.
        """
        self._newest_us |= {venue: at for venue, at in newest_us.items() if at > self._newest_us.get(venue, 0)}
        if self._asked is None:
            if self._due(self._newest_us):
                self._moments_us, self._wanted = dict(self._newest_us), {}
                self._ask()
            return None
        if not self._asked.is_answered():
            return None
        if not self._are_stored(self._asked.offsets()):
            self._ask()
            return None
        self._asked = None
        self._arrived_us |= self._due(self._moments_us)
        return self._moments_us

    def _due(self, moments_us: Mapping[str, int]) -> dict[str, int]:
        """Those that are a minute later than the venue's last."""
        return {venue: at for venue, at in moments_us.items() if at >= self._arrived_us.get(venue, 0) + _EVERY_US}

    def _ask(self) -> None:
        self._asked = self._logs.bounds(TICKS.name)

    def _are_stored(self, held: Mapping[Place, tuple[int, int]] | None) -> bool:
        if held is None:
            return False
        # As of the first answer, so that it is reached; less where a log was set back or made anew meanwhile.
        self._wanted = {place: min(high, self._wanted.get(place, high)) for place, (_, high) in held.items()}
        fences = in_force(self._store.fences([TICKS.name]), {TICKS.name: self._logs.topic_id(TICKS.name)})
        next_offsets = {place: fence.last_offset + 1 for place, fence in fences.items()}
        return all(max(low, next_offsets.get(place, 0)) >= self._wanted[place] for place, (low, _) in held.items())

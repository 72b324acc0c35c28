"""Up to which moment of each venue's moves all ticks are stored: what is judged by prices afterwards waits for that.

Moves are few and ticks are many. A sink that catches up, after a bad hour or at a start, has stored the moves of a
moment minutes before the ticks of that moment; judged then, a market seems silent or to have stood still, for good.
So a moment counts when the store's record of offsets, of all sinks, has passed where the ticks' partitions stood when
the move of that moment was published.

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


class Instant(Protocol):
    """Where a topic stood, as `log_ends.Instant` tells it."""

    def is_answered(self) -> bool:
        """Whether `offsets` would not wait."""

    def offsets(self) -> Mapping[Place, tuple[int, int]] | None:
        """Of each place the first offset that is held, and the one that was next then; None: not told."""


class Logs(Protocol):
    """What is asked of Kafka, as `Membership` does."""

    def instant(self, name: str, at_ms: int) -> Instant:
        """Asks where a topic stood."""

    def topic_id(self, name: str) -> str:
        """Which of the topics of this name."""


class Arrivals:
    """One moment at a time, a minute apart at least; nothing here waits for Kafka."""

    def __init__(self, store: Store, logs: Logs) -> None:
        self._store = store
        self._logs = logs
        self._newest_us: dict[str, int] = {}
        self._newest_ms = 0
        self._asked: Instant | None = None
        self._moments_us: dict[str, int] = {}
        self._published_ms = 0
        self._arrived_us: dict[str, int] = {}

    def advance(self, newest_us: Mapping[str, int], published_ms: int) -> Mapping[str, int] | None:
        """Of each venue the moment up to which all its ticks are stored; None most of the time. Of some venue it is a
        minute later than before.

        Args:
            newest_us: of each venue the newest of the moves just stored, venue time.
            published_ms: when the last of them was published, by Kafka's stamps; 0 when none were.

        Raises:
            TransientError: the store is away; call again.
        """
        self._newest_us |= {venue: at for venue, at in newest_us.items() if at > self._newest_us.get(venue, 0)}
        self._newest_ms = max(self._newest_ms, published_ms)
        if self._asked is None:
            if self._due(self._newest_us):
                self._moments_us, self._published_ms = dict(self._newest_us), self._newest_ms
                self._ask()
            return None
        if not self._asked.is_answered():
            return None
        if not self._are_stored(self._asked.offsets()):
            # Asked again and not remembered: a log that was set back or made anew meanwhile stands elsewhere.
            self._ask()
            return None
        self._asked = None
        self._arrived_us |= self._due(self._moments_us)
        return self._moments_us

    def _due(self, moments_us: Mapping[str, int]) -> dict[str, int]:
        """Those that are a minute later than the venue's last."""
        return {venue: at for venue, at in moments_us.items() if at >= self._arrived_us.get(venue, 0) + _EVERY_US}

    def _ask(self) -> None:
        self._asked = self._logs.instant(TICKS.name, self._published_ms)

    def _are_stored(self, wanted: Mapping[Place, tuple[int, int]] | None) -> bool:
        if wanted is None:
            return False
        fences = in_force(self._store.fences([TICKS.name]), {TICKS.name: self._logs.topic_id(TICKS.name)})
        next_offsets = {place: fence.last_offset + 1 for place, fence in fences.items()}
        return all(max(low, next_offsets.get(place, 0)) >= then for place, (low, then) in wanted.items())

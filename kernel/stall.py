"""A reader that has stopped reading: Kafka has more of a partition, is reachable, and nothing of it comes.

librdkafka can leave a partition without a leader for good when a broker answers while it is still being let in after
a restart (confluentinc/librdkafka#5431, open in 2.12.1). The client is healthy by all it says of itself; only the log's
end tells. What helps is another client.
"""

from __future__ import annotations

from collections.abc import Mapping

from kernel.kafka.readers import Place

PATIENCE_S = 45.0
"""So long a partition with more to read may stand still while the loop turns."""

LONGEST_BLINK_S = 15.0
"""Looks further apart than this say that the loop itself stood still (a slow store): all clocks begin anew."""


JOINS_WITHIN_S = 300.0
"""A group waits so long for its slowest member (`max.poll.interval.ms`) before it gives out partitions without it."""


class Joining:
    """A reader that asked to join its group and was never answered, be it with no partition at all.

    librdkafka's waits end at a moment of the wall clock: one that is set back by an hour while a reader joins may keep
    its thread asleep for that hour, while the loop turns and all seems well (seen in `tests/chaos`, seed 31).

    Args:
        now_s: when it asked, on a monotonic clock.
    """

    def __init__(self, now_s: float) -> None:
        self._since_s = now_s
        self.joined = False

    def in_vain(self, now_s: float, *, kafka_away: bool) -> bool:
        """Whether it has waited for longer than any group takes. While Kafka is away nobody can join."""
        if kafka_away:
            self._since_s = now_s
        return not self.joined and now_s - self._since_s > JOINS_WITHIN_S


class Stall:
    """Since when each place stands still. Moments are of one monotonic clock, in seconds."""

    def __init__(self) -> None:
        self._looked_s = float("-inf")
        self._behind: dict[Place, tuple[int, float]] = {}
        self._told: dict[Place, int] = {}

    def stuck(self, ends: Mapping[Place, int], positions: Mapping[Place, int], now_s: float) -> list[Place]:
        """The places that have stood still for too long, each told once a position.

        Once, since a log may end in offsets that hold no message any more (compaction): there nothing is to come.

        Args:
            ends: the next offset Kafka will give out, of each place.
            positions: the next offset to be read, of each place.
        """
        if now_s - self._looked_s > LONGEST_BLINK_S:
            self._behind.clear()
        self._looked_s = now_s
        before, self._behind = self._behind, {}
        found = []
        for place, position in positions.items():
            if ends.get(place, 0) <= position or self._told.get(place) == position:
                continue
            known, since_s = before.get(place, (position, now_s))
            if known != position:
                since_s = now_s
            self._behind[place] = (position, since_s)
            if now_s - since_s > PATIENCE_S:
                self._told[place] = position
                found.append(place)
        return found

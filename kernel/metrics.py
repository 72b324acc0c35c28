"""What every process of ours counts: the one table of names, meanings and labels. Served by `kernel.process`.

Units stand in the names; a counter gets `_total` when it is served. `tests/ops` holds that dashboards, alert rules and
the runbook speak of nothing else.
"""

from __future__ import annotations

import collections
from bisect import bisect_left
from collections.abc import Iterable

from prometheus_client import Counter, Gauge, Histogram


class Lags(Histogram):
    """A histogram that finds its bucket by halving: the client tries one after the other, 2 µs for sixty of them.

    Leans on private names of the client; `tests/kernel/test_metrics.py` holds what is served equal to the client's own.
    """

    def observe(self, amount: float, exemplar: dict[str, str] | None = None) -> None:
        """Counts one value. Exemplars are not kept."""
        self._sum.inc(amount)
        self._buckets[bisect_left(self._upper_bounds, amount)].inc(1)

    def observe_all(self, amounts: Iterable[float]) -> None:
        """Counts each of many values, for little more than that of one."""
        bounds, values = self._upper_bounds, list(amounts)
        self._sum.inc(sum(values))
        for place, count in collections.Counter([bisect_left(bounds, value) for value in values]).items():
            self._buckets[place].inc(count)


# Geometric, so that a quantile read off the buckets is right within 20 %.
LAG_BUCKETS_S = tuple(round(0.001 * 1.2**i, 6) for i in range(64))

LAG = Lags(
    "movers_lag_seconds",
    "Time since we received the event, when this stage was done with it",
    ["stage", "venue"],
    buckets=LAG_BUCKETS_S,
)
MESSAGES = Counter("movers_messages", "Messages this process finished with", ["stage", "topic"])
BAD_INPUT = Counter("movers_bad_input", "Messages or rows that could not be used", ["stage", "reason"])
LOST = Counter("movers_lost_messages", "Messages that Kafka deleted before this stage read them", ["stage", "topic"])
STATE_DROPPED = Counter(
    "movers_state_dropped", "Remembered states that could not be read any more and began anew", ["stage", "part"]
)
NEWEST_EVENT = Gauge("movers_newest_event_timestamp_seconds", "Venue time of the newest event seen", ["stage", "venue"])
ROWS = Counter("movers_rows", "Rows written to the store", ["table"])
SET_BACK = Counter("movers_kafka_set_back", "Partitions found without data that they had before", ["stage", "topic"])
STALLED = Counter("movers_stalled_readers", "Partitions that had more and of which nothing came", ["stage", "topic"])
HEALTHY = Gauge("movers_healthy", "1 while the process can do its work now, as /health says", ["process"])
BACKLOG = Gauge(
    "movers_backlog_messages", "Messages that Kafka has and this client has not yet taken", ["client", "topic"]
)
PUBLISHED = Counter("movers_published_messages", "Messages that this stage made", ["stage", "topic"])
ANSWERS = Counter(
    "movers_venue_answers", "Answers of a venue, by HTTP status; frames of a stream as ws", ["venue", "status"]
)
RETRIES = Counter("movers_venue_retries", "Requests to a venue's host that had to be made again", ["host"])
SPILL = Gauge("movers_spill_bytes", "What waits on disk because Kafka did not take it", ["collector"])
FEED_UP = Gauge("movers_feed_up", "1 while the feed is connected or degraded, 0 while disconnected", ["venue", "shard"])
FEED_IN_GAP = Gauge("movers_feed_in_gap", "1 while a gap of the feed is open", ["venue", "shard"])
FEED_GAP = Counter("movers_feed_gap_seconds", "Venue time that lies in closed gaps", ["venue", "shard"])

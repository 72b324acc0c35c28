"""What every process of ours counts. Served by `kernel.process`."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

# Geometric, so that a quantile read off the buckets is right within 20 %.
LAG_BUCKETS_S = tuple(round(0.001 * 1.2**i, 6) for i in range(64))

LAG = Histogram(
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

-- What the collectors said of their feeds.
CREATE TABLE IF NOT EXISTS feed_status
(
    venue             LowCardinality(String),
    shard             LowCardinality(String),
    state             LowCardinality(String),
    ts                DateTime64(6, 'UTC'),
    ts_received       DateTime64(6, 'UTC'),
    detail            String,
    markets_tracked   UInt32,
    markets_stale     UInt32,
    ticks_published   UInt64,
    bad_messages      UInt64,
    gap_started       Nullable(DateTime64(6, 'UTC')),
    clock_skew_ms     Nullable(Float64),
    event_id          FixedString(24),
    ts_stored         DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = ReplacingMergeTree(ts_stored)
ORDER BY (venue, shard, ts_received, event_id)
TTL toDateTime(ts_stored) + INTERVAL 30 DAY;

-- The fence: highest offset stored of each topic-partition and topic epoch. Read with FINAL.
CREATE TABLE IF NOT EXISTS ingest_offsets
(
    topic       LowCardinality(String),
    partition   UInt16,
    epoch       String,
    last_offset UInt64,
    stored_at   DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = ReplacingMergeTree(last_offset)
ORDER BY (topic, partition, epoch);

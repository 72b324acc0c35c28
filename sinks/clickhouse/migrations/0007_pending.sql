-- What each sink was about to insert, recorded before it does: its successor carries out exactly that, with the same
-- deduplication tokens, before it reads on. One row a take-over of partitions (owner); the newest number counts.
-- ranges: the offsets of the batch; skipped: (partition, offset) of ticks left out because they were stored already.
CREATE TABLE IF NOT EXISTS ingest_pending
(
    owner       String,
    generation  UInt64,
    number      UInt64,
    ranges      Array(Tuple(topic String, partition UInt16, epoch String, first UInt64, last UInt64)),
    skipped     Array(Tuple(partition UInt16, offset UInt64)),
    recorded_at DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = ReplacingMergeTree(number)
ORDER BY owner
TTL toDateTime(recorded_at) + INTERVAL 60 DAY;

-- The leader's epoch of the message at last_offset: a log that lost its newest data has another one there.
ALTER TABLE ingest_offsets ADD COLUMN IF NOT EXISTS leader_epoch Int32 DEFAULT -1;

-- A predecessor's insert may arrive late: its token must not be forgotten meanwhile (about an hour of batches).
ALTER TABLE snapshots MODIFY SETTING non_replicated_deduplication_window = 10000;

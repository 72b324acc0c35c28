-- What people said of markets that may be the same event on two venues, as `movers pairs publish` wrote it; of a pair the
-- newest row counts. `confidence`: how alike the titles read, 0 to 1. Steps, answers and the lag are of the `looked_back_h`
-- hours before `ts`: the median seconds by which b moved after a, negative when b was first, NULL when none was answered.
CREATE TABLE IF NOT EXISTS market_pairs
(
    market_a      String,
    market_b      String,
    verdict       LowCardinality(String),
    confidence    Nullable(Float64),
    note          String,
    looked_back_h Float64,
    steps         UInt32,
    answered      UInt32,
    b_after_a_s   Nullable(Float64),
    ts            DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = ReplacingMergeTree(ts)
ORDER BY (market_a, market_b);

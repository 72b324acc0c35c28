-- The newest move of each token and window. Read with FINAL. `window` is 5m, 15m, 1h, 24h (seconds + 's' for others).
CREATE TABLE IF NOT EXISTS movers_latest
(
    window              LowCardinality(String),
    token_id            String,
    market_id           String,
    venue               LowCardinality(String),
    ts                  DateTime64(6, 'UTC'),
    ts_received         DateTime64(6, 'UTC'),
    price_now           Nullable(Decimal(9, 6)),
    price_then          Nullable(Decimal(9, 6)),
    ts_then             Nullable(DateTime64(6, 'UTC')),
    move_pp             Nullable(Float64),
    abs_move_pp         Nullable(Float64),
    score               Nullable(Float64),
    coverage_s          UInt32,
    price_basis         LowCardinality(String),
    spread              Nullable(Decimal(9, 6)),
    volume_24h_usd      Nullable(Float64),
    window_volume_usd   Nullable(Float64),
    window_trades       Nullable(UInt64),
    market_status       LowCardinality(String),
    seconds_to_close    Nullable(Int64),
    step_pp             Nullable(Float64),
    is_settling         Bool,
    computed_across_gap Bool,
    ts_stored           DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = ReplacingMergeTree(ts)
ORDER BY (window, token_id);

-- The top rows of each window at each minute of venue time: what the board showed then. Read with FINAL.
CREATE TABLE IF NOT EXISTS movers_cache
(
    as_of_ts            DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    window              LowCardinality(String),
    rank                UInt16,
    token_id            String CODEC(ZSTD(1)),
    market_id           String CODEC(ZSTD(1)),
    venue               LowCardinality(String),
    ts                  DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    price_now           Decimal(9, 6),
    price_then          Decimal(9, 6),
    move_pp             Float64,
    abs_move_pp         Float64,
    score               Float64,
    volume_24h_usd      Nullable(Float64),
    spread              Nullable(Decimal(9, 6)),
    computed_across_gap Bool,
    ts_stored           DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = ReplacingMergeTree(ts_stored)
PARTITION BY toYYYYMM(as_of_ts)
ORDER BY (window, as_of_ts, rank)
TTL toDateTime(ts_stored) + INTERVAL 30 DAY;

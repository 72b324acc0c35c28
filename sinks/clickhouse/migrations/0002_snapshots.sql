-- Append-only ticks: each (token, moment) once. Prices are probabilities, 0 to 1, exact to 1e-6.
-- Retention counts from ts_stored, so that a replayed recording of last year is not deleted while it is being read.
CREATE TABLE IF NOT EXISTS snapshots
(
    ts                     DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    token_id               String CODEC(ZSTD(1)),
    market_id              String CODEC(ZSTD(1)),
    venue                  LowCardinality(String),
    price                  Nullable(Decimal(9, 6)) CODEC(ZSTD(1)),
    price_basis            LowCardinality(String),
    bid                    Nullable(Decimal(9, 6)) CODEC(ZSTD(1)),
    ask                    Nullable(Decimal(9, 6)) CODEC(ZSTD(1)),
    last                   Nullable(Decimal(9, 6)) CODEC(ZSTD(1)),
    spread                 Nullable(Decimal(9, 6)) CODEC(ZSTD(1)),
    bid_size_contracts     Nullable(Float64) CODEC(ZSTD(1)),
    ask_size_contracts     Nullable(Float64) CODEC(ZSTD(1)),
    volume_24h_usd         Nullable(Float64) CODEC(ZSTD(1)),
    volume_total_usd       Nullable(Float64) CODEC(ZSTD(1)),
    volume_total_contracts Nullable(Float64) CODEC(ZSTD(1)),
    trades                 Nullable(UInt32) CODEC(ZSTD(1)),
    market_status          LowCardinality(String),
    source                 LowCardinality(String),
    ts_event_basis         LowCardinality(String),
    flags                  Array(LowCardinality(String)) CODEC(ZSTD(1)),
    event_id               FixedString(24) CODEC(ZSTD(1)),
    ts_received            DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    ts_stored              DateTime64(6, 'UTC') DEFAULT now64(6) CODEC(DoubleDelta, ZSTD(1)),
    kafka_partition        UInt16 CODEC(ZSTD(1)),
    kafka_offset           UInt64 CODEC(DoubleDelta, ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toDate(ts)
ORDER BY (toStartOfHour(ts), token_id, ts)
TTL toDateTime(ts_stored) + INTERVAL 14 DAY
SETTINGS non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 1;

-- One-minute bars. A corrected bar replaces the earlier one (newest ts_received wins). Read with FINAL.
CREATE TABLE IF NOT EXISTS ohlcv_1m
(
    ts          DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    token_id    String CODEC(ZSTD(1)),
    market_id   String CODEC(ZSTD(1)),
    venue       LowCardinality(String),
    open        Decimal(9, 6) CODEC(ZSTD(1)),
    high        Decimal(9, 6) CODEC(ZSTD(1)),
    low         Decimal(9, 6) CODEC(ZSTD(1)),
    close       Decimal(9, 6) CODEC(ZSTD(1)),
    volume_usd  Nullable(Float64) CODEC(ZSTD(1)),
    trades      Nullable(UInt64) CODEC(ZSTD(1)),
    ticks       UInt32 CODEC(ZSTD(1)),
    ts_received DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    ts_stored   DateTime64(6, 'UTC') DEFAULT now64(6) CODEC(DoubleDelta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(ts_received)
PARTITION BY toYYYYMM(ts)
ORDER BY (token_id, ts)
TTL toDateTime(ts_stored) + INTERVAL 365 DAY
SETTINGS non_replicated_deduplication_window = 1000;

-- Five-minute bars are the one-minute bars put together when read: never out of step with them.
CREATE VIEW IF NOT EXISTS ohlcv_5m AS
SELECT
    toStartOfInterval(bar.ts, INTERVAL 5 MINUTE) AS ts,
    bar.token_id AS token_id,
    any(bar.market_id) AS market_id,
    any(bar.venue) AS venue,
    argMin(bar.open, bar.ts) AS open,
    max(bar.high) AS high,
    min(bar.low) AS low,
    argMax(bar.close, bar.ts) AS close,
    sum(bar.volume_usd) AS volume_usd,
    sum(bar.trades) AS trades,
    sum(bar.ticks) AS ticks
FROM ohlcv_1m AS bar FINAL
GROUP BY token_id, ts;

-- Hourly bars, as ohlcv_5m: the one-minute bars put together when read, so that a corrected minute is in them at once.
CREATE VIEW IF NOT EXISTS ohlcv_1h AS
SELECT
    toStartOfHour(bar.ts) AS ts,
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

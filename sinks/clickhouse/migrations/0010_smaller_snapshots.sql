-- Half of a row was its event_id, which says nothing that (token_id, ts) does not: event_id(market_id, ts) in schemas.
ALTER TABLE snapshots DROP COLUMN IF EXISTS event_id;
ALTER TABLE snapshots MODIFY COLUMN market_id LowCardinality(String);
ALTER TABLE snapshots MODIFY COLUMN price Nullable(Decimal(9, 6)) CODEC(Delta, ZSTD(3));
ALTER TABLE snapshots MODIFY COLUMN bid Nullable(Decimal(9, 6)) CODEC(Delta, ZSTD(3));
ALTER TABLE snapshots MODIFY COLUMN ask Nullable(Decimal(9, 6)) CODEC(Delta, ZSTD(3));
ALTER TABLE snapshots MODIFY COLUMN last Nullable(Decimal(9, 6)) CODEC(Delta, ZSTD(3));
ALTER TABLE snapshots MODIFY COLUMN volume_24h_usd Nullable(Float64) CODEC(ZSTD(3));
ALTER TABLE snapshots MODIFY COLUMN volume_total_usd Nullable(Float64) CODEC(ZSTD(3));
ALTER TABLE snapshots MODIFY COLUMN volume_total_contracts Nullable(Float64) CODEC(Delta, ZSTD(3));

-- Told from other columns, so they cost nothing: how long the news took to reach us, and the dollars that rest at the best
-- bid and ask together.
ALTER TABLE snapshots ADD COLUMN IF NOT EXISTS source_latency_ms Float64
    ALIAS (toUnixTimestamp64Micro(ts_received) - toUnixTimestamp64Micro(ts)) / 1000;
ALTER TABLE snapshots ADD COLUMN IF NOT EXISTS liquidity Nullable(Float64)
    ALIAS toFloat64(bid) * bid_size_contracts + (1 - toFloat64(ask)) * ask_size_contracts;

-- The token as its venue names it, without our prefix.
ALTER TABLE market_tokens ADD COLUMN IF NOT EXISTS source_token_id String
    ALIAS if(position(token_id, ':') > 0, substring(token_id, position(token_id, ':') + 1), token_id);

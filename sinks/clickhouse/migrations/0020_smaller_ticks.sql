-- What a tick takes on disk, by how its neighbours in the table (the same token, a moment before) differ from it.
-- Stamps: their plain differences pack better than the differences of differences, regular or not.
ALTER TABLE snapshots MODIFY COLUMN ts DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1));
ALTER TABLE snapshots MODIFY COLUMN ts_received DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1));
ALTER TABLE snapshots MODIFY COLUMN ts_stored DateTime64(6, 'UTC') DEFAULT now64(6) CODEC(Delta, ZSTD(1));
-- Each name once a granule, and a number a row.
ALTER TABLE snapshots MODIFY COLUMN token_id LowCardinality(String) CODEC(ZSTD(1));
ALTER TABLE snapshots MODIFY COLUMN price Nullable(Decimal(9, 6)) CODEC(Delta, ZSTD(6));
ALTER TABLE snapshots MODIFY COLUMN bid Nullable(Decimal(9, 6)) CODEC(Delta, ZSTD(6));
ALTER TABLE snapshots MODIFY COLUMN ask Nullable(Decimal(9, 6)) CODEC(Delta, ZSTD(6));
ALTER TABLE snapshots MODIFY COLUMN last Nullable(Decimal(9, 6)) CODEC(Delta, ZSTD(6));
ALTER TABLE snapshots MODIFY COLUMN spread Nullable(Decimal(9, 6)) CODEC(ZSTD(6));
ALTER TABLE snapshots MODIFY COLUMN volume_24h_usd Nullable(Float64) CODEC(Delta, ZSTD(6));
ALTER TABLE snapshots MODIFY COLUMN volume_total_usd Nullable(Float64) CODEC(Delta, ZSTD(6));
ALTER TABLE snapshots MODIFY COLUMN volume_total_contracts Nullable(Float64) CODEC(Delta, ZSTD(6));

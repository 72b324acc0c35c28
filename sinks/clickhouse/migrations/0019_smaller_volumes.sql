-- Neighbours of one market differ in the low bits of their volumes: the difference packs better, and is as exact.
ALTER TABLE snapshots MODIFY COLUMN volume_24h_usd Nullable(Float64) CODEC(Delta, ZSTD(3));
ALTER TABLE snapshots MODIFY COLUMN volume_total_usd Nullable(Float64) CODEC(Delta, ZSTD(3));

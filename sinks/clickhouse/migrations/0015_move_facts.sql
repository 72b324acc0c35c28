-- Why a window has no move, its time-weighted mean, and the foot of its move.
ALTER TABLE movers_latest ADD COLUMN IF NOT EXISTS no_move LowCardinality(String) AFTER computed_across_gap;
ALTER TABLE movers_latest ADD COLUMN IF NOT EXISTS reference Nullable(Decimal(9, 6)) AFTER no_move;
ALTER TABLE movers_latest ADD COLUMN IF NOT EXISTS onset_ts Nullable(DateTime64(6, 'UTC')) AFTER reference;

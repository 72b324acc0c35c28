-- An episode belongs to a rule; the windows that say the same are its fields, and it tells why.
ALTER TABLE alerts ADD COLUMN IF NOT EXISTS rule LowCardinality(String) AFTER rule_version;
ALTER TABLE alerts ADD COLUMN IF NOT EXISTS windows Array(LowCardinality(String)) AFTER rule;
ALTER TABLE alerts ADD COLUMN IF NOT EXISTS severity LowCardinality(String) AFTER windows;
ALTER TABLE alerts ADD COLUMN IF NOT EXISTS reason String AFTER severity;
ALTER TABLE alerts ADD COLUMN IF NOT EXISTS factors_for Array(LowCardinality(String)) AFTER reason;
ALTER TABLE alerts ADD COLUMN IF NOT EXISTS factors_against Array(LowCardinality(String)) AFTER factors_for;
ALTER TABLE alerts ADD COLUMN IF NOT EXISTS onset_ts Nullable(DateTime64(6, 'UTC')) AFTER factors_against;
ALTER TABLE alerts ADD COLUMN IF NOT EXISTS window_volume_usd Nullable(Float64) AFTER onset_ts;
ALTER TABLE alerts ADD COLUMN IF NOT EXISTS window_trades Nullable(UInt64) AFTER window_volume_usd;

-- One row an episode: its newest state. Of messages of one moment the end is the newest.
CREATE OR REPLACE VIEW alert_episodes AS
SELECT *
FROM alerts FINAL
ORDER BY ts DESC, state IN ('closed', 'reverted') DESC
LIMIT 1 BY alert_id;

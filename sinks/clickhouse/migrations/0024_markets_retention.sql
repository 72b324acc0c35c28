-- An ended market and its outcomes are kept as long as the longest kept table that speaks of it (bars and alerts: 365 days
-- by default, and a week for what is told after an end); `retention_days` in migrate.py follows the settings. Outcomes
-- learn whether their market has ended; those of markets that ended before this file have no status, and stay.
ALTER TABLE market_tokens ADD COLUMN IF NOT EXISTS status LowCardinality(String);
ALTER TABLE market_tokens ADD COLUMN IF NOT EXISTS ts_stored DateTime64(6, 'UTC') DEFAULT now64(6);
ALTER TABLE market_tokens MODIFY TTL toDateTime(ts_stored) + INTERVAL 372 DAY DELETE WHERE status IN ('closed', 'settled');
ALTER TABLE markets MODIFY TTL toDateTime(ts_stored) + INTERVAL 372 DAY DELETE WHERE status IN ('closed', 'settled');

-- The row that says that a market has ended must meet the row that says it is open before it is deleted: deleted alone, in
-- a small part that no merge had brought together with a large one, it left the older row behind, and the market was open
-- again, for ever. Parts that are a day old are merged into one.
ALTER TABLE markets MODIFY SETTING min_age_to_force_merge_seconds = 86400;
ALTER TABLE market_tokens MODIFY SETTING min_age_to_force_merge_seconds = 86400;

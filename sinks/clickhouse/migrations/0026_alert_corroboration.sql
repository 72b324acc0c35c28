-- Whether other markets went along with an alert's: those of its event (`siblings`) and the same event on the other venue
-- (`other_venue`, of pairs that people confirmed); NULL is not known. `other_after_s`: seconds from the alert's opening to
-- when the other venue had gone half of the move, negative when it was first. An alert's row changes until it `is_final`,
-- a quarter of an hour after it opened. Read with FINAL.
CREATE TABLE IF NOT EXISTS alert_corroboration
(
    alert_id        FixedString(24),
    looked_at       DateTime64(6, 'UTC'),
    is_final        Bool,
    siblings        Nullable(Bool),
    other_market_id String,
    other_venue     Nullable(Bool),
    other_after_s   Nullable(Float64),
    ts_stored       DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = ReplacingMergeTree(looked_at)
ORDER BY alert_id
TTL toDateTime(ts_stored) + INTERVAL 365 DAY;

-- The window in seconds, beside its label.
ALTER TABLE alerts ADD COLUMN IF NOT EXISTS window_s UInt32
    ALIAS toUInt32(transform(window, ['5m', '15m', '1h', '24h'], [300, 900, 3600, 86400], toUInt32OrZero(trim(TRAILING 's' FROM window))));

-- What no longer changes leaves the hot tables. A market that trades is told again and again, so a newest move stored three
-- days ago belongs to a market that ended; an ended market itself is kept for a season, for its page and its alerts.
ALTER TABLE movers_latest MODIFY TTL toDateTime(ts_stored) + INTERVAL 3 DAY;
ALTER TABLE markets MODIFY TTL toDateTime(ts_stored) + INTERVAL 90 DAY DELETE WHERE status IN ('closed', 'settled');
ALTER TABLE alerts MODIFY TTL toDateTime(ts_stored) + INTERVAL 365 DAY;
ALTER TABLE alert_acks MODIFY TTL toDateTime(acked_at) + INTERVAL 365 DAY;

-- The window in seconds, beside its label.
ALTER TABLE movers_latest ADD COLUMN IF NOT EXISTS window_s UInt32
    ALIAS toUInt32(transform(window, ['5m', '15m', '1h', '24h'], [300, 900, 3600, 86400], toUInt32OrZero(trim(TRAILING 's' FROM window))));
ALTER TABLE movers_cache ADD COLUMN IF NOT EXISTS window_s UInt32
    ALIAS toUInt32(transform(window, ['5m', '15m', '1h', '24h'], [300, 900, 3600, 86400], toUInt32OrZero(trim(TRAILING 's' FROM window))));

-- A market whose price stands still is on no board, but counts in its category: not moved is the reader's question.
CREATE OR REPLACE VIEW board_rows AS
WITH
    coalesce(
        {as_of:Nullable(DateTime64(6, 'UTC'))},
        (SELECT toStartOfMinute(max(ts)) FROM movers_latest WHERE window IN {windows:Array(String)})
    ) AS board_ts
SELECT movers_latest.*, board_ts, window_s
FROM movers_latest FINAL
WHERE window IN {windows:Array(String)}
    AND isNotNull(price_now) AND isNotNull(price_then) AND isNotNull(move_pp) AND isNotNull(score)
    AND coverage_s >= window_s
    AND market_status = 'open'
    AND ts >= board_ts - toIntervalSecond(least(greatest(window_s, 300), 1200));

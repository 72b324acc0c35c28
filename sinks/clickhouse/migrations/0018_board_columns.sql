-- What is on the board is told once, here; all of it but its age is known when a move is stored, and need not be worked
-- out of eight columns each time somebody looks. on_board: its window is fully covered, its prices are known, its market
-- is open. fresh_s: how long it stays without being heard of again, its window, but at least 5 and at most 20 minutes.
ALTER TABLE movers_latest ADD COLUMN IF NOT EXISTS on_board Bool MATERIALIZED
    isNotNull(price_now) AND isNotNull(price_then) AND isNotNull(move_pp) AND isNotNull(score)
    AND coverage_s >= window_s AND market_status = 'open';
ALTER TABLE movers_latest ADD COLUMN IF NOT EXISTS fresh_s UInt32 MATERIALIZED least(greatest(window_s, 300), 1200);

-- Eight bytes by which a move finds its market's category. Two of a million markets have the same once in 37 million.
ALTER TABLE movers_latest ADD COLUMN IF NOT EXISTS market_key UInt64 MATERIALIZED sipHash64(market_id);
ALTER TABLE markets ADD COLUMN IF NOT EXISTS market_key UInt64 MATERIALIZED sipHash64(market_id);

-- The newest minute, from a line a window and part instead of all rows. Merges make it anew.
ALTER TABLE movers_latest MODIFY SETTING deduplicate_merge_projection_mode = 'rebuild';
ALTER TABLE movers_latest ADD PROJECTION IF NOT EXISTS newest_ts (SELECT window, max(ts) GROUP BY window);

CREATE OR REPLACE VIEW board_rows AS
WITH
    coalesce(
        {as_of:Nullable(DateTime64(6, 'UTC'))},
        (SELECT toStartOfMinute(max(ts)) FROM movers_latest WHERE window IN {windows:Array(String)})
    ) AS board_ts
SELECT movers_latest.*, market_key, board_ts, window_s
FROM movers_latest FINAL
WHERE window IN {windows:Array(String)} AND on_board AND ts >= board_ts - toIntervalSecond(fresh_s);

-- The newest tick of each venue, for the feed strip: a line a venue, hour and part instead of an hour of ticks.
ALTER TABLE snapshots ADD PROJECTION IF NOT EXISTS newest_of_venue
(
    SELECT venue, toStartOfHour(ts), max(ts), max(ts_received) GROUP BY venue, toStartOfHour(ts)
);

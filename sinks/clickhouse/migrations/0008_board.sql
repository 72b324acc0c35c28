-- What is on the board, once: the live board, the cache of each minute, the command line and the categories read this.
-- A move is on the board as of a moment (NULL: the newest minute stored) when its window is fully covered and the price
-- has moved, its market is open, and it was heard of recently: within the window, but at least 5 and at most 20 minutes.
-- A market not heard of for longer did not move "in the last 5 minutes"; a sweep of all may take a quarter of an hour.
-- Best first: by score, then by size of the move, then by token_id.
CREATE OR REPLACE VIEW board_rows AS
WITH
    coalesce(
        {as_of:Nullable(DateTime64(6, 'UTC'))},
        (SELECT toStartOfMinute(max(ts)) FROM movers_latest WHERE window IN {windows:Array(String)})
    ) AS board_ts,
    toUInt32(
        transform(window, ['5m', '15m', '1h', '24h'], [300, 900, 3600, 86400], toUInt32OrZero(trim(TRAILING 's' FROM window)))
    ) AS window_s
SELECT movers_latest.*, board_ts, window_s
FROM movers_latest FINAL
WHERE window IN {windows:Array(String)}
    AND abs_move_pp > 0
    AND isNotNull(price_now) AND isNotNull(price_then) AND isNotNull(score)
    AND coverage_s >= window_s
    AND market_status = 'open'
    AND ts >= board_ts - toIntervalSecond(least(greatest(window_s, 300), 1200));

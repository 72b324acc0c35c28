-- Closing prices of several tokens in even steps, oldest first, for small charts.
SELECT token_id, groupArray(toFloat64(step_close)) AS prices
FROM
(
    SELECT
        token_id,
        toStartOfInterval(ts, toIntervalSecond({step_s:UInt32})) AS step,
        argMax(close, ts) AS step_close
    FROM ohlcv_1m FINAL
    WHERE token_id IN {token_ids:Array(String)}
        AND ts > {until:DateTime64(6, 'UTC')} - toIntervalSecond({span_s:UInt32})
        AND ts <= {until:DateTime64(6, 'UTC')}
    GROUP BY token_id, step
    ORDER BY token_id, step
)
GROUP BY token_id

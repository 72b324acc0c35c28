-- One token's bars put together in steps of step_s, oldest first.
SELECT
    toStartOfInterval(bar.ts, toIntervalSecond({step_s:UInt32})) AS ts,
    toFloat64(argMin(bar.open, bar.ts)) AS open,
    toFloat64(max(bar.high)) AS high,
    toFloat64(min(bar.low)) AS low,
    toFloat64(argMax(bar.close, bar.ts)) AS close,
    sum(bar.volume_usd) AS volume_usd
FROM ohlcv_1m AS bar FINAL
WHERE bar.token_id = {token_id:String}
    AND bar.ts > {until:DateTime64(6, 'UTC')} - toIntervalSecond({span_s:UInt32})
    AND bar.ts <= {until:DateTime64(6, 'UTC')}
GROUP BY ts
ORDER BY ts

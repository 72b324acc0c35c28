-- Best bid and ask of one token in steps, oldest first: the last quote of each step that had both sides.
SELECT
    toStartOfInterval(tick.ts, toIntervalSecond({step_s:UInt32})) AS ts,
    toFloat64(argMax(tick.bid, tick.ts)) AS bid,
    toFloat64(argMax(tick.ask, tick.ts)) AS ask
FROM snapshots AS tick
WHERE tick.token_id = {token_id:String}
    AND tick.ts > {until:DateTime64(6, 'UTC')} - toIntervalSecond({span_s:UInt32})
    AND tick.ts <= {until:DateTime64(6, 'UTC')}
    AND tick.bid IS NOT NULL
    AND tick.ask IS NOT NULL
GROUP BY ts
ORDER BY ts

-- Gaps of one venue's feed inside a span. ended_at is NULL while the gap is open.
SELECT
    gap_started AS started_at,
    maxOrNullIf(ts, state = 'gap_closed') AS ended_at,
    any(detail) AS detail
FROM feed_status FINAL
WHERE venue = {venue:String}
    AND state IN ('gap_opened', 'gap_closed')
    AND gap_started IS NOT NULL
    AND ts > {until:DateTime64(6, 'UTC')} - toIntervalSecond({span_s:UInt32})
GROUP BY shard, gap_started
ORDER BY started_at

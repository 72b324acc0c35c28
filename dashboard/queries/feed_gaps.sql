-- Gaps of one venue's feed inside a span. ended_at is NULL while the gap is open. Who was killed in a gap never ends it:
-- it lasts until the next end that is told of the same shard, for then every market has been shown again.
SELECT gap_started AS started_at, min(next_end) AS ended_at, any(detail) AS detail
FROM
(
    SELECT
        shard, gap_started, detail,
        min(if(state = 'gap_closed', ts, NULL)) OVER
            (PARTITION BY shard ORDER BY ts RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS next_end
    FROM feed_status FINAL
    WHERE venue = {venue:String}
        AND state IN ('gap_opened', 'gap_closed')
        AND ts > {until:DateTime64(6, 'UTC')} - toIntervalSecond({span_s:UInt32})
) AS said
WHERE gap_started IS NOT NULL
GROUP BY shard, gap_started
ORDER BY started_at

-- Gaps of one venue's feed inside a span. ended_at is NULL while the gap is open. Who was killed in a gap never ends it:
-- it lasts until the next end that is told of the same shard, for then every market has been shown again.
SELECT started_at, arrayFirstOrNull(at -> at >= opened_at, ends) AS ended_at, detail
FROM
(
    SELECT shard, gap_started AS started_at, min(ts) AS opened_at, any(detail) AS detail
    FROM feed_status FINAL
    WHERE venue = {venue:String}
        AND state IN ('gap_opened', 'gap_closed')
        AND gap_started IS NOT NULL
        AND ts > {until:DateTime64(6, 'UTC')} - toIntervalSecond({span_s:UInt32})
    GROUP BY shard, started_at
) AS gaps
LEFT JOIN
(
    SELECT shard, arraySort(groupArray(ts)) AS ends
    FROM feed_status FINAL
    WHERE venue = {venue:String}
        AND state = 'gap_closed'
        AND ts > {until:DateTime64(6, 'UTC')} - toIntervalSecond({span_s:UInt32})
    GROUP BY shard
) AS ended USING (shard)
ORDER BY started_at

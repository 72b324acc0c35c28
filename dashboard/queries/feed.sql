-- The state of each venue's feed: newest data stored, and what its collectors said last (worst shard counts).
-- Ticks are looked for by hours, which the projection newest_of_venue answers without reading them; a venue whose newest is
-- over an hour behind has none. The newest moment itself comes from the borders of the parts, for free.
WITH
    newest AS
    (
        SELECT venue, max(ts) AS newest_ts, max(ts_received) AS newest_received
        FROM snapshots
        WHERE toStartOfHour(ts) >= toStartOfHour((SELECT max(ts) FROM snapshots) - INTERVAL 1 HOUR)
        GROUP BY venue
        HAVING newest_ts >= (SELECT max(ts) FROM snapshots) - INTERVAL 1 HOUR
    ),
    shards AS
    (
        SELECT
            venue,
            shard,
            max(ts_received) AS said_at,
            argMax((state, detail, markets_tracked, markets_stale), ts_received) AS said,
            argMaxIf(state, ts_received, state IN ('gap_opened', 'gap_closed')) = 'gap_opened' AS shard_in_gap,
            maxOrNullIf(gap_started, state = 'gap_opened') AS shard_gap_started
        FROM feed_status
        WHERE ts_stored > now() - INTERVAL 7 DAY
        GROUP BY venue, shard
    ),
    feeds AS
    (
        SELECT
            venue,
            argMax(said, (said.1 NOT IN ('connected', 'gap_closed'), said_at)) AS worst,
            sum(said.3) AS tracked,
            sum(said.4) AS stale,
            max(shard_in_gap) AS in_gap,
            minOrNullIf(shard_gap_started, shard_in_gap) AS gap_started
        FROM shards
        GROUP BY venue
    )
SELECT
    if(newest.venue != '', newest.venue, feeds.venue) AS venue,
    nullIf(newest.newest_ts, toDateTime64(0, 6, 'UTC')) AS newest_ts,
    nullIf(newest.newest_received, toDateTime64(0, 6, 'UTC')) AS newest_received,
    feeds.worst.1 AS state,
    feeds.worst.2 AS detail,
    feeds.tracked AS markets_tracked,
    feeds.stale AS markets_stale,
    feeds.in_gap AS in_gap,
    feeds.gap_started AS gap_started
FROM newest
FULL OUTER JOIN feeds ON feeds.venue = newest.venue
ORDER BY venue

-- The board of a window that no market has the history for yet: from each market's first price inside it to its last, like
-- with like. Same columns as board.sql; what only the window's move knows (dollars inside it, settling) is NULL or false.
SELECT
    seen.market_id AS market_id,
    seen.token_id AS token_id,
    facts.title AS title,
    seen.venue AS venue,
    facts.category AS category,
    toFloat64(seen.price_last) AS price_now,
    toFloat64(seen.price_first) AS price_then,
    (price_now - price_then) * 100 AS move_pp,
    abs(move_pp) * log1p(seen.volume_usd) AS score,
    seen.volume_usd AS volume_24h_usd,
    CAST(NULL, 'Nullable(Float64)') AS window_volume_usd,
    toFloat64(seen.spread_last) * 100 AS spread_pp,
    dateDiff('second', seen.last_ts, facts.close_ts) AS seconds_to_close,
    false AS is_settling,
    seen.across_gap AS across_gap,
    seen.last_ts AS ts
FROM
(
    SELECT
        token_id,
        any(market_id) AS market_id,
        any(venue) AS venue,
        argMin(price, snapshots.ts) AS price_first,
        argMax(price, snapshots.ts) AS price_last,
        argMax(volume_24h_usd, snapshots.ts) AS volume_usd,
        argMax(spread, snapshots.ts) AS spread_last,
        argMax(market_status, snapshots.ts) AS status,
        -- The gap before the first is outside.
        maxIf(snapshots.ts, has(flags, 'after_gap')) > min(snapshots.ts) AS across_gap,
        max(snapshots.ts) AS last_ts
    FROM snapshots
    WHERE ts > (SELECT max(ts) FROM snapshots) - toIntervalSecond({window_s:UInt32})
        AND source != 'backfill'
        AND isNotNull(price)
    GROUP BY token_id
    HAVING status = 'open' AND uniqExact(price_basis) = 1 AND price_first != price_last
) AS seen
LEFT JOIN
(
    SELECT market_id, title, category, close_ts
    FROM markets FINAL
) AS facts ON facts.market_id = seen.market_id
WHERE (empty({venues:Array(String)}) OR has({venues:Array(String)}, seen.venue))
    AND (empty({categories:Array(String)}) OR has({categories:Array(String)}, facts.category))
    AND coalesce(seen.volume_usd, 0) >= {min_volume_usd:Float64}
    AND ({max_spread_pp:Float64} >= 100 OR seen.spread_last * 100 <= {max_spread_pp:Float64})
ORDER BY score DESC, abs(move_pp) DESC, token_id
LIMIT {limit:UInt32}

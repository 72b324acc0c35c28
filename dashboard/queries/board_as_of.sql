-- The board of one window as it was: the last cached minute at or before as_of. Same columns as board.sql.
-- What the cache does not keep (volume inside the window, settling) comes as NULL or false.
WITH
    (
        SELECT max(as_of_ts)
        FROM movers_cache
        WHERE window = {window:String} AND as_of_ts <= {as_of:DateTime64(6, 'UTC')}
    ) AS minute,
    ranked AS
    (
        SELECT *
        FROM movers_cache FINAL
        WHERE window = {window:String}
            AND as_of_ts = minute
            AND (empty({venues:Array(String)}) OR has({venues:Array(String)}, venue))
            AND coalesce(volume_24h_usd, 0) >= {min_volume_usd:Float64}
            AND ({max_spread_pp:Float64} >= 100 OR spread * 100 <= {max_spread_pp:Float64})
    )
SELECT
    ranked.market_id AS market_id,
    ranked.token_id AS token_id,
    facts.title AS title,
    ranked.venue AS venue,
    facts.category AS category,
    toFloat64(ranked.price_now) AS price_now,
    toFloat64(ranked.price_then) AS price_then,
    ranked.move_pp AS move_pp,
    ranked.score AS score,
    ranked.volume_24h_usd AS volume_24h_usd,
    CAST(NULL, 'Nullable(Float64)') AS window_volume_usd,
    toFloat64(ranked.spread) * 100 AS spread_pp,
    dateDiff('second', ranked.as_of_ts, facts.close_ts) AS seconds_to_close,
    false AS is_settling,
    ranked.computed_across_gap AS across_gap,
    ranked.as_of_ts AS ts
FROM ranked
LEFT JOIN
(
    SELECT market_id, title, category, close_ts
    FROM markets FINAL
    WHERE market_id IN (SELECT market_id FROM ranked)
) AS facts ON facts.market_id = ranked.market_id
WHERE empty({categories:Array(String)}) OR has({categories:Array(String)}, facts.category)
ORDER BY ranked.rank
LIMIT {limit:UInt32}

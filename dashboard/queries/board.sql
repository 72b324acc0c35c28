-- The board of one window now: the newest move of each market, ranked. One row a market.
-- A row counts only while its moment is younger than max_age_s against the newest moment of its venue: a market not
-- heard of for longer than the window did not move "in the last 5 minutes".
WITH
    newest AS
    (
        SELECT venue, max(ts) AS newest_ts
        FROM movers_latest
        WHERE window = {window:String}
        GROUP BY venue
    ),
    ranked AS
    (
        SELECT moves.*
        FROM (SELECT * FROM movers_latest FINAL WHERE window = {window:String}) AS moves
        INNER JOIN newest ON newest.venue = moves.venue
        WHERE moves.abs_move_pp > 0
            AND moves.market_status = 'open'
            AND moves.ts >= newest.newest_ts - toIntervalSecond({max_age_s:UInt32})
            AND (empty({venues:Array(String)}) OR has({venues:Array(String)}, moves.venue))
            AND coalesce(moves.volume_24h_usd, 0) >= {min_volume_usd:Float64}
            AND (isNull(moves.window_volume_usd) OR moves.window_volume_usd >= {min_window_usd:Float64})
            AND ({max_spread_pp:Float64} >= 100 OR moves.spread * 100 <= {max_spread_pp:Float64})
            AND NOT ({hide_settling:Bool} AND moves.is_settling)
            AND (
                empty({categories:Array(String)})
                OR moves.market_id IN (
                    SELECT market_id FROM markets FINAL WHERE has({categories:Array(String)}, category)
                )
            )
        ORDER BY moves.score DESC, moves.market_id
        LIMIT 1 BY moves.market_id
        LIMIT {limit:UInt32}
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
    ranked.window_volume_usd AS window_volume_usd,
    toFloat64(ranked.spread) * 100 AS spread_pp,
    ranked.seconds_to_close AS seconds_to_close,
    ranked.is_settling AS is_settling,
    ranked.computed_across_gap AS across_gap,
    ranked.ts AS ts
FROM ranked
LEFT JOIN
(
    SELECT market_id, title, category
    FROM markets FINAL
    WHERE market_id IN (SELECT market_id FROM ranked)
) AS facts ON facts.market_id = ranked.market_id
ORDER BY score DESC, market_id

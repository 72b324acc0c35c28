-- The board of one window now: which moves are on it, says the view; here are the reader's filters.
WITH
    ranked AS
    (
        SELECT *
        FROM board_rows(as_of = NULL, windows = [{window:String}])
        WHERE abs_move_pp > 0
            AND (empty({venues:Array(String)}) OR has({venues:Array(String)}, venue))
            AND coalesce(volume_24h_usd, 0) >= {min_volume_usd:Float64}
            AND (isNull(window_volume_usd) OR window_volume_usd >= {min_window_usd:Float64})
            AND ({max_spread_pp:Float64} >= 100 OR spread * 100 <= {max_spread_pp:Float64})
            AND NOT ({hide_settling:Bool} AND is_settling)
            AND (
                empty({categories:Array(String)})
                OR market_id IN (
                    SELECT market_id FROM markets FINAL WHERE has({categories:Array(String)}, category)
                )
            )
        ORDER BY score DESC, abs_move_pp DESC, token_id
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
ORDER BY ranked.score DESC, ranked.abs_move_pp DESC, ranked.token_id

-- The board of one window now: which moves are on it, says the view; here are the reader's filters. Ranked once, as one
-- value: a subquery that is named and used twice (for its rows and for their titles) would be ranked twice.
WITH
    (
        SELECT groupArray(
            (
                market_id, token_id, venue, price_now, price_then, move_pp, score, volume_24h_usd, window_volume_usd,
                spread, seconds_to_close, is_settling, computed_across_gap, ts
            )
        )
        FROM
        (
            SELECT
                market_id, token_id, venue, price_now, price_then, move_pp, score, volume_24h_usd, window_volume_usd,
                spread, seconds_to_close, is_settling, computed_across_gap, ts
            FROM board_rows(as_of = NULL, windows = [{window:String}])
            WHERE abs_move_pp > 0
                AND (empty({venues:Array(String)}) OR has({venues:Array(String)}, venue))
                AND coalesce(volume_24h_usd, 0) >= {min_volume_usd:Float64}
                AND (isNull(window_volume_usd) OR window_volume_usd >= {min_window_usd:Float64})
                AND ({max_spread_pp:Float64} >= 100 OR spread * 100 <= {max_spread_pp:Float64})
                AND NOT ({hide_settling:Bool} AND is_settling)
                AND (
                    empty({categories:Array(String)})
                    OR market_key IN (
                        SELECT market_key FROM markets FINAL WHERE has({categories:Array(String)}, category)
                    )
                )
            ORDER BY score DESC, abs_move_pp DESC, token_id
            LIMIT {limit:UInt32}
        )
    ) AS ranked
SELECT
    row.1 AS market_id,
    row.2 AS token_id,
    facts.title AS title,
    row.3 AS venue,
    facts.category AS category,
    toFloat64(row.4) AS price_now,
    toFloat64(row.5) AS price_then,
    row.6 AS move_pp,
    row.7 AS score,
    row.8 AS volume_24h_usd,
    row.9 AS window_volume_usd,
    toFloat64(row.10) * 100 AS spread_pp,
    row.11 AS seconds_to_close,
    row.12 AS is_settling,
    row.13 AS across_gap,
    row.14 AS ts
FROM (SELECT arrayJoin(ranked) AS row) AS board
LEFT JOIN
(
    SELECT market_id, title, category
    FROM markets FINAL
    WHERE market_id IN (SELECT arrayJoin(ranked).1)
) AS facts ON facts.market_id = row.1
ORDER BY score DESC, abs(move_pp) DESC, token_id

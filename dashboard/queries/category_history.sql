-- How much each category's markets on the board moved, minute by minute: mean size of the ranked moves in each step.
SELECT
    toStartOfInterval(ranked.as_of_ts, toIntervalSecond({step_s:UInt32})) AS ts,
    facts.category AS category,
    avg(ranked.abs_move_pp) AS mean_abs_pp,
    uniqExact(ranked.market_id) AS markets
FROM
(
    SELECT as_of_ts, market_id, abs_move_pp
    FROM movers_cache FINAL
    WHERE window = {window:String}
        AND coalesce(volume_24h_usd, 0) >= {min_volume_usd:Float64}
        AND as_of_ts > (SELECT max(as_of_ts) FROM movers_cache WHERE window = {window:String})
            - toIntervalSecond({span_s:UInt32})
) AS ranked
INNER JOIN
(
    SELECT market_id, category
    FROM markets FINAL
    WHERE market_id IN (SELECT market_id FROM movers_cache WHERE window = {window:String})
) AS facts ON facts.market_id = ranked.market_id
GROUP BY ts, category
ORDER BY ts, category

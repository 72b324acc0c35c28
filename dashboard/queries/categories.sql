-- Each category in each window: how much its markets on the board moved, which way, and the money traded meanwhile.
SELECT
    moves.window AS window,
    facts.category AS category,
    count() AS markets,
    countIf(moves.abs_move_pp >= {threshold_pp:Float64}) AS movers,
    countIf(moves.move_pp >= {threshold_pp:Float64}) AS movers_up,
    countIf(moves.move_pp <= -{threshold_pp:Float64}) AS movers_down,
    avg(moves.abs_move_pp) AS mean_abs_pp,
    median(moves.abs_move_pp) AS median_abs_pp,
    avg(moves.move_pp) AS net_pp,
    sum(moves.window_volume_usd) AS window_volume_usd
FROM
(
    SELECT window, market_key, move_pp, abs_move_pp, window_volume_usd
    FROM board_rows(as_of = NULL, windows = {windows:Array(String)})
    WHERE NOT is_settling AND coalesce(volume_24h_usd, 0) >= {min_volume_usd:Float64}
) AS moves
INNER JOIN (SELECT market_key, category FROM markets FINAL) AS facts ON facts.market_key = moves.market_key
GROUP BY window, category
ORDER BY window, mean_abs_pp DESC

-- All rows of some parts, as the board's memory keeps them: every version of a move that is in them, unknown numbers as NaN.
-- has() on _part alone selects the parts; no other is opened.
SELECT
    toInt64(splitByChar('_', _part)[3]) AS last_block,
    window,
    token_id,
    market_id,
    venue,
    toUnixTimestamp64Micro(ts) AS ts_us,
    ifNull(toFloat64(price_now), nan) AS price_now,
    ifNull(toFloat64(price_then), nan) AS price_then,
    ifNull(move_pp, nan) AS move_pp,
    ifNull(score, nan) AS score,
    ifNull(volume_24h_usd, nan) AS volume_24h_usd,
    ifNull(window_volume_usd, nan) AS window_volume_usd,
    ifNull(toFloat64(spread * 100), nan) AS spread_pp,
    ifNull(toFloat64(seconds_to_close), nan) AS seconds_to_close,
    is_settling,
    computed_across_gap AS across_gap,
    if(on_board, ts_us + fresh_s * 1000000, 0) AS shown_until_us,
    coverage_s
FROM movers_latest
WHERE has({parts:Array(String)}, _part)

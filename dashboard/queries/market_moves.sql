-- One market's newest move over every window.
SELECT
    window,
    ts,
    toFloat64(price_now) AS price_now,
    toFloat64(price_then) AS price_then,
    price_basis,
    move_pp,
    coverage_s,
    volume_24h_usd,
    toFloat64(spread) * 100 AS spread_pp,
    is_settling,
    computed_across_gap AS across_gap,
    no_move
FROM movers_latest FINAL
WHERE token_id = {token_id:String}

-- All markets of one event with their newest price, likeliest first.
SELECT
    facts.market_id AS market_id,
    facts.title AS title,
    facts.status AS status,
    toFloat64(now_row.price_now) AS price_now,
    now_row.move_pp AS move_pp,
    now_row.volume_24h_usd AS volume_24h_usd
FROM
(
    SELECT market_id, title, status
    FROM markets FINAL
    WHERE event_key = {event_key:String}
) AS facts
LEFT JOIN
(
    SELECT market_id, price_now, move_pp, volume_24h_usd
    FROM movers_latest FINAL
    WHERE window = {window:String}
) AS now_row ON now_row.market_id = facts.market_id
ORDER BY price_now DESC NULLS LAST, market_id
LIMIT {limit:UInt32}

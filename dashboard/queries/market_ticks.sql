-- The last ticks of one token, newest first, looked for in the last day of its data.
SELECT
    ts,
    ts_received,
    toFloat64(price) AS price,
    price_basis,
    toFloat64(bid) AS bid,
    toFloat64(ask) AS ask,
    toFloat64(last) AS last,
    source,
    flags
FROM snapshots
WHERE token_id = {token_id:String}
    AND ts > {until:DateTime64(6, 'UTC')} - INTERVAL 1 DAY
    AND ts <= {until:DateTime64(6, 'UTC')}
ORDER BY ts DESC
LIMIT {limit:UInt32}

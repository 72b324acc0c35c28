-- All rows of some markets, as the board's memory keeps them.
SELECT
    toInt64(splitByChar('_', _part)[3]) AS last_block,
    market_id,
    toUnixTimestamp64Micro(ts_received) AS ts_received_us,
    title,
    category
FROM markets
WHERE market_id IN {market_ids:Array(String)}

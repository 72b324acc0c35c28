-- The rows of some parts, as the board's memory keeps them, but for markets that settled longer ago than a newest move is
-- kept: of these there are ten times as many after a year. The first row of a part comes in any case, and says that the part
-- was read.
SELECT
    toInt64(splitByChar('_', _part)[3]) AS last_block,
    market_id,
    toUnixTimestamp64Micro(ts_received) AS ts_received_us,
    title,
    category
FROM markets
WHERE has({parts:Array(String)}, _part)
    AND (status != 'settled' OR ts_stored > now() - INTERVAL 4 DAY OR _part_offset = 0)

-- The parts that the board's two tables consist of, with their rows: read from the store's own notes, no row is looked at.
-- store: another one means that the table, or what was last written to it, is not what it was.
SELECT
    table,
    part,
    rows,
    concat(id, ' ', toString(serverUUID())) AS store,
    toUnixTimestamp(now()) - uptime() AS started_s
FROM
(
    SELECT 'movers_latest' AS table, _part AS part, count() AS rows FROM movers_latest GROUP BY part
    UNION ALL
    SELECT 'markets' AS table, _part AS part, count() AS rows FROM markets GROUP BY part
) AS parts
INNER JOIN
(
    SELECT name AS table, toString(uuid) AS id
    FROM system.tables
    WHERE database = currentDatabase() AND name IN ('movers_latest', 'markets')
) AS tables USING (table)

-- The parts that the board's two tables consist of, with their rows: read from the store's own notes, no row is looked at.
-- store: another one means that the table, or what was last written to it, is not what it was.
SELECT
    'movers_latest' AS table,
    _part AS part,
    count() AS rows,
    concat(
        (SELECT toString(uuid) FROM system.tables WHERE database = currentDatabase() AND name = 'movers_latest'),
        ' ', toString(serverUUID())
    ) AS store,
    toUnixTimestamp(now()) - uptime() AS started_s
FROM movers_latest
GROUP BY part
UNION ALL
SELECT
    'markets' AS table,
    _part AS part,
    count() AS rows,
    concat(
        (SELECT toString(uuid) FROM system.tables WHERE database = currentDatabase() AND name = 'markets'),
        ' ', toString(serverUUID())
    ) AS store,
    toUnixTimestamp(now()) - uptime() AS started_s
FROM markets
GROUP BY part

-- Which venues and categories have open markets.
SELECT DISTINCT venue, category
FROM markets FINAL
WHERE status = 'open'
ORDER BY venue, category

-- Which venues and categories there are, and how many open markets each pair has.
SELECT venue, category, count() AS markets
FROM markets FINAL
WHERE status = 'open'
GROUP BY venue, category
ORDER BY venue, category

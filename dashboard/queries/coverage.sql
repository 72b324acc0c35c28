-- How far back each window's history reaches, and how many markets it can speak of.
SELECT
    window,
    max(coverage_s) AS coverage_s,
    count() AS markets,
    countIf(move_pp IS NOT NULL) AS covered,
    max(ts) AS newest_ts
FROM movers_latest FINAL
GROUP BY window

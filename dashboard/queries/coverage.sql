-- How far back a window's history reaches, and how many markets it can speak of. No row while there is none.
SELECT
    max(coverage_s) AS coverage_s,
    count() AS markets,
    countIf(move_pp IS NOT NULL) AS covered
FROM movers_latest FINAL
WHERE window = {window:String}
GROUP BY window

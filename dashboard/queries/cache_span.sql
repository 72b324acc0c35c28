-- First and last minute for which boards of a window are kept.
SELECT minOrNull(as_of_ts) AS first_ts, maxOrNull(as_of_ts) AS last_ts
FROM movers_cache
WHERE window = {window:String}

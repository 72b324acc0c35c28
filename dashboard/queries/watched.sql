-- Of the markets that are open: how many are known, how many have a price of the last `fresh_s` seconds, and how many a move
-- over a window.
SELECT
    (SELECT count() FROM markets FINAL WHERE status = 'open') AS open,
    uniqExactIf(market_id, price_now IS NOT NULL AND ts >= now64(6) - toIntervalSecond({fresh_s:UInt32})) AS fresh,
    uniqExactIf(market_id, move_pp IS NOT NULL) AS moved
FROM movers_latest FINAL
WHERE window = {window:String} AND market_status = 'open'

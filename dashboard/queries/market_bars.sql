-- One token's bars of a minute. Put together, and brought into their order, by the page (`dashboard/bars.py`): planning
-- that costs the store more than reading a day's rows.
SELECT
    ts,
    toFloat64(open) AS open,
    toFloat64(high) AS high,
    toFloat64(low) AS low,
    toFloat64(close) AS close
FROM ohlcv_1m FINAL
WHERE token_id = {token_id:String}
    AND ts > {since:DateTime64(6, 'UTC')}
    AND ts <= {until:DateTime64(6, 'UTC')}

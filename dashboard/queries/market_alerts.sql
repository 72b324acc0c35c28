-- One market's alert episodes that began inside a span, oldest first.
SELECT
    toString(alert_episodes.alert_id) AS alert_id,
    opened_at,
    window,
    direction,
    state,
    kind,
    peak_move_pp
FROM alert_episodes
WHERE market_id = {market_id:String}
    AND opened_at > {until:DateTime64(6, 'UTC')} - toIntervalSecond({span_s:UInt32})
ORDER BY opened_at

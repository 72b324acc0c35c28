-- Markets of other venues that people have confirmed to be the same event as this one, with the newest quote of both sides
-- in the last day of data. `other_after_s`: the median seconds by which the other one moved after this one.
WITH
    pairs AS
    (
        SELECT
            {market_id:String} AS this_id,
            if(market_a = this_id, market_b, market_a) AS other_id,
            confidence,
            note,
            looked_back_h,
            steps,
            answered,
            if(market_a = this_id, b_after_a_s, -b_after_a_s) AS after_s,
            ts AS looked_at
        FROM market_pairs FINAL
        WHERE verdict = 'confirmed' AND (market_a = this_id OR market_b = this_id)
    ),
    (SELECT max(ts) FROM snapshots) - INTERVAL 1 DAY AS since,
    quotes AS
    (
        SELECT
            market_id,
            argMax((bid, ask, ts_received), ts) AS newest
        FROM snapshots
        WHERE toStartOfHour(ts) >= toStartOfHour(since)
            AND token_id IN
            (
                SELECT token_id
                FROM market_tokens FINAL
                WHERE outcome_index = 0 AND (market_id = {market_id:String} OR market_id IN (SELECT other_id FROM pairs))
            )
            AND source != 'backfill'
        GROUP BY market_id
    )
SELECT
    pairs.other_id AS market_id,
    facts.title AS title,
    facts.venue AS venue,
    facts.status AS status,
    toFloat64(other.newest.1) AS bid,
    toFloat64(other.newest.2) AS ask,
    nullIf(other.newest.3, toDateTime64(0, 6, 'UTC')) AS received,
    toFloat64(this.newest.1) AS this_bid,
    toFloat64(this.newest.2) AS this_ask,
    nullIf(this.newest.3, toDateTime64(0, 6, 'UTC')) AS this_received,
    pairs.confidence AS confidence,
    pairs.note AS note,
    pairs.looked_back_h AS looked_back_h,
    pairs.looked_at AS looked_at,
    pairs.steps AS steps,
    pairs.answered AS answered,
    pairs.after_s AS other_after_s
FROM pairs
LEFT JOIN
(
    SELECT market_id, title, venue, status
    FROM markets FINAL
    WHERE market_id IN (SELECT other_id FROM pairs)
) AS facts ON facts.market_id = pairs.other_id
LEFT JOIN quotes AS other ON other.market_id = pairs.other_id
LEFT JOIN quotes AS this ON this.market_id = pairs.this_id
ORDER BY pairs.confidence DESC NULLS LAST, pairs.other_id

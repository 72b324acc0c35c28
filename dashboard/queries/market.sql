-- Everything slow about one market, with its outcome labels in order.
SELECT
    facts.market_id AS market_id,
    facts.venue AS venue,
    facts.title AS title,
    facts.event_key AS event_key,
    facts.event_title AS event_title,
    facts.mutually_exclusive AS mutually_exclusive,
    facts.category AS category,
    facts.status AS status,
    facts.result AS result,
    facts.close_ts AS close_ts,
    facts.url AS url,
    tokens.outcomes AS outcomes,
    tokens.token_ids AS token_ids
FROM (SELECT * FROM markets FINAL WHERE market_id = {market_id:String}) AS facts
LEFT JOIN
(
    SELECT
        market_id,
        groupArray(outcome) AS outcomes,
        groupArray(token_id) AS token_ids
    FROM (SELECT * FROM market_tokens FINAL WHERE market_id = {market_id:String} ORDER BY outcome_index)
    GROUP BY market_id
) AS tokens ON tokens.market_id = facts.market_id

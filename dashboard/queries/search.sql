-- Markets whose title or event title contains a text, largest first; with an empty text the largest of all.
SELECT facts.market_id AS market_id, facts.title AS title, facts.venue AS venue, facts.status AS status
FROM
(
    SELECT market_id, title, venue, status
    FROM markets FINAL
    WHERE positionCaseInsensitiveUTF8(title, {text:String}) > 0
        OR positionCaseInsensitiveUTF8(event_title, {text:String}) > 0
        OR market_id = {text:String}
        OR venue_market_id = {text:String}
) AS facts
LEFT JOIN
(
    SELECT market_id, max(volume_24h_usd) AS volume_24h_usd
    FROM movers_latest
    WHERE window = {window:String}
    GROUP BY market_id
) AS size ON size.market_id = facts.market_id
ORDER BY facts.status = 'open' DESC, coalesce(size.volume_24h_usd, 0) DESC, facts.market_id
LIMIT {limit:UInt32}

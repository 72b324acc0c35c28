-- As in 0016, but of the markets only those with an alert are looked up: a year's markets are millions, nearly all ended.
CREATE OR REPLACE VIEW alert_stories AS
WITH
    parts AS
    (
        SELECT
            if(facts.event_key = '', episode.market_id, facts.event_key) AS event_key,
            if(facts.event_title = '', episode.title, facts.event_title) AS title,
            episode.alert_id AS alert_id,
            episode.market_id AS market_id,
            episode.venue AS venue,
            episode.opened_at AS opened_at,
            episode.ts AS ts,
            episode.state AS state,
            episode.peak_move_pp AS peak_move_pp,
            lagInFrame(episode.opened_at, 1, toDateTime64(0, 6, 'UTC')) OVER
                (PARTITION BY event_key ORDER BY episode.opened_at, episode.alert_id
                 ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS before
        FROM alert_episodes AS episode
        LEFT JOIN
        (
            SELECT market_id, event_key, event_title
            FROM markets FINAL
            WHERE market_id IN (SELECT market_id FROM alerts)
        ) AS facts
            ON facts.market_id = episode.market_id
    ),
    numbered AS
    (
        SELECT
            *,
            sum(opened_at > before + INTERVAL 15 MINUTE) OVER
                (PARTITION BY event_key ORDER BY opened_at, alert_id) AS number
        FROM parts
    )
SELECT
    event_key,
    any(title) AS title,
    any(venue) AS venue,
    min(opened_at) AS started_at,
    max(ts) AS newest_ts,
    argMin(market_id, (opened_at, alert_id)) AS lead_market_id,
    uniqExact(market_id) AS markets,
    countIf(state NOT IN ('closed', 'reverted')) AS still_open,
    countIf(state = 'reverted') AS reverted,
    max(abs(peak_move_pp)) AS largest_move_pp,
    groupArray(alert_id) AS alert_ids
FROM numbered
GROUP BY event_key, number;

-- Alert episodes, open ones on top, then newest change first; with who has seen them, and the story they are part of: how
-- many markets of one event moved together, 1 for a market that moved alone; and with the latest grade: how much of the move
-- stood `graded_after_s` after it was told, 0 while none is known. The factors are its own and, from other markets, `siblings`
-- and `other_venue`; `other_after_s` is how much later the other venue went along, negative when it was first.
SELECT
    toString(episode.alert_id) AS alert_id,
    episode.state AS state,
    episode.kind AS kind,
    episode.venue AS venue,
    episode.market_id AS market_id,
    episode.title AS title,
    episode.category AS category,
    episode.windows AS windows,
    episode.rule AS rule,
    episode.severity AS severity,
    episode.reason AS reason,
    arrayConcat(
        episode.factors_for,
        if(others.siblings = true, ['siblings'], []),
        if(others.other_venue = true, ['other_venue'], [])
    ) AS factors_for,
    arrayConcat(
        episode.factors_against,
        if(others.siblings = false, ['siblings'], []),
        if(others.other_venue = false, ['other_venue'], [])
    ) AS factors_against,
    others.other_after_s AS other_after_s,
    episode.window AS window,
    episode.direction AS direction,
    episode.opened_at AS opened_at,
    episode.ts AS ts,
    toFloat64(episode.price_now) AS price_now,
    toFloat64(episode.price_then) AS price_then,
    episode.move_pp AS move_pp,
    episode.peak_move_pp AS peak_move_pp,
    episode.volume_24h_usd AS volume_24h_usd,
    episode.computed_across_gap AS across_gap,
    episode.close_reason AS close_reason,
    ack.acked_by AS acked_by,
    ack.note AS note,
    ack.acked_by != '' AS is_acked,
    story.title AS story,
    greatest(story.markets, 1) AS story_markets,
    grade.share AS kept,
    grade.after_s AS graded_after_s
FROM alert_episodes AS episode
LEFT JOIN (SELECT alert_id, acked_by, note FROM alert_acks FINAL) AS ack ON ack.alert_id = episode.alert_id
LEFT JOIN
(
    SELECT alert_id, siblings, other_venue, other_after_s FROM alert_corroboration FINAL
) AS others ON others.alert_id = episode.alert_id
LEFT JOIN
(
    SELECT arrayJoin(alert_ids) AS alert_id, title, markets FROM alert_stories WHERE markets > 1
) AS story ON story.alert_id = episode.alert_id
LEFT JOIN
(
    SELECT alert_id, argMax(kept, horizon_s) AS share, max(horizon_s) AS after_s
    FROM alert_grades FINAL
    WHERE isNotNull(kept)
    GROUP BY alert_id
) AS grade ON grade.alert_id = episode.alert_id
WHERE (empty({venues:Array(String)}) OR has({venues:Array(String)}, episode.venue))
    AND (empty({categories:Array(String)}) OR has({categories:Array(String)}, episode.category))
    AND (empty({windows:Array(String)}) OR hasAny(episode.windows, {windows:Array(String)}) OR has({windows:Array(String)}, episode.window))
    AND (empty({kinds:Array(String)}) OR has({kinds:Array(String)}, episode.kind))
    AND NOT ({hide_acked:Bool} AND ack.acked_by != '')
    AND (empty({alert_id:String}) OR toString(episode.alert_id) = {alert_id:String})
ORDER BY episode.state IN ('closed', 'reverted'), episode.ts DESC, episode.alert_id
LIMIT {limit:UInt32}

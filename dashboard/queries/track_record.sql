-- How often the alerts of the rules in force were right, of each rule its newest version: of the `cases` with a price `horizon_s`
-- after an alert was told, in how many half of its move or more stood (`held`), in how many it had turned round (`turned`).
SELECT rule, stage, severity, toInt64(horizon_s) AS horizon_s, cases, held, turned
FROM alert_track_record
WHERE (rule, rule_version) IN (SELECT rule, argMax(rule_version, opened_at) FROM alerts GROUP BY rule)
ORDER BY rule, indexOf(['confirmed', 'undecided', 'reverted'], stage), indexOf(['high', 'medium', 'low'], severity), horizon_s

-- What became of each episode: confirmed, reverted, or undecided when it was closed before it could be judged; its newest kind.
CREATE VIEW IF NOT EXISTS alert_outcomes AS
SELECT
    alert_id,
    argMax(kind, ts) AS newest_kind,
    multiIf(
        countIf(state = 'confirmed') > 0, 'confirmed', countIf(state = 'reverted') > 0, 'reverted', 'undecided'
    ) AS judged
FROM alerts FINAL
GROUP BY alert_id;

-- How often alerts of kind move were right, by the grades: of the `cases` in which there was a mid `horizon_s` after an alert was
-- told, in how many at least half of its move stood (`held`), in how many it had turned round (`turned`). An episode counts as
-- what became of it (`stage`), also when that was after its first grades, and under the severity of its first grade at each
-- horizon: grades of earlier versions tell the highest severity by then, and one episode stood under two.
CREATE VIEW IF NOT EXISTS alert_track_record AS
SELECT
    rule,
    rule_version,
    first_severity AS severity,
    if(judged = '', if(confirmed, 'confirmed', 'undecided'), judged) AS stage,
    horizon_s,
    countIf(isNotNull(kept)) AS cases,
    countIf(kept >= 0.5) AS held,
    countIf(kept < 0) AS turned
FROM
(
    SELECT *, argMin(severity, horizon_s) OVER (PARTITION BY alert_id) AS first_severity FROM alert_grades FINAL
) AS grades
LEFT JOIN alert_outcomes AS outcomes ON outcomes.alert_id = grades.alert_id
WHERE if(newest_kind = '', kind, newest_kind) = 'move'
GROUP BY rule, rule_version, first_severity, stage, horizon_s;

"""What was first told of an alert: the row that grades, what other markets say, and pairs hold the market against."""

from __future__ import annotations


def first_told(where: str) -> str:
    """SQL of a row an alert, out of the rows of `alerts` for which `where` holds; it should hold for all of an alert's.

    Columns: `alert_id`, `market_id`, `token_id`, `venue`, `rule`, `opened_at`, the same in all its rows; of the oldest
    `ts` as `told_at`, `window_s`, `price_then`, `price_now`, `kind`, `severity` and `rule_version`; of all of them
    `newest_kind`, `was_shouted` (ever detected or confirmed) and `was_confirmed`.

    The oldest is picked as a whole: columns picked one by one would each skip rows where they are null.
    """
    return f"""
SELECT
    alert_id, market_id, token_id, venue, rule, opened_at,
    first.1 AS told_at, first.2 AS window_s, first.3 AS price_then, first.4 AS price_now, first.5 AS kind,
    first.6 AS severity, first.7 AS rule_version, newest_kind, was_shouted, was_confirmed
FROM
(
    SELECT
        alert_id, any(market_id) AS market_id, any(token_id) AS token_id, any(venue) AS venue, any(rule) AS rule,
        any(opened_at) AS opened_at,
        argMin((ts, window_s, price_then, price_now, kind, severity, rule_version), ts) AS first,
        argMax(kind, ts) AS newest_kind,
        countIf(state IN ('detected', 'confirmed')) > 0 AS was_shouted,
        countIf(state = 'confirmed') > 0 AS was_confirmed
    FROM alerts FINAL
    WHERE {where}
    GROUP BY alert_id
)
"""  # noqa: S608  `where` is ours; what is asked for comes as parameters

"""How often alerts were right, as the store has graded them: by version of the rule and by severity.

An episode counts as what became of it, also when that was after its first grades: confirmed, reverted, or undecided
when it was closed before it could be judged. It counts under the severity of its first grade at each horizon: grades of
earlier versions tell the highest severity by then, and one episode stood under two.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from processors.analytics.grades import ENOUGH_CASES, wilson
from schemas.units import window_label

Row = dict[str, Any]

BECAME = """
    SELECT
        alert_id, argMax(kind, ts) AS newest_kind,
        multiIf(
            countIf(state = 'confirmed') > 0, 'confirmed', countIf(state = 'reverted') > 0, 'reverted', 'undecided'
        ) AS judged
    FROM alerts FINAL
    GROUP BY alert_id
"""
"""What became of each episode: `alert_id`, `newest_kind`, `judged`."""

QUERY = f"""
WITH became AS ({BECAME})
SELECT
    rule, rule_version, first_severity AS severity,
    if(judged = '', if(confirmed, 'confirmed', 'undecided'), judged) AS stage,
    horizon_s,
    countIf(isNotNull(kept)) AS cases, countIf(kept >= 0.5) AS held, countIf(kept < 0) AS turned
FROM
(
    SELECT *, argMin(severity, horizon_s) OVER (PARTITION BY alert_id) AS first_severity FROM alert_grades FINAL
) AS grades
LEFT JOIN became USING (alert_id)
WHERE if(newest_kind = '', kind, newest_kind) = 'move'
GROUP BY rule, rule_version, first_severity, stage, horizon_s
ORDER BY rule, rule_version, stage, indexOf(['high', 'medium', 'low'], first_severity), horizon_s
"""  # noqa: S608  our words


def table(rows: Iterable[Mapping[str, Any]]) -> list[Row]:
    """The answer to `QUERY` as a table to print.

    `kept` is the share of moves of which at least half stood then, with Wilson's 95 % interval. Under 30 cases no
    percentage is shown, only the cases.
    """
    return [
        {
            "rule": row["rule"],
            "version": row["rule_version"],
            "stage": row["stage"],
            "severity": row["severity"],
            "after": _after(row["horizon_s"]),
            "cases": row["cases"],
            "kept": _share(row["held"], row["cases"]),
            "reversed": _share(row["turned"], row["cases"]),
        }
        for row in rows
    ]


def _after(horizon_s: int) -> str:
    return "1m" if horizon_s == 60 else window_label(horizon_s)


def _share(hits: int, cases: int) -> str:
    if cases < ENOUGH_CASES:
        return f"too few (under {ENOUGH_CASES})"
    low, high = wilson(hits, cases)
    return f"{hits / cases:.0%} ({low:.0%} to {high:.0%})"

"""How often alerts were right, as the store has graded them: by version of the rule and by severity.

How an episode counts stands in the store's view `alert_track_record` (migration 0029).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from schemas.grades import horizon_label, share_text

Row = dict[str, Any]

QUERY = """
SELECT rule, rule_version, severity, stage, horizon_s, cases, held, turned
FROM alert_track_record
ORDER BY rule, rule_version, stage, indexOf(['high', 'medium', 'low'], severity), horizon_s
"""


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
            "after": horizon_label(row["horizon_s"]),
            "cases": row["cases"],
            "kept": share_text(row["held"], row["cases"]),
            "reversed": share_text(row["turned"], row["cases"]),
        }
        for row in rows
    ]

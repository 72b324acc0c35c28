"""Was it right to say so? Every alert graded by what the market did afterwards, into `alert_grades`.

An episode is graded 1, 5, 15 and 60 minutes and 24 hours after it was first told, for the rule's version and the
severity of that first telling: so it counts once, the same at each horizon, and a severity that rose because the move
went on is not praised for it. The grade is the share of its move that stood then: (price then − price it counts from) /
(price told − price it counts from). 1 is all of it, 0 none, and below 0 it had turned round. The price is the last mid
at or before that moment, not older than the alert and not older than 15 minutes; where there is none the share stays
null, and the market's result, when there is one, is told beside.
Each venue's alerts are graded when its own moves reach their moment: those of a venue that is away wait for it. After
hours without a sink all that came due meanwhile is graded, as far back as ticks are kept.
`processors.analytics.grades` is the same rule over a tape; a test holds both equal.
"""

from __future__ import annotations

from collections.abc import Mapping

from schemas.grades import HORIZONS_S, MAX_AGE_S
from schemas.units import US_PER_S
from sinks.clickhouse.store import Store
from sinks.clickhouse.told import first_told

WAIT_US = 60 * US_PER_S
"""So long after its moment a grade waits for ticks that are on their way."""

_EVERY_US = 60 * US_PER_S
_TICKS_KEPT_US = 14 * 86_400 * US_PER_S

_NEWEST_GRADE = "SELECT toUnixTimestamp64Micro(max(due)) FROM alert_grades WHERE venue = %(venue)s"

_GRADE = f"""
INSERT INTO alert_grades
    (alert_id, horizon_s, due, market_id, venue, rule, rule_version, severity, kind, confirmed, price, kept, result)
WITH
    fromUnixTimestamp64Micro(toInt64(%(now)s)) AS now_ts,
    fromUnixTimestamp64Micro(toInt64(%(since)s)) AS since_ts,
    due AS
    (
        SELECT *, arrayJoin(%(horizons)s) AS after_s, told_at + toIntervalSecond(after_s) AS due_ts
        FROM ({first_told("alerts.venue = %(venue)s AND ts > since_ts - INTERVAL 26 HOUR")}) AS told
        WHERE told_at > since_ts - INTERVAL 25 HOUR AND was_shouted AND due_ts <= now_ts
          AND (alert_id, after_s) NOT IN
              (SELECT alert_id, horizon_s FROM alert_grades WHERE due > since_ts - INTERVAL 2 DAY)
    ),
    mids AS
    (
        SELECT token_id, ts, price
        FROM snapshots
        WHERE ts > since_ts - INTERVAL 26 HOUR AND price_basis = 'mid' AND source != 'backfill'
          AND token_id IN (SELECT token_id FROM due)
    )
SELECT
    due.alert_id, due.after_s, due.due_ts, due.market_id, due.venue, due.rule, due.rule_version,
    due.severity, due.newest_kind, due.was_confirmed,
    if(mids.ts >= due.told_at AND mids.ts >= due.due_ts - toIntervalSecond(%(max_age)s), mids.price, NULL) AS price,
    toFloat64(price - due.price_then) / toFloat64(due.price_now - due.price_then) AS kept,
    markets.result
FROM due
ASOF LEFT JOIN mids ON mids.token_id = due.token_id AND mids.ts <= due.due_ts
LEFT JOIN (SELECT market_id, result FROM markets FINAL WHERE market_id IN (SELECT market_id FROM due)) AS markets
    ON markets.market_id = due.market_id
"""  # noqa: S608  our words; what is asked for comes as parameters


class Grading:
    """Grades what has come due, once a minute of each venue, when its stored moves reach it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._graded_us: dict[str, int] = {}

    def advance(self, arrived_us: Mapping[str, int]) -> bool:
        """Grades what is due at a moment of each venue. True when it looked.

        Raises:
            TransientError: the store is away; call again.
        """
        looked = False
        for venue, moment_us in arrived_us.items():
            now_us = moment_us - WAIT_US
            if now_us >= self._graded_us.get(venue, 0) + _EVERY_US:
                horizons = {"horizons": list(HORIZONS_S), "max_age": MAX_AGE_S}
                since_us = min(now_us, self._graded_us.get(venue) or self._newest_grade_us(venue))
                since_us = max(since_us, now_us - _TICKS_KEPT_US)
                self._store.command(_GRADE, {"venue": venue, "now": now_us, "since": since_us, **horizons})
                self._graded_us[venue] = now_us
                looked = True
        return looked

    def _newest_grade_us(self, venue: str) -> int:
        """Up to when a sink before this one has graded at least; 0 where none has."""
        return int(self._store.rows(_NEWEST_GRADE, {"venue": venue})[0][0])

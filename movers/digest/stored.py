"""What a digest is made of, out of the store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from dashboard.store import query_text
from kernel.errors import UserError
from kernel.settings import Settings
from movers import store
from movers.digest.summary import SPANS_BEFORE, Digest, Episode, Gap, summed_up
from schemas.units import US_PER_S, datetime_from_micros, micros_from_datetime

NEWEST = "SELECT toUnixTimestamp64Micro(max(ts)) AS newest_us FROM snapshots"

EPISODES = """
SELECT
    toString(episode.alert_id) AS alert_id, became.judged AS judged, episode.opened_at AS opened_at,
    episode.market_id AS market_id,
    if(facts.event_key = '', episode.market_id, facts.event_key) AS event_key, facts.event_title AS event_title,
    episode.title AS title, toString(episode.category) AS category, toString(episode.venue) AS venue,
    toFloat64(episode.price_then) AS price_then, toFloat64(episode.price_now) AS price_now,
    episode.peak_move_pp AS peak_move_pp, grade.share AS kept, grade.after_s AS graded_after_s, grade.settled AS result
FROM alert_episodes AS episode
INNER JOIN alert_outcomes AS became ON became.alert_id = episode.alert_id
LEFT JOIN
(
    SELECT market_id, event_key, event_title
    FROM markets FINAL
    WHERE market_id IN (SELECT market_id FROM alerts)
) AS facts ON facts.market_id = episode.market_id
LEFT JOIN
(
    SELECT
        alert_id, argMaxIf(kept, horizon_s, isNotNull(kept)) AS share, maxIf(horizon_s, isNotNull(kept)) AS after_s,
        anyIf(result, isNotNull(result)) AS settled
    FROM alert_grades FINAL
    GROUP BY alert_id
) AS grade ON grade.alert_id = episode.alert_id
WHERE became.newest_kind = 'move' AND episode.opened_at > fromUnixTimestamp64Micro({since_us:Int64})
    AND episode.opened_at <= fromUnixTimestamp64Micro({until_us:Int64})
    AND ({category:String} = '' OR episode.category = {category:String})
"""
"""An `Episode` a row."""

HOURS = """
SELECT toString(venue) AS venue, toUnixTimestamp(toStartOfHour(ts)) AS hour_s
FROM snapshots
WHERE toStartOfHour(ts) >= toStartOfHour(fromUnixTimestamp64Micro({since_us:Int64}))
    AND toStartOfHour(ts) <= fromUnixTimestamp64Micro({until_us:Int64})
GROUP BY venue, hour_s
"""


def digest(settings: Settings, hours: int, category: str) -> Digest:
    """The digest of the last hours up to the newest tick that is stored.

    Args:
        settings: where the store is.
        hours: how many.
        category: only of its markets; empty: of all.

    Raises:
        UserError: nothing is stored, or the store refuses.
    """
    newest_us = store.query(settings, NEWEST)[0]["newest_us"]
    if not newest_us:
        raise UserError("the store keeps no ticks yet")
    until, length = datetime_from_micros(newest_us), timedelta(hours=hours)
    since_us = micros_from_datetime(until - length * (SPANS_BEFORE + 1))
    all_of_it = {"since_us": since_us, "until_us": newest_us}
    rows = store.query(settings, EPISODES, {**all_of_it, "category": category})
    watched = [
        (row["venue"], datetime_from_micros(row["hour_s"] * US_PER_S))
        for row in store.query(settings, HOURS, all_of_it)
    ]
    span = {"until": until, "span_s": hours * 3600}
    gaps = [
        Gap(venue, row["started_at"], row["ended_at"])
        for venue in sorted({venue for venue, _ in watched})
        for row in map(_in_utc, store.query(settings, query_text("feed_gaps"), {**span, "venue": venue}))
    ]
    return summed_up([Episode(**_in_utc(row)) for row in rows], watched, gaps, until, length)


def _in_utc(row: store.Row) -> dict[str, Any]:
    """A row whose moments say their zone, which the client leaves out where it is UTC."""
    return {name: value.replace(tzinfo=UTC) if isinstance(value, datetime) else value for name, value in row.items()}

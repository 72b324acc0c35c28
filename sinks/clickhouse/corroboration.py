"""Who else went along? Of every alert whether other markets say the same, into `alert_corroboration`.

An alert is made from one market's ticks alone, so that it is the same however partitions are spread. What other markets
did is asked of the store 1, 5 and 15 minutes after the alert opened, the last time a minute later for ticks on their
way. It is asked of moves over an hour at most, neither of settlements nor across a gap. What counts as going along is
the rule in `along.py`; all prices are mids, and one in force is at most an hour old. Each venue's alerts are looked at
when its own moves reach their moment; of another venue whose moves have not, nothing is said against the alert.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from schemas.units import US_PER_S
from sinks.clickhouse.along import (
    AROUND_S,
    AROUND_US,
    LOOKS_S,
    MAX_AGE_US,
    Series,
    Sibling,
    Step,
    begin_us,
    other_venue,
    siblings_agree,
)
from sinks.clickhouse.rows import ALERT_CORROBORATION, Row
from sinks.clickhouse.store import Store
from sinks.clickhouse.told import first_told

WAIT_S: Final = 60
"""So long after its quarter of an hour an alert waits for ticks that are on their way."""

LONGEST_S: Final = 3600
"""Of moves over a longer window nothing is asked: it would be read for each of their event's markets."""

MOST_AT_ONCE: Final = 200
"""Alerts of one look, the newest first; more, as after a night without a sink, wait for the next venue minute."""

_DUE_S: Final = (*LOOKS_S[:-1], AROUND_S + WAIT_S)
_EVERY_US: Final = 60 * US_PER_S
_NEVER_HEARD: Final = ("", Series((), ()))

_TOLD: Final = f"""
WITH fromUnixTimestamp64Micro(toInt64(%(now)s)) AS now_ts
SELECT
    toString(told.alert_id), told.market_id, toUnixTimestamp64Micro(told.opened_at), told.window_s,
    toInt64(toDecimal64(told.price_now - told.price_then, 6) * 1000000) AS size_ppm
FROM ({first_told("alerts.venue = %(venue)s AND ts > now_ts - INTERVAL 26 HOUR")}) AS told
LEFT JOIN
(
    SELECT alert_id, max(looked_at) AS newest_look
    FROM alert_corroboration
    WHERE looked_at > now_ts - INTERVAL 26 HOUR
    GROUP BY alert_id
) AS before ON before.alert_id = told.alert_id
WHERE told.opened_at > now_ts - INTERVAL 25 HOUR AND told.was_shouted AND told.kind = 'move'
  AND told.window_s <= %(longest)s AND size_ppm != 0
  AND arrayExists(
      s -> told.opened_at + toIntervalSecond(s) <= now_ts AND before.newest_look < told.opened_at + toIntervalSecond(s),
      %(due)s
  )
ORDER BY told.opened_at DESC, told.alert_id
LIMIT %(most)s
"""  # noqa: S608  our words; what is asked for comes as parameters
_EVENTS: Final = """
SELECT market_id, event_key, mutually_exclusive, status = 'open'
FROM markets FINAL
WHERE event_key IN (SELECT event_key FROM markets FINAL WHERE market_id IN %(markets)s AND event_key != '')
"""
_PARTNERS: Final = "SELECT market_a, market_b FROM market_pairs FINAL WHERE verdict = 'confirmed' ORDER BY ALL"
_MIDS: Final = """
WITH
    fromUnixTimestamp64Micro(toInt64(%(since)s)) AS since,
    fromUnixTimestamp64Micro(toInt64(%(until)s)) AS until,
    mids AS
    (
        SELECT market_id, venue, ts, toInt64(toDecimal64(assumeNotNull(price), 6) * 1000000) AS mid_ppm
        FROM snapshots
        WHERE ts BETWEEN since AND until AND toStartOfHour(ts) BETWEEN toStartOfHour(since) AND toStartOfHour(until)
          AND price_basis = 'mid' AND source != 'backfill'
          AND token_id IN
          (SELECT token_id FROM market_tokens FINAL WHERE outcome_index = 0 AND market_id IN %(markets)s)
    )
"""
_IN_FORCE: Final = f"""{_MIDS}
SELECT asked.market_id, toUnixTimestamp64Micro(asked.at_ts), mids.mid_ppm, toUnixTimestamp64Micro(mids.ts)
FROM
(
    SELECT place.1 AS market_id, fromUnixTimestamp64Micro(toInt64(place.2)) AS at_ts
    FROM (SELECT arrayJoin(arrayZip(%(places)s, %(instants)s)) AS place)
) AS asked
ASOF INNER JOIN mids ON mids.market_id = asked.market_id AND mids.ts <= asked.at_ts
"""  # noqa: S608  our words; what is asked for comes as parameters
_SERIES: Final = (
    f"{_MIDS} SELECT market_id, venue, toUnixTimestamp64Micro(ts), mid_ppm FROM mids ORDER BY market_id, ts"  # noqa: S608  as above
)


class Told(NamedTuple):
    """An alert as it was first told."""

    alert_id: str
    market_id: str
    opened_us: int
    window_s: int
    size_ppm: int

    @property
    def start_us(self) -> int:
        """From when on others may have gone along."""
        return begin_us(self.opened_us, self.window_s)

    @property
    def step(self) -> Step:
        """What others are held against."""
        return Step(self.opened_us, self.size_ppm)

    def instants_us(self, now_us: int) -> list[int]:
        """When siblings are looked at, as far as it has come."""
        return [at for s in LOOKS_S if (at := self.opened_us + s * US_PER_S) <= now_us]

    def is_over(self, now_us: int) -> bool:
        """Whether nothing can come any more."""
        return now_us >= self.opened_us + _DUE_S[-1] * US_PER_S


class Event(NamedTuple):
    """Whether only one of its markets can win, and those that are open."""

    exclusive: bool
    markets: frozenset[str]


InForce = Mapping[tuple[str, int], tuple[int, int]]
"""Of a market and an instant in microseconds: the mid in force in ppm, and since when."""


class Corroboration:
    """Looks for who went along with what was told, once a minute of each venue, when its stored moves reach it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._looked_us: dict[str, int] = {}

    def advance(self, arrived_us: Mapping[str, int]) -> bool:
        """Looks at what has come due at a moment of each venue. True when it looked.

        Raises:
            TransientError: the store is away; call again.
        """
        looked = False
        for venue, now_us in arrived_us.items():
            if now_us >= self._looked_us.get(venue, 0) + _EVERY_US:
                self._look(venue, now_us, arrived_us)
                self._looked_us[venue] = now_us
                looked = True
        return looked

    def _look(self, venue: str, now_us: int, arrived_us: Mapping[str, int]) -> None:
        bound = {"venue": venue, "now": now_us, "due": list(_DUE_S), "longest": LONGEST_S, "most": MOST_AT_ONCE}
        told = [Told(*row) for row in self._store.rows(_TOLD, bound)]
        if told:
            # Without a token: of equal rows the table keeps one anyhow.
            self._store.insert(ALERT_CORROBORATION, self._rows(told, now_us, arrived_us), token="")

    def _rows(self, told: Sequence[Told], now_us: int, arrived_us: Mapping[str, int]) -> list[Row]:
        events, partners = self._events(told), self._partners(told)
        in_force = self._in_force(told, events, now_us)
        series = self._series(told, partners, now_us)
        rows: list[Row] = []
        for alert in told:
            siblings = _siblings(alert, events.get(alert.market_id), in_force, now_us)
            other = partners.get(alert.market_id, "")
            venue, known = series.get(other, _NEVER_HEARD)
            has_come = arrived_us.get(venue, 0) >= alert.opened_us + AROUND_US
            is_over = has_come and alert.is_over(now_us)
            agrees, after_s = other_venue(known, alert.step, alert.start_us, is_over=is_over)
            rows.append((alert.alert_id, now_us, alert.is_over(now_us), siblings, other, agrees, after_s))
        return rows

    def _events(self, told: Sequence[Told]) -> dict[str, Event]:
        """Of each market that was told of: its event."""
        by_key: dict[str, list[tuple[str, bool, bool]]] = defaultdict(list)
        for market_id, key, *rest in self._store.rows(_EVENTS, {"markets": _names(a.market_id for a in told)}):
            by_key[key].append((market_id, *rest))
        found: dict[str, Event] = {}
        for markets in by_key.values():
            event = Event(any(m[1] for m in markets), frozenset(m[0] for m in markets if m[2]))
            found.update((market_id, event) for market_id, *_ in markets)
        return found

    def _partners(self, told: Sequence[Told]) -> dict[str, str]:
        """Of each market that was told of: the same event on the other venue."""
        ours = {alert.market_id for alert in told}
        pairs = self._store.rows(_PARTNERS)
        return {one: other for a, b in pairs for one, other in ((a, b), (b, a)) if one in ours}

    def _in_force(self, told: Sequence[Told], events: Mapping[str, Event], now_us: int) -> InForce:
        asked = {
            (market_id, at_us)
            for alert in told
            if alert.market_id in events
            for market_id in events[alert.market_id].markets - {alert.market_id}
            for at_us in (alert.start_us, *alert.instants_us(now_us))
        }
        if not asked:
            return {}
        places, instants = zip(*sorted(asked), strict=True)
        bound = {
            "since": min(instants) - MAX_AGE_US,
            "until": max(instants),
            "markets": _names(places),
            "places": list(places),
            "instants": list(instants),
        }
        return {(market_id, at_us): (mid, ts) for market_id, at_us, mid, ts in self._store.rows(_IN_FORCE, bound)}

    def _series(self, told: Sequence[Told], partners: Mapping[str, str], now_us: int) -> dict[str, tuple[str, Series]]:
        """Of the markets on the other venue: that venue, and their mids."""
        paired = [alert for alert in told if alert.market_id in partners]
        if not paired:
            return {}
        bound = {
            "since": min(alert.start_us for alert in paired) - MAX_AGE_US,
            "until": min(now_us, max(alert.opened_us for alert in paired) + AROUND_US),
            "markets": _names(partners.values()),
        }
        points: dict[tuple[str, str], tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
        for market_id, venue, ts_us, mid_ppm in self._store.rows(_SERIES, bound):
            points[market_id, venue][0].append(ts_us)
            points[market_id, venue][1].append(mid_ppm)
        return {market_id: (venue, Series(*columns)) for (market_id, venue), columns in points.items()}


def _names(markets: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(markets)))


def _siblings(alert: Told, event: Event | None, in_force: InForce, now_us: int) -> bool | None:
    if event is None:
        return None
    instants = alert.instants_us(now_us)
    siblings = [
        _sibling(alert, [in_force.get((market_id, at_us)) for at_us in (alert.start_us, *instants)])
        for market_id in event.markets - {alert.market_id}
    ]
    return siblings_agree(alert.size_ppm, siblings, exclusive=event.exclusive, is_over=alert.is_over(now_us))


def _sibling(alert: Told, prices: Sequence[tuple[int, int] | None]) -> Sibling:
    """From what was in force at the move's begin and at each look."""
    then, *later = prices
    if then is None or then[1] < alert.start_us - MAX_AGE_US:
        return Sibling((None,) * len(later), is_heard=False)
    gone = tuple(None if price is None else price[0] - then[0] for price in later)
    newest = later[-1] if later else None
    return Sibling(gone, is_heard=newest is not None and newest[1] >= alert.opened_us)

"""The analytics over a tape: the very code that runs live, as fast as the machine allows. No Kafka, no clock.

A tape tells when something changed. Live, every market is also swept once a minute, changed or not, which is what lets
windows roll on and holes be seen; `with_sweeps` puts those sweeps in. Where the whole tape is silent for longer than
its usual rhythm explains, its recorder was away: nobody swept, and what moved meanwhile is told as across a gap.
"""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import inf

from processors.analytics import alerts, moves
from processors.analytics.episodes import AlertState
from processors.analytics.grades import kept_share
from processors.analytics.rules import DOWN, UP, Rule
from processors.analytics.volume import NO_COUNTER, reading
from processors.analytics.windows import History, WindowPlan
from schemas.events import Alert, Tick
from schemas.grades import HORIZONS_S
from schemas.units import US_PER_S
from schemas.words import OPEN_STATUSES, AlertKind, Category, Direction, Severity, UnknownCategory

SWEEP_S = 60
"""Seconds between two sweeps of a market, as live."""

SHORTEST_HOLE_US = 5 * 60 * US_PER_S
LONGEST_HOLE_US = 2 * 3600 * US_PER_S
_HOLE_RHYTHMS = 20

WARM_UP_WINDOWS = 2
"""Longest windows to be played before the first moment that counts. With the first the windows are covered, and with
the second it is known what had been told by then, which matters while a window reaches back to it. A market that
changed fewer than five times in them has no usual step yet, and its first alerts are not asked to be unusual."""

Categories = Mapping[str, Category | UnknownCategory]


@dataclass(slots=True, kw_only=True)
class Record:
    """One episode as it was told, its severity as told first.

    Instants are venue microseconds, None where it did not come to that.
    """

    alert_id: str
    market_id: str
    rule: str
    rule_version: str
    windows_s: tuple[int, ...]
    direction: Direction
    kind: AlertKind
    move_pp: float
    from_ppm: int
    price_ppm: int
    onset_us: int | None
    told_us: int
    detected_us: int
    severity: Severity
    confirmed_us: int | None = None
    reverted_us: int | None = None
    closed_us: int | None = None
    escalated_us: list[int] = field(default_factory=list)
    peak_pp: float = 0.0
    across_gap: bool = False
    reasons: list[str] = field(default_factory=list)
    grades: dict[int, float | None] = field(default_factory=dict)


@dataclass(slots=True)
class Mids:
    """The mids of one market in order of time, and the smallest move up, and down, that a rule believing them asks for.

    Infinite where no rule that looks at the market that way would have believed the mid.
    """

    ts_us: array[int] = field(default_factory=lambda: array("q"))
    price_ppm: array[int] = field(default_factory=lambda: array("i"))
    up_from_pp: array[float] = field(default_factory=lambda: array("d"))
    down_from_pp: array[float] = field(default_factory=lambda: array("d"))


@dataclass(slots=True)
class _Market:
    history: History | None = None
    alerts: AlertState | None = None
    mids: Mids = field(default_factory=Mids)


class Backtest:
    """Takes ticks in order of time and keeps every episode.

    Args:
        plan: windows and score.
        rules: the alert rules.
        categories: market to category, for rules that ask for one.
    """

    def __init__(self, plan: WindowPlan, rules: Sequence[Rule], categories: Categories | None = None) -> None:
        self._plan = plan
        self._rules = rules
        self._categories = categories or {}
        self._markets: dict[str, _Market] = {}
        self.idle_rules: list[Rule] = list(rules)
        """Rules that have looked at no market yet."""
        self.tells_dollars = False
        """Whether any tick told what was traded; without, no rule that asks for dollars inside the window can tell."""
        self._records: dict[str, Record] = {}
        self.ticks = 0
        self.first_us = 0  # of what was seen, not of a venue's figures of earlier prices
        self.last_us = 0

    def take(self, tick: Tick) -> None:
        """One tick, not older than those before."""
        market = self._markets.get(tick.market_id)
        if market is None:
            market = self._markets[tick.market_id] = _Market()
        self.ticks += 1
        if not self.tells_dollars:
            self.tells_dollars = reading(tick)[0] != NO_COUNTER
        if tick.source != "backfill":
            self.first_us = self.first_us or tick.ts_event_us
        self.last_us = tick.ts_event_us
        market.history, move = moves.update(market.history, tick, self._plan)
        if move is None:
            return
        category = self._categories.get(tick.market_id, "")
        if move.price_ppm is not None and move.price_basis == "mid":
            asking = [r for r in self._rules if alerts.is_believable(move, r) and r.looks_at(move, category)]
            market.mids.ts_us.append(move.ts_event_us)
            market.mids.price_ppm.append(move.price_ppm)
            market.mids.up_from_pp.append(_least_pp(asking, UP))
            market.mids.down_from_pp.append(_least_pp(asking, DOWN))
        if self.idle_rules:
            self.idle_rules = [rule for rule in self.idle_rules if not rule.looks_at(move, category)]
        market.alerts, made = alerts.update(market.alerts, move, self._rules, category)
        for alert in made:
            self._note(alert)

    def mids(self, market_id: str) -> Mids:
        """The mids of a market so far; none of one that never came."""
        market = self._markets.get(market_id)
        return Mids() if market is None else market.mids

    def finish(self) -> list[Record]:
        """The episodes in order of detection, graded. What time has ended by the end of the tape is ended."""
        for name, market in self._markets.items():
            market.alerts, made = alerts.by_time(market.alerts, name, self.last_us, self._rules)
            for alert in made:
                self._note(alert)
            self._note_peaks(name, market.alerts)
        for record in self._records.values():
            mids = self._markets[record.market_id].mids
            for horizon_s in HORIZONS_S:
                if record.told_us + horizon_s * US_PER_S <= self.last_us:
                    record.grades[horizon_s] = kept_share(
                        record.told_us, record.from_ppm, record.price_ppm, horizon_s, mids
                    )
        return sorted(self._records.values(), key=lambda r: (r.detected_us, r.market_id, r.rule))

    def _note_peaks(self, market_id: str, state: AlertState | None) -> None:
        """How far the episodes that are open at the end have gone: further, maybe, than was told of them."""
        for key, episode in state.episodes.items() if state is not None else ():
            record = self._records.get(alerts.alert_id(key, market_id, episode))
            if record is not None:
                record.peak_pp = episode.peak_pp * key[1]

    def _note(self, alert: Alert) -> None:
        record = self._records.get(alert.alert_id)
        if record is None:
            record = self._records[alert.alert_id] = Record(
                alert_id=alert.alert_id,
                market_id=alert.market_id,
                rule=alert.rule,
                rule_version=alert.rule_version,
                windows_s=alert.windows_s,
                direction=alert.direction,
                kind=alert.kind,
                move_pp=alert.move_pp or 0.0,
                from_ppm=alert.price_then_ppm or 0,
                price_ppm=alert.price_ppm or 0,
                onset_us=alert.onset_ts_us,
                told_us=alert.ts_event_us,
                detected_us=alert.opened_at_us,
                severity=alert.severity,
            )
        record.kind = alert.kind
        record.across_gap = alert.computed_across_gap
        record.peak_pp = alert.peak_move_pp
        record.reasons.append(f"{alert.state}: {alert.reason}")
        if alert.state == "confirmed":
            record.confirmed_us = alert.ts_event_us
        elif alert.state == "reverted":
            record.reverted_us = alert.ts_event_us
        elif alert.state == "escalated":
            record.escalated_us.append(alert.ts_event_us)
        elif alert.state == "closed":
            record.closed_us = alert.ts_event_us


def _least_pp(rules: Sequence[Rule], direction: int) -> float:
    """The smallest threshold of the rules that look along a direction; infinite of none."""
    return min((rule.threshold_pp for rule in rules if rule.looks_along(direction)), default=inf)


def warm_up_us(windows_s: Sequence[int]) -> int:
    """How much is to be played before the first moment that counts; windows ascending."""
    return WARM_UP_WINDOWS * windows_s[-1] * US_PER_S


def longest_silence_us(instants_us: Iterable[int]) -> int:
    """How long a tape may be silent before its recorder must have been away.

    Twenty times the lower median of its steps, at least five minutes, at most two hours.
    """
    ordered = sorted(set(instants_us))
    steps = sorted(b - a for a, b in pairwise(ordered))
    usual_us = steps[(len(steps) - 1) // 2] if steps else 0
    return min(max(_HOLE_RHYTHMS * usual_us, SHORTEST_HOLE_US), LONGEST_HOLE_US)


def with_sweeps(ticks: Iterable[Tick], hole_us: int, sweep_s: int = SWEEP_S) -> Iterator[Tick]:
    """The ticks, and between them a sweep of every market that has been quiet for `sweep_s` seconds.

    A market is swept from its first tick until it is closed or settled, and every tick carries that promise. Over a
    silence of the whole tape longer than `hole_us` nothing is swept; after it, a market is swept again from its next
    tick on. A venue's figure of an earlier price (`source` backfill) promises nothing, and is left out where its market
    was being swept: live it came after ticks that are newer.
    """
    newest: dict[str, Tick] = {}
    due: list[tuple[int, str]] = []
    sweep_us = sweep_s * US_PER_S
    last_us: int | None = None
    for tick in ticks:
        now_us = tick.ts_event_us
        if last_us is not None and now_us - last_us > hole_us:
            newest.clear()
            due.clear()
        while due and due[0][0] < now_us:
            at_us, name = heapq.heappop(due)
            known = newest.get(name)
            if known is None:
                continue
            if known.ts_event_us + sweep_us > at_us:
                heapq.heappush(due, (known.ts_event_us + sweep_us, name))
                continue
            swept = _swept(known, at_us, sweep_s)
            newest[name] = swept
            heapq.heappush(due, (at_us + sweep_us, name))
            yield swept
        if tick.source == "backfill":
            if tick.market_id not in newest:
                yield tick
            continue
        tick = replace(tick, heartbeat_s=sweep_s)
        yield tick
        last_us = now_us
        if tick.market_status not in OPEN_STATUSES:
            newest.pop(tick.market_id, None)
        else:
            if tick.market_id not in newest:
                heapq.heappush(due, (now_us + sweep_us, tick.market_id))
            newest[tick.market_id] = tick


def _swept(tick: Tick, at_us: int, sweep_s: int) -> Tick:
    return replace(
        tick,
        ts_event_us=at_us,
        ts_received_us=at_us,
        source="sweep",
        heartbeat_s=sweep_s,
        trades=None if tick.trades is None else 0,
    )

"""Whatever becomes of a market's ticks, of time and of the process: its alerts are those of the rule written twice.

Moves are worked out by the brute force of moves, and what they ought to tell by `tests/e2e/reference.py`, so that from
a tick to an alert no line of the product is used to judge it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from hypothesis import settings
from hypothesis.stateful import invariant, rule

from processors.analytics import alerts, moves
from processors.analytics.episodes import AlertState
from processors.analytics.rules import Rule
from processors.analytics.windows import History, WindowPlan
from schemas.events import Alert, Tick
from schemas.units import US_PER_S
from tests.e2e import reference
from tests.processors.analytics.brute_force import expected, spells, standing
from tests.processors.analytics.courses import Course, Parts
from tests.processors.analytics.test_machines_moves import gives_a_move, usual_step
from tests.processors.ticks import make_tick

WINDOWS = (100, 900)
RULE = Rule(threshold_pp=5, cooldown_s=60, min_volume_24h_usd=1000, max_spread_pp=2)
PLAN = WindowPlan(WINDOWS)


def naive_move(ticks: list[Tick], windows_s: tuple[int, ...] = WINDOWS) -> dict[str, Any]:
    """What `reference.alerts` asks of a move."""
    tick, found = ticks[-1], spells(ticks)
    close_us = tick.close_ts_us
    both = tick.bid_ppm is not None and tick.ask_ppm is not None
    usual, changes = usual_step(found)
    to_close_s = None if close_us is None else (close_us - tick.ts_event_us) // US_PER_S
    at_an_end = tick.price_ppm is not None and not 30_000 < tick.price_ppm < 970_000
    return {
        "is_settling": tick.market_status != "open" or (to_close_s is not None and to_close_s <= 3600 and at_an_end),
        "usual_step": usual,
        "changes": changes,
        "market_id": tick.market_id,
        "ts_event_us": tick.ts_event_us,
        "price_ppm": tick.price_ppm,
        "price_basis": tick.price_basis,
        "market_status": tick.market_status,
        "volume_24h_usd": tick.volume_24h_usd,
        "spread_ppm": (tick.ask_ppm or 0) - (tick.bid_ppm or 0) if both else None,
        "seconds_to_close": to_close_s,
        "standing_ppm": None if tick.price_ppm is None else standing(found, tick.ts_event_us, tick.price_ppm),
        "windows": [asdict(expected(found, tick, window_s)) for window_s in windows_s],
    }


Line = tuple[int, str, int, str, str | None, tuple[int, ...]]


def line_of(alert: Alert) -> Line:
    when = (alert.ts_event_us, alert.direction, alert.opened_at_us)
    return (*when, alert.state, alert.close_reason, alert.windows_s)


class Alerts(Course[Alert]):
    """`moves` are those of the brute force so far."""

    def __init__(self) -> None:
        super().__init__()
        self.moves: list[dict[str, Any]] = []
        self.counted = 0

    def nothing(self) -> Parts:
        return (None, None, None)

    def take(self, state: Parts, tick: Tick) -> tuple[Parts, Sequence[Alert]]:
        head, body, stored = state
        history, move = moves.update(None if head is None else History.unpack(head, body), tick, PLAN)
        head, body = (None, None) if history is None else history.pack()
        if move is None:
            return (head, body, stored), ()
        after, made = alerts.update(None if stored is None else AlertState.unpack(stored), move, (RULE,))
        return (head, body, None if after is None else after.pack()), made

    def let_time_pass(self, state: Parts, now_us: int) -> tuple[Parts, Sequence[Alert]]:
        head, body, stored = state
        episodes = None if stored is None else AlertState.unpack(stored)
        after, made = alerts.by_time(episodes, "KALSHI:A", now_us, (RULE,))
        return (head, body, None if after is None else after.pack()), made

    @invariant()
    def what_was_told_is_what_the_rule_asks_for(self) -> None:
        for count in range(self.counted + 1, len(self.true) + 1):
            if gives_a_move(self.true[:count]):
                self.moves.append(naive_move(self.true[:count]))
        self.counted = len(self.true)
        assert sorted(map(line_of, self.told), key=str) == sorted(self._asked_for(), key=str)

    def _asked_for(self) -> list[Line]:
        numbers = {"threshold_pp": 5, "cooldown_s": 60, "min_volume": 1000, "max_spread_pp": 2}
        played = list(self.moves)
        passed = [entry for entry in self.log if isinstance(entry, int)][-1:]
        if passed and played and passed[0] > played[-1]["ts_event_us"]:
            # A move at that moment lets the reference see the time; what it says of the move itself is not asked.
            played.append({**played[-1], "ts_event_us": passed[0], "windows": []})
        lines = reference.alerts(played, numbers)
        return [
            (at, direction, opened, state, reason, windows)
            for _, direction, opened, state, at, reason, windows in lines
            if at not in passed
        ]

    @invariant()
    def every_alert_has_one_id_and_belongs_to_one_episode(self) -> None:
        assert len({a.event_id for a in self.told}) == len(self.told)
        assert len({a.alert_id for a in self.told}) == len({(a.direction, a.opened_at_us) for a in self.told})

    @rule()
    def the_process_is_killed_and_time_is_noticed_later(self) -> None:
        """The alerts are the same, and so is the state, although time was not asked where it had been."""
        _, again = self.replayed_without_time()
        _, open_ones = self.let_time_pass(self.state, self.clock_us)
        known = {a.event_id: a for a in [*self.told, *open_ones]}
        assert all(known[a.event_id] == a for a in again)


TestAlerts = Alerts.TestCase
TestAlerts.settings = settings(max_examples=60, stateful_step_count=40)


def test_an_episode_that_was_confirmed_late_is_not_closed_before_that() -> None:
    """A market swept each quarter of an hour: its first quote after the step comes when the window has long ended."""
    rule = Rule(threshold_pp=5, min_volume_24h_usd=0)
    ticks = [make_tick(900 * i, 400_000 if i < 2 else 500_000, heartbeat_s=900) for i in range(5)]
    history: History | None = None
    state: AlertState | None = None
    told: list[Alert] = []
    for tick in ticks:
        history, move = moves.update(history, tick, WindowPlan((300, 3600)))
        assert move is not None
        state, made = alerts.update(state, move, (rule,))
        told.extend(made)

    assert [a.state for a in told] == ["detected", "confirmed", "closed"]
    assert [a.ts_event_us for a in told] == sorted(a.ts_event_us for a in told)

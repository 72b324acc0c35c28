"""Whatever is told again, stored late or graded by a sink that was restarted: each grade once, as by brute force."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from schemas.events import Alert
from schemas.units import US_PER_S, event_id
from sinks.clickhouse import rows as to
from sinks.clickhouse.grading import Grading
from sinks.clickhouse.rows import Row
from sinks.clickhouse.store import Store
from tests.sinks.events import NOON_US, a_tick, an_alert

pytestmark = pytest.mark.stack

AFTER_S = (60, 300, 900, 3600, 86_400)
PRICES = st.sampled_from([350_000, 400_000, 450_000, 600_000])
Grade = tuple[str, int, float | None, bool]
"""Alert, horizon, share kept, whether it had been confirmed by then."""


@dataclass
class Told:
    """One episode as the store has it."""

    first: Alert
    confirmed: bool = False


class Grades(RuleBasedStateMachine):
    """A market whose mids and alerts come as time goes on, and a sink that stores them in batches and grades.

    Each course has a market and days of its own.
    """

    def __init__(self, store: Store, number: int) -> None:
        super().__init__()
        self.store = store
        self.token = f"T{number}"
        self.now_us = NOON_US + number * 10 * 86_400 * US_PER_S
        self.ticks: list[Row] = []
        self.alerts: list[Row] = []
        self.mids: list[tuple[int, int]] = []
        self.told: list[Told] = []
        self.graded: dict[tuple[str, int], Grade] = {}
        self.looked_us = 0
        self.job = Grading(store)

    @rule(
        seconds=st.sampled_from([1, 59, 61, 400, 901, 3600, 20_000]),
        price_ppm=PRICES,
        basis=st.sampled_from(["mid", "last"]),
    )
    def a_tick_comes(self, seconds: int, price_ppm: int, basis: str) -> None:
        self.now_us += seconds * US_PER_S
        tick = a_tick(self.token, self.now_us, price_ppm=price_ppm, price_basis=basis)
        self.ticks.append(to.tick_row(tick, 0, self.now_us // US_PER_S))
        if basis == "mid":
            self.mids.append((self.now_us, price_ppm))

    @rule(from_ppm=st.sampled_from([300_000, 500_000]), seconds=st.sampled_from([0, 30]))
    def an_alert_is_told(self, from_ppm: int, seconds: int) -> None:
        self.now_us += seconds * US_PER_S
        alert_id = event_id(self.token, len(self.told))
        alert = an_alert(
            alert_id=alert_id,
            event_id=event_id(alert_id, "detected"),
            token_id=self.token,
            market_id=f"M-{self.token}",
            ts_event_us=self.now_us,
            opened_at_us=self.now_us,
            price_then_ppm=from_ppm,
            price_ppm=400_000,
            rule="default",
        )
        self.alerts.append(to.alert_row(alert))
        self.told.append(Told(alert))

    @precondition(lambda self: self.told)
    @rule(data=st.data())
    def an_alert_is_confirmed(self, data: st.DataObject) -> None:
        told = data.draw(st.sampled_from(self.told))
        self.now_us += US_PER_S
        second = replace(
            told.first, event_id=event_id(told.first.alert_id, "confirmed"), state="confirmed", ts_event_us=self.now_us
        )
        if not told.confirmed:
            told.confirmed = True
            self.alerts.append(to.alert_row(second))

    @precondition(lambda self: self.told)
    @rule(data=st.data())
    def an_alert_is_told_again(self, data: st.DataObject) -> None:
        """A processor was killed, and says once more what it had said: same id, same content."""
        self.alerts.append(to.alert_row(data.draw(st.sampled_from(self.told)).first))

    @rule()
    def the_sink_is_restarted(self) -> None:
        self.job, self.looked_us = Grading(self.store), 0

    @rule(wait_s=st.sampled_from([0, 60, 119, 3700]))
    def the_sink_grades_what_is_due(self, wait_s: int) -> None:
        """And all that the store has are the grades of the brute force."""
        self.now_us += wait_s * US_PER_S
        until_us = self.now_us - 60 * US_PER_S
        self._store()
        assert self.job.advance({"kalshi": self.now_us}) == (until_us >= self.looked_us + 60 * US_PER_S)
        if until_us < self.looked_us + 60 * US_PER_S:
            return
        self.looked_us = until_us
        for told in self.told:
            begun_us = told.first.ts_event_us
            for after_s in AFTER_S:
                key = (told.first.alert_id, after_s)
                if begun_us + after_s * US_PER_S <= until_us:
                    self.graded.setdefault(key, (*key, self._kept(told.first, after_s), told.confirmed))
        rows = self.store.rows(
            "SELECT toString(alert_id), horizon_s, kept, confirmed FROM alert_grades WHERE market_id = %(market)s",
            {"market": f"M-{self.token}"},
        )
        assert sorted(_rounded(row) for row in rows) == sorted(_rounded(row) for row in self.graded.values())

    def _store(self) -> None:
        for table, rows in ((to.SNAPSHOTS, self.ticks), (to.ALERTS, self.alerts)):
            if rows:
                self.store.insert(table, rows, repr(rows))
                rows.clear()

    def _kept(self, alert: Alert, after_s: int) -> float | None:
        due_us = alert.ts_event_us + after_s * US_PER_S
        known = [p for at, p in self.mids if max(alert.ts_event_us, due_us - 900 * US_PER_S) <= at <= due_us]
        base, told = alert.price_then_ppm or 0, alert.price_ppm or 0
        return (known[-1] - base) / (told - base) if known else None


def _rounded(row: Sequence[object]) -> str:
    alert_id, horizon_s, kept, confirmed = row
    share = "none" if kept is None else f"{float(str(kept)):.6f}"
    return f"{alert_id} {horizon_s} {share} {bool(confirmed)}"


def test_grades_are_those_of_the_brute_force_whatever_happens(store: Store) -> None:
    numbers = count()
    run_state_machine_as_test(
        lambda: Grades(store, next(numbers)),  # type: ignore[arg-type]
        settings=settings(max_examples=12, stateful_step_count=25),
    )

"""The store grades as the pure rule does."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import chain

import pytest

from dashboard.store import query_text
from movers import track_record
from processors.analytics.grades import kept_share
from schemas.events import Alert, Tick
from schemas.grades import HORIZONS_S
from schemas.units import US_PER_S, event_id
from schemas.words import EpisodeState, Severity
from sinks.clickhouse import grading
from sinks.clickhouse import rows as to
from sinks.clickhouse.grading import Grading
from sinks.clickhouse.store import Store
from tests.processors.analytics.test_grades import Mids
from tests.sinks.events import NOON_US, a_tick, an_alert

pytestmark = pytest.mark.stack

HOUR_US = 3600 * US_PER_S


def an_episode(number: int, token_id: str, at_us: int, rng: random.Random) -> list[Alert]:
    """Detected, and then confirmed or not."""
    first = an_alert(
        alert_id=event_id("alert", number),
        event_id=event_id("alert", number, "detected"),
        token_id=token_id,
        market_id=f"M-{token_id}",
        ts_event_us=at_us,
        opened_at_us=at_us,
        price_then_ppm=rng.choice([300_000, 450_000]),
        price_ppm=400_000,
        rule="default",
    )
    states: list[EpisodeState] = ["confirmed", "reverted"]
    state = rng.choice(states)
    second = replace(first, event_id=event_id("alert", number, state), state=state, ts_event_us=at_us + 60 * US_PER_S)
    return [first, second]


def some_ticks(token_id: str, rng: random.Random) -> list[Tick]:
    """Two days of mids with silences, among last trades and venues' own figures, which grade nothing."""
    ticks, at_us = [], NOON_US - 30 * HOUR_US
    while at_us < NOON_US:
        at_us += rng.choice([20, 60, 300, 1500]) * US_PER_S
        basis, source = rng.choice(["mid", "mid", "mid", "last"]), rng.choice(["sweep", "sweep", "stream", "backfill"])
        price_ppm = rng.randrange(1, 1000) * 1000
        ticks.append(a_tick(token_id, at_us, price_ppm=price_ppm, price_basis=basis, source=source))
    return ticks


def grades(store: Store) -> dict[tuple[str, int], float | None]:
    rows = store.rows("SELECT toString(alert_id), horizon_s, kept FROM alert_grades")
    assert len({(a, h) for a, h, _ in rows}) == len(rows), "each grade once"
    return {(a, h): k for a, h, k in rows}


def test_grades_in_the_store_are_those_of_the_pure_rule(store: Store) -> None:
    rng = random.Random(5)
    ticks = {token: some_ticks(token, rng) for token in "ABC"}
    moments = [NOON_US - rng.randrange(0, 24 * 3600) * US_PER_S for _ in range(40)]
    episodes = [an_episode(i, "ABC"[i % 3], at_us, rng) for i, at_us in enumerate(moments)]
    store.insert(to.SNAPSHOTS, [to.tick_row(t, 0, i) for i, t in enumerate(chain(*ticks.values()))], "ticks")
    store.insert(to.ALERTS, [to.alert_row(alert) for episode in episodes for alert in episode], "alerts")

    assert Grading(store).advance({"kalshi": NOON_US})

    expected = {}
    for first, _ in episodes:
        seen = [t for t in ticks[first.token_id] if t.price_basis == "mid" and t.source != "backfill"]
        mids = [(t.ts_event_us, t.price_ppm or 0) for t in seen]
        known = Mids([at for at, _ in mids], [price for _, price in mids])
        for horizon_s in HORIZONS_S:
            if first.ts_event_us + horizon_s * US_PER_S <= NOON_US - grading.WAIT_US:
                base, told = first.price_then_ppm or 0, first.price_ppm or 0
                share = kept_share(first.ts_event_us, base, told, horizon_s, known)
                expected[first.alert_id, horizon_s] = None if share is None else pytest.approx(share)
    assert grades(store) == expected
    assert any(share is None for share in expected.values())


def test_a_grade_is_given_once_and_later_ones_when_they_come_due(store: Store) -> None:
    rng = random.Random(1)
    store.insert(to.SNAPSHOTS, [to.tick_row(a_tick("A", NOON_US), 0, 0)], "ticks")
    store.insert(to.ALERTS, [to.alert_row(a) for a in an_episode(1, "A", NOON_US, rng)], "alerts")
    job = Grading(store)

    looked = [job.advance({"kalshi": NOON_US + s * US_PER_S}) for s in (119, 120, 121, 361)]

    assert looked == [True, False, False, True]
    assert sorted(h for _, h in grades(store)) == [60, 300]


@pytest.mark.parametrize("restarted", [False, True])
def test_what_came_due_in_days_without_a_sink_is_graded_when_it_is_back(store: Store, restarted: bool) -> None:
    """Of an alert's day nothing was told when the sink was away for the hour in which that came due."""
    first, later = (an_episode(n, token, NOON_US + n * HOUR_US, random.Random(1))[0] for n, token in enumerate("AB"))
    ticks = [a_tick("A", first.ts_event_us + 23 * HOUR_US + 3500 * US_PER_S), a_tick("B", later.ts_event_us + US_PER_S)]
    job = Grading(store)
    store.insert(to.ALERTS, [to.alert_row(first)], "first")
    job.advance({"kalshi": NOON_US + 180 * US_PER_S})
    store.insert(to.SNAPSHOTS, [to.tick_row(tick, 0, place) for place, tick in enumerate(ticks)], "ticks")
    store.insert(to.ALERTS, [to.alert_row(later)], "later")

    (Grading(store) if restarted else job).advance({"kalshi": NOON_US + 72 * HOUR_US})

    given = grades(store)
    assert sorted(given) == sorted((a.alert_id, after_s) for a in (first, later) for after_s in HORIZONS_S)
    assert given[first.alert_id, 86_400] is not None
    assert given[later.alert_id, 60] is not None


def test_the_grade_keeps_what_a_track_record_asks_for(store: Store) -> None:
    first, _ = an_episode(1, "A", NOON_US, random.Random(1))
    confirmed = replace(first, event_id="c" * 24, state="confirmed", severity="high", ts_event_us=NOON_US + US_PER_S)
    store.insert(to.ALERTS, [to.alert_row(a) for a in (first, confirmed)], "alerts")

    Grading(store).advance({"kalshi": NOON_US + 3 * 60 * US_PER_S})

    ((rule, version, severity, kind, was_confirmed, kept),) = store.rows(
        "SELECT rule, rule_version, severity, kind, confirmed, kept FROM alert_grades"
    )
    assert (rule, version, severity, kind) == ("default", first.rule_version, first.severity, first.kind)
    assert was_confirmed
    assert kept is None


def test_an_episode_that_became_a_settlement_is_graded_once_from_when_it_was_first_told(store: Store) -> None:
    first, _ = an_episode(1, "A", NOON_US, random.Random(1))
    first = replace(first, price_then_ppm=300_000, price_ppm=400_000)
    later = replace(
        first,
        event_id="c" * 24,
        state="confirmed",
        kind="settlement",
        price_ppm=990_000,
        ts_event_us=NOON_US + 60 * US_PER_S,
    )
    store.insert(to.SNAPSHOTS, [to.tick_row(a_tick("A", NOON_US + US_PER_S, price_ppm=350_000), 0, 0)], "ticks")
    store.insert(to.ALERTS, [to.alert_row(alert) for alert in (first, later)], "alerts")

    Grading(store).advance({"kalshi": NOON_US + 3 * 60 * US_PER_S})

    rows = store.rows("SELECT horizon_s, kind, confirmed, kept FROM alert_grades")
    assert rows == [(60, "settlement", True, pytest.approx(0.5))]


def test_an_episode_whose_rule_changed_is_graded_once_from_when_it_was_first_told_and_by_that_version(
    store: Store,
) -> None:
    first = replace(an_episode(1, "A", NOON_US, random.Random(1))[0], price_then_ppm=300_000, rule_version="4-old")
    later = replace(
        first, event_id="c" * 24, state="confirmed", rule_version="4-new", price_ppm=500_000, ts_event_us=NOON_US + 1
    )
    store.insert(to.SNAPSHOTS, [to.tick_row(a_tick("A", NOON_US + US_PER_S, price_ppm=350_000), 0, 0)], "ticks")
    store.insert(to.ALERTS, [to.alert_row(alert) for alert in (first, later)], "alerts")

    Grading(store).advance({"kalshi": NOON_US + 3 * 60 * US_PER_S})

    rows = store.rows("SELECT horizon_s, rule_version, confirmed, kept FROM alert_grades")
    assert rows == [(60, "4-old", True, pytest.approx(0.5))]


def test_a_grade_counts_for_the_severity_that_was_told_first_at_each_horizon(store: Store) -> None:
    """Of the highest by then one episode stood under two severities, and *high* were those whose move had gone on."""
    severities: list[Severity] = ["medium", "high", "low"]
    told = [
        replace(an_episode(1, "A", NOON_US, random.Random(1))[0], severity=severity, event_id=event_id(severity),
                ts_event_us=NOON_US + place)
        for place, severity in enumerate(severities)
    ]  # fmt: skip
    store.insert(to.ALERTS, [to.alert_row(told[0])], "first")
    Grading(store).advance({"kalshi": NOON_US + 3 * 60 * US_PER_S})
    store.insert(to.ALERTS, [to.alert_row(alert) for alert in told], "alerts")
    Grading(store).advance({"kalshi": NOON_US + 7 * 60 * US_PER_S})

    grades = store.rows("SELECT horizon_s, severity FROM alert_grades ORDER BY horizon_s")
    assert grades == [(60, "medium"), (300, "medium")]


def test_a_track_record_counts_an_episode_under_one_severity_whatever_earlier_versions_graded(store: Store) -> None:
    grades = to.Table("alert_grades", ("alert_id", "horizon_s", "due", "rule", "severity", "kind", "confirmed", "kept"))
    told = [(60, "low"), (300, "high"), (900, "medium")]
    graded = [("a" * 24, horizon_s, NOON_US, "default", severity, "move", True, 1.0) for horizon_s, severity in told]
    store.insert(grades, graded, "grades")

    rows = store.rows(f"SELECT severity, horizon_s, cases FROM ({track_record.QUERY})")

    assert rows == [("low", 60, 1), ("low", 300, 1), ("low", 900, 1)]


def test_a_track_record_counts_an_episode_as_what_became_of_it_after_its_first_grade(store: Store) -> None:
    """A market that is asked every few minutes is judged after the grade of a minute; some are never judged."""
    severities: dict[EpisodeState, Severity] = {"confirmed": "high", "reverted": "medium", "closed": "low"}
    first, second = [], []
    for number, (state, severity) in enumerate(severities.items()):
        told = replace(an_episode(number, "A", NOON_US, random.Random(1))[0], kind="move", severity=severity)
        first.append(told)
        ended_us = NOON_US + 200 * US_PER_S
        second.append(replace(told, event_id=event_id(number, state), state=state, ts_event_us=ended_us))
    store.insert(to.SNAPSHOTS, [to.tick_row(a_tick("A", NOON_US + US_PER_S), 0, 0)], "ticks")
    store.insert(to.ALERTS, [to.alert_row(alert) for alert in first], "first")
    Grading(store).advance({"kalshi": NOON_US + 121 * US_PER_S})
    store.insert(to.ALERTS, [to.alert_row(alert) for alert in second], "second")

    rows = store.rows(f"SELECT stage, severity, horizon_s, cases FROM ({track_record.QUERY})")

    assert sorted(map(tuple, rows)) == [
        ("confirmed", "high", 60, 1),
        ("reverted", "medium", 60, 1),
        ("undecided", "low", 60, 1),
    ]


def test_the_page_tells_the_track_record_of_each_rules_newest_version_only(store: Store) -> None:
    alerts = []
    for number, version in enumerate(("5-old", "6-new")):
        (first, *_) = an_episode(number, "A", NOON_US + number * US_PER_S, random.Random(1))
        alerts.append(replace(first, kind="move", rule_version=version))
    store.insert(to.SNAPSHOTS, [to.tick_row(a_tick("A", NOON_US + US_PER_S), 0, 0)], "ticks")
    store.insert(to.ALERTS, [to.alert_row(alert) for alert in alerts], "alerts")
    Grading(store).advance({"kalshi": NOON_US + 122 * US_PER_S})

    everything = store.rows("SELECT rule_version, cases FROM alert_track_record WHERE horizon_s = 60 ORDER BY ALL")
    shown = store.rows(f"SELECT horizon_s, cases FROM ({query_text('track_record')}) WHERE horizon_s = 60")

    assert everything == [("5-old", 1), ("6-new", 1)]
    assert shown == [(60, 1)]

"""The written rule, clause by clause, and what must hold whatever happens."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.analytics.alerts import RULE_VERSION, AlertRule, AlertState, is_late, update
from schemas.events import Alert, Move, WindowMove
from schemas.units import US_PER_S, event_id
from tests.processors.ticks import START_US, make_move

RULE = AlertRule(threshold_pp=10.0, cooldown_s=900, min_volume_24h_usd=1000.0, max_spread_pp=5.0)
W = 3600


def play(moves: list[Move], rule: AlertRule = RULE) -> tuple[AlertState | None, list[Alert]]:
    """Runs moves through, storing and reading back the state after each, as the processor does."""
    stored: bytes | None = None
    alerts: list[Alert] = []
    for move in moves:
        state, made = update(None if stored is None else AlertState.unpack(stored), move, rule)
        stored = None if state is None else state.pack()
        alerts.extend(made)
    return None if stored is None else AlertState.unpack(stored), alerts


def told(moves: list[Move], rule: AlertRule = RULE) -> list[tuple[float, str, str | None, float | None]]:
    """Second, state, close reason and move of each alert."""
    _, alerts = play(moves, rule)
    return [((a.ts_event_us - START_US) / US_PER_S, a.state, a.close_reason, a.move_pp) for a in alerts]


def one(at_s: float, move_pp: float | None, **extra: Any) -> Move:
    return make_move(at_s, {W: move_pp}, **extra)


def test_an_episode_opens_when_the_move_reaches_the_threshold() -> None:
    assert told([one(0, 9.9999), one(60, 10.0), one(120, 11.0)]) == [(60, "opened", None, 10.0)]


def test_a_move_down_opens_an_episode_of_its_own_direction() -> None:
    _, (alert,) = play([one(0, -12.5)])

    assert (alert.direction, alert.move_pp, alert.peak_move_pp) == ("down", -12.5, -12.5)


def test_each_window_has_its_own_episode() -> None:
    _, alerts = play([make_move(0, {300: 10.0, 900: 12.0, 3600: 9.0, 86400: None})])

    assert [(a.window_s, a.state) for a in alerts] == [(300, "opened"), (900, "opened")]


@pytest.mark.parametrize(
    "extra",
    [
        {"market_status": "paused"},
        {"volume_24h_usd": 999.99},
        {"volume_24h_usd": None},
        {"spread_ppm": 50_001},
        {"spread_ppm": None},
        {"price_basis": "last"},
    ],
)
def test_a_move_that_cannot_be_believed_opens_nothing(extra: dict[str, Any]) -> None:
    assert told([one(0, 40.0, **extra)]) == []


@pytest.mark.parametrize("extra", [{"volume_24h_usd": 1000.0}, {"spread_ppm": 50_000}])
def test_the_limits_themselves_are_good_enough(extra: dict[str, Any]) -> None:
    assert told([one(0, 10.0, **extra)]) == [(0, "opened", None, 10.0)]


def test_a_window_that_is_not_covered_opens_nothing() -> None:
    window = WindowMove(window_s=W, price_then_ppm=1, move_pp=30.0, coverage_s=W - 1, computed_across_gap=False)

    assert told([replace(one(0, 0.0), windows=(window,))]) == []


def test_near_its_end_a_market_settles_and_is_not_shouted() -> None:
    _, (alert,) = play([one(0, 30.0, is_settling=True)])

    assert alert.kind == "settlement"


def test_an_escalation_of_a_settling_market_turns_the_episode_into_a_settlement() -> None:
    _, alerts = play([one(0, 10.0), one(60, 20.0, is_settling=True), one(120, 1.0)])

    assert [(a.state, a.kind) for a in alerts] == [
        ("opened", "move"),
        ("escalated", "settlement"),
        ("closed", "settlement"),
    ]


def test_it_escalates_at_one_and_a_half_times_what_was_last_told() -> None:
    moves = [one(0, 10.0), one(60, 14.9999), one(120, 15.0), one(180, 22.4999), one(240, 40.0)]

    assert told(moves) == [(0, "opened", None, 10.0), (120, "escalated", None, 15.0), (240, "escalated", None, 40.0)]


def test_it_does_not_escalate_on_a_quote_that_cannot_be_believed() -> None:
    assert told([one(0, 10.0), one(60, 30.0, spread_ppm=90_000), one(120, 30.0)]) == [
        (0, "opened", None, 10.0),
        (120, "escalated", None, 30.0),
    ]


def test_it_fades_when_the_move_falls_below_half_the_threshold() -> None:
    assert told([one(0, 12.0), one(60, 5.0), one(120, 4.9999)]) == [
        (0, "opened", None, 12.0),
        (120, "closed", "faded", 4.9999),
    ]


def test_half_means_half_of_the_threshold_in_force_when_it_opened() -> None:
    state, _ = update(None, one(0, 20.0), replace(RULE, threshold_pp=20.0))

    _, alerts = update(state, one(60, 9.0), RULE)

    assert [(a.close_reason, a.threshold_pp) for a in alerts] == [("faded", 20.0)]


def test_it_reverses_when_the_sign_changes_and_the_other_direction_may_open_at_once() -> None:
    assert told([one(0, 12.0), one(60, -0.0001)])[-1] == (60, "closed", "reversed", -0.0001)
    assert told([one(0, 12.0), one(60, -11.0)])[1:] == [
        (60, "closed", "reversed", -11.0),
        (60, "opened", None, -11.0),
    ]


def test_it_rolls_off_when_it_is_as_old_as_its_window() -> None:
    assert told([one(0, 12.0), one(W - 0.000001, 12.0), one(W, 12.0)]) == [
        (0, "opened", None, 12.0),
        (W, "closed", "rolled_off", 12.0),
    ]


@pytest.mark.parametrize("status", ["closed", "settled", "paused"])
def test_it_ends_with_its_market(status: str) -> None:
    assert told([one(0, 12.0), one(60, 12.0, market_status=status, is_settling=True)])[-1] == (
        60,
        "closed",
        "market_ended",
        12.0,
    )


def test_it_ends_when_the_market_loses_its_price() -> None:
    assert told([one(0, 12.0), one(60, None, price_ppm=None, price_basis="none")])[-1] == (
        60,
        "closed",
        "price_lost",
        None,
    )


def test_nothing_opens_in_its_place_during_the_cool_down() -> None:
    moves = [one(0, 12.0), one(60, 1.0), one(100, 30.0), one(959.999999, 30.0), one(960, 30.0)]

    assert told(moves) == [(0, "opened", None, 12.0), (60, "closed", "faded", 1.0), (960, "opened", None, 30.0)]


def test_the_cool_down_is_that_of_one_direction_and_one_window() -> None:
    moves = [
        make_move(0, {300: 12.0, 900: 0.0}),
        make_move(10, {300: 1.0, 900: 0.0}),
        make_move(20, {300: -12.0, 900: 12.0}),
    ]

    _, alerts = play(moves)

    assert [(a.window_s, a.direction) for a in alerts[2:]] == [(300, "down"), (900, "up")]


def test_without_cool_down_the_next_move_may_open_again_but_not_the_same() -> None:
    rule = replace(RULE, cooldown_s=0)

    assert [t[:3] for t in told([one(0, 12.0), one(W, 12.0), one(W + 1, 12.0)], rule)] == [
        (0, "opened", None),
        (W, "closed", "rolled_off"),
        (W + 1, "opened", None),
    ]


def test_the_peak_of_the_episode_is_told_at_its_end() -> None:
    _, alerts = play([one(0, -12.0), one(60, -14.0), one(120, -1.0)])

    assert [a.peak_move_pp for a in alerts] == [-12.0, -14.0]


def test_nothing_is_remembered_of_a_calm_market_nor_after_the_cool_down() -> None:
    calm, _ = play([one(0, 3.0), one(60, None)])
    over, _ = play([one(0, 12.0), one(60, 1.0), one(60 + 900, 1.0)])

    assert calm is None
    assert over is None


def test_ids_come_from_the_facts_alone() -> None:
    _, (alert,) = play([one(5, 12.0)])

    at_us = START_US + 5 * US_PER_S
    assert alert.alert_id == event_id("KALSHI:A", W, "up", at_us)
    assert alert.event_id == event_id(alert.alert_id, "opened", at_us)
    assert alert.rule_version == RULE_VERSION


def test_a_redelivered_move_changes_nothing() -> None:
    first = one(0, 12.0)
    state, _ = update(None, first, RULE)

    assert is_late(state, first)
    assert update(state, first, RULE) == (state, ())


def test_an_overtaken_move_neither_closes_nor_escalates() -> None:
    state, _ = play([one(0, 1.0), one(60, 12.0)])

    assert update(state, one(30, 1.0), RULE) == (state, ())
    assert update(state, one(59, 40.0), RULE) == (state, ())


WINDOWS = (300, 900)
_move_pp = st.none() | st.floats(-60, 60) | st.sampled_from([0.0, 5.0, 10.0, 15.0, -10.0, 22.5])


@st.composite
def move_lists(draw: st.DrawFn) -> list[Move]:
    moves, at_s = [], 0.0
    for _ in range(draw(st.integers(1, 40))):
        at_s += draw(st.sampled_from([1.0, 60.0, 299.0, 300.0, 1000.0]))
        extra: dict[str, Any] = {}
        if draw(st.integers(0, 9)) == 0:
            extra = draw(
                st.sampled_from(
                    [{"market_status": "closed"}, {"price_ppm": None}, {"spread_ppm": None}, {"is_settling": True}]
                )
            )
        moves.append(make_move(at_s, {w: draw(_move_pp) for w in WINDOWS}, **extra))
    return moves


@given(move_lists(), st.sampled_from([0, 60, 900]))
@settings(max_examples=300, deadline=None)
def test_whatever_happens_episodes_are_well_formed(moves: list[Move], cooldown_s: int) -> None:
    rule = replace(RULE, cooldown_s=cooldown_s)

    state, alerts = play(moves, rule)

    assert len({a.event_id for a in alerts}) == len(alerts)
    open_now: dict[tuple[int, str], Alert] = {}
    level: dict[str, float] = {}
    closed_at: dict[tuple[int, str], int] = {}
    for alert in alerts:
        key = (alert.window_s, alert.direction)
        size = abs(alert.move_pp or 0.0)
        if alert.state == "opened":
            assert key not in open_now
            assert alert.ts_event_us >= closed_at.get(key, 0) + cooldown_s * US_PER_S
            assert size >= rule.threshold_pp
            open_now[key], level[alert.alert_id] = alert, size
        elif alert.state == "escalated":
            assert open_now[key].alert_id == alert.alert_id
            assert size >= 1.5 * level[alert.alert_id]
            level[alert.alert_id] = size
        else:
            assert open_now.pop(key).alert_id == alert.alert_id
            assert alert.close_reason is not None
            closed_at[key] = alert.ts_event_us
        assert abs(alert.peak_move_pp) >= level[alert.alert_id]
    assert len(open_now) == len(state.episodes if state else {})


@given(move_lists())
@settings(max_examples=50, deadline=None)
def test_moves_seen_before_change_nothing_while_anything_is_remembered(moves: list[Move]) -> None:
    state: AlertState | None = None
    for index, move in enumerate(moves):
        state, _ = update(state, move, RULE)
        if state is not None:
            assert all(update(state, older, RULE) == (state, ()) for older in moves[: index + 1])


@given(move_lists(), st.data())
@settings(max_examples=100, deadline=None)
def test_a_replay_from_any_checkpoint_tells_the_same_ids(moves: list[Move], data: st.DataObject) -> None:
    """A crash after `crash` moves, with the state of an earlier checkpoint: everything since is told again, alike."""
    crash = data.draw(st.integers(0, len(moves)))
    checkpoint = data.draw(st.integers(0, crash))
    _, straight = play(moves)
    _, before = play(moves[:crash])
    state, _ = play(moves[:checkpoint])

    again: list[Alert] = []
    for move in moves[checkpoint:]:
        state, made = update(state, move, RULE)
        again.extend(made)

    assert {a.event_id: a for a in before + again} == {a.event_id: a for a in straight}


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x09" * 30])
def test_stored_bytes_of_another_version_or_length_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="alert state"):
        AlertState.unpack(data)

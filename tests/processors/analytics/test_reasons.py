"""What is said of an alert: numbers as they were, nothing of what is not known, and how much it matters."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.analytics import reasons
from processors.analytics.episodes import Episode
from processors.analytics.rules import DOWN, UP, Rule
from schemas.events import Move, WindowMove
from schemas.units import US_PER_S
from schemas.words import Factor, Severity
from tests.processors.ticks import START_US, make_move

RULE = Rule(threshold_pp=6.0, windows_s=(300, 3600))
EPISODE = Episode(
    kind="move",
    confirmed=False,
    across_gap=False,
    opened_at_us=START_US,
    onset_us=None,
    from_ppm=400_000,
    window_s=300,
    windows_s=(300, 3600),
    detected_pp=10.0,
    told_pp=10.0,
    peak_pp=10.0,
    threshold_pp=6.0,
)
WINDOW = WindowMove(window_s=300, coverage_s=300, volume_usd=4000.0, trades=40, computed_across_gap=False)
KNOWN = {"standing_ppm": 499_000, "usual_step": 0.05, "changes": 5}


def later(**extra: Any) -> Move:
    """A move of the same market half a minute after the episode was opened."""
    return make_move(30, {}, **{**KNOWN, **extra})


def verdict(
    factor: Factor,
    move: Move,
    *,
    window: WindowMove | None = WINDOW,
    episode: Episode = EPISODE,
    direction: int = UP,
) -> bool | None:
    """Whether a factor speaks for the episode; None when it stands on neither side."""
    speaks_for, against = reasons.factors(RULE, direction, episode, move, window)
    assert not set(speaks_for) & set(against)
    return True if factor in speaks_for else False if factor in against else None


@pytest.mark.parametrize(
    ("factor", "good", "bad"),
    [
        ("standing", {"standing_ppm": 450_000}, {"standing_ppm": 449_999}),
        ("two_sided", {"spread_ppm": 20_000}, {"spread_ppm": 20_001}),
        ("unusual", {"usual_step": 0.067}, {"usual_step": 0.068}),
        ("basis", {"price_basis": "mid"}, {"price_basis": "last"}),
        ("lifecycle", {"market_status": "open"}, {"market_status": "paused"}),
        ("lifecycle", {"is_settling": False}, {"is_settling": True}),
    ],
)
def test_a_factor_changes_sides_at_its_limit(factor: Factor, good: dict[str, Any], bad: dict[str, Any]) -> None:
    assert (verdict(factor, later(**good)), verdict(factor, later(**bad))) == (True, False)


@pytest.mark.parametrize(("usd", "dollars"), [(500.0, True), (499.99, False), (0.0, False), (None, None)])
def test_dollars_speak_from_five_hundred_on_and_are_silent_where_not_counted(
    usd: float | None, dollars: bool | None
) -> None:
    assert verdict("dollars", later(), window=replace(WINDOW, volume_usd=usd)) is dollars


@pytest.mark.parametrize(("trades", "speaks"), [(3, True), (2, False), (None, None)])
def test_few_trades_speak_against(trades: int | None, speaks: bool | None) -> None:
    assert verdict("trades", later(), window=replace(WINDOW, trades=trades)) is speaks


@pytest.mark.parametrize("down", [False, True])
def test_a_price_that_fell_stands_by_the_same_measure_as_one_that_rose(down: bool) -> None:
    sign, start = (-1, 600_000) if down else (1, 400_000)
    episode = replace(EPISODE, from_ppm=start)

    moves = [
        later(price_ppm=start + sign * 100_000, standing_ppm=start + sign * at)
        for at in (100_000, 50_000, 49_000, -10_000)
    ]
    held = [verdict("standing", move, episode=episode, direction=sign) for move in moves]

    assert held == [True, True, False, False]


def test_a_price_that_has_turned_round_speaks_against_what_was_told_however_far_it_went() -> None:
    fell = later(price_ppm=250_000, standing_ppm=250_000)

    assert (verdict("standing", fell), verdict("unusual", fell)) == (False, False)
    assert (verdict("standing", fell, direction=DOWN), verdict("unusual", fell, direction=DOWN)) == (True, True)


def test_a_last_trade_is_not_compared_with_the_mid_that_was_told() -> None:
    assert verdict("standing", later(price_basis="last")) is None
    assert verdict("unusual", later(price_basis="last")) is None


@pytest.mark.parametrize(("changes", "speaks", "severity"), [(4, None, "low"), (5, True, "medium")])
def test_nothing_is_unusual_before_a_price_has_changed_five_times(
    changes: int, speaks: bool | None, severity: Severity
) -> None:
    """As the rule asks and the reason says: until then nobody knows what is usual."""
    move = later(changes=changes, volume_24h_usd=100_000.0, usual_step=0.04)

    assert verdict("unusual", move) is speaks
    assert reasons.severity(RULE, UP, EPISODE, move, WINDOW) == severity


def test_nothing_stands_at_the_moment_of_detection_itself() -> None:
    assert verdict("standing", make_move(0, {}, **KNOWN)) is None
    assert verdict("standing", later(standing_ppm=None)) is None
    assert verdict("standing", later(price_ppm=None)) is None


def test_what_nobody_knows_of_a_market_speaks_on_neither_side() -> None:
    speaks_for, against = reasons.factors(RULE, UP, EPISODE, make_move(30, {}), None)

    assert speaks_for == ("two_sided", "basis", "continuous", "lifecycle")
    assert against == ()


def test_a_gap_speaks_against_and_is_told_in_the_reason() -> None:
    episode = replace(EPISODE, across_gap=True, kind="settlement")

    text = reasons.detected(RULE, episode, later(), WINDOW)

    assert verdict("continuous", later(), episode=episode) is False
    assert text.endswith("; across a gap in the feed; the market is near its end")


@pytest.mark.parametrize(
    ("rule", "episode", "move", "says"),
    [
        (Rule(threshold_pp=6.04), {"detected_pp": 6.04, "threshold_pp": 6.04}, {}, "abs_move_pp 6.04 >= 6.04 over"),
        (Rule(threshold_pp=6), {"detected_pp": 6.0449}, {}, "abs_move_pp 6.0 >= 6 over"),
        (Rule(max_spread_pp=0.96), {}, {"spread_ppm": 9_600}, "spread_pp 0.96 <= 0.96"),
        (Rule(max_spread_pp=1), {}, {"spread_ppm": 9_600}, "spread_pp 1.0 <= 1"),
        (Rule(min_volume_24h_usd=1000.4), {}, {"volume_24h_usd": 1000.44}, "volume_24h_usd 1,000.4 >= 1,000.4"),
        (Rule(min_window_usd=0.6), {}, {}, "window_usd 4,000 >= 0.6"),
    ],
)
def test_what_a_reason_says_is_true_as_it_is_printed(
    rule: Rule, episode: dict[str, Any], move: dict[str, Any], says: str
) -> None:
    assert says in reasons.detected(rule, replace(EPISODE, **episode), later(**move), WINDOW)


def test_the_dollars_of_the_window_are_told_only_by_a_rule_that_asks_for_them() -> None:
    asking = Rule(min_window_usd=2500.0)

    assert "window_usd" not in reasons.detected(RULE, EPISODE, later(), WINDOW)
    assert "window_usd 4,000 >= 2,500" in reasons.detected(asking, EPISODE, later(), WINDOW)
    assert "over 5m, 1h" in reasons.detected(RULE, EPISODE, later(), WINDOW)


def test_a_reversion_says_what_was_left_of_the_move() -> None:
    fell = reasons.reverted(EPISODE, 1.0, 0.5, 45.0)

    assert fell == "after 45 s the median of 40 s holds 1.0 and the price 0.5 of 10.0 pp"


def test_each_of_four_things_is_one_point_of_severity() -> None:
    """Over all sixteen ways: none and one are low, two medium, three and four high."""
    by_points: dict[int, set[Severity]] = {}
    for size, day, window, rare in product((False, True), repeat=4):
        episode = replace(EPISODE, peak_pp=12.0 if size else 11.9)
        move = later(volume_24h_usd=100_000.0 if day else 99_999.0, usual_step=0.04 if rare else 0.06)
        paid = replace(WINDOW, volume_usd=10_000.0 if window else 9_999.0)
        said = reasons.severity(RULE, UP, episode, move, paid)
        by_points.setdefault(size + day + window + rare, set()).add(said)

        for quiet in ("settlement", "across_gap"):
            assert reasons.severity(RULE, UP, replace(episode, kind=quiet), move, paid) == "low"

    assert by_points == {0: {"low"}, 1: {"low"}, 2: {"medium"}, 3: {"high"}, 4: {"high"}}


_MOVES = st.builds(
    later,
    price_ppm=st.none() | st.integers(0, 1_000_000),
    standing_ppm=st.none() | st.integers(0, 1_000_000),
    usual_step=st.none() | st.floats(0, 5),
    spread_ppm=st.none() | st.integers(0, 1_000_000),
    volume_24h_usd=st.none() | st.floats(0, 1e9),
    ts_event_us=st.integers(START_US, START_US + 3600 * US_PER_S),
)
_WINDOWS = st.none() | st.builds(
    lambda usd, trades: replace(WINDOW, volume_usd=usd, trades=trades),
    st.none() | st.floats(0, 1e9),
    st.none() | st.integers(0, 1000),
)


@given(_MOVES, _WINDOWS)
def test_no_move_however_bare_lacks_a_severity_or_stands_on_both_sides(move: Move, window: WindowMove | None) -> None:
    speaks_for, against = reasons.factors(RULE, UP, EPISODE, move, window)

    assert not set(speaks_for) & set(against)
    assert reasons.severity(RULE, UP, EPISODE, move, window) in ("low", "medium", "high")
    assert "\n" not in reasons.detected(RULE, EPISODE, move, window or WINDOW)

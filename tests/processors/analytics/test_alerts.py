"""The written rule, clause by clause, and what must hold whatever happens."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.analytics.alerts import by_time, due_us, update
from processors.analytics.episodes import AlertState
from processors.analytics.rules import LONGEST_COOLDOWN_S, Rule
from schemas.events import Alert, Move, WindowMove
from schemas.units import US_PER_S, event_id
from tests.e2e import reference
from tests.processors.ticks import START_US, make_move

RULE = Rule(threshold_pp=10.0, cooldown_s=900, min_volume_24h_usd=1000.0, max_spread_pp=5.0)
W = 3600
THEN = 400_000


def play(moves: list[Move], *rules: Rule) -> tuple[AlertState | None, list[Alert]]:
    """Runs moves through, storing and reading back the state after each, as the processor does."""
    stored: bytes | None = None
    alerts: list[Alert] = []
    for move in moves:
        state, made = update(None if stored is None else AlertState.unpack(stored), move, rules or (RULE,))
        stored = None if state is None else state.pack()
        alerts.extend(made)
    return None if stored is None else AlertState.unpack(stored), alerts


def told(moves: list[Move], *rules: Rule) -> list[tuple[float, str, str | None]]:
    """Second, state and close reason of each alert."""
    _, alerts = play(moves, *rules)
    return [((a.ts_event_us - START_US) / US_PER_S, a.state, a.close_reason) for a in alerts]


def at(at_s: float, price_pp: float | None, **extra: Any) -> Move:
    """A market whose price was 40 an hour ago and is now `price_pp`; it stands unless said otherwise."""
    if price_pp is None:
        none = {"price_ppm": None, "price_basis": "none", "standing_ppm": None}
        return make_move(at_s, {W: None}, **{**none, **extra})
    price_ppm = round(price_pp * 10_000)
    known = {"price_ppm": price_ppm, "standing_ppm": price_ppm}
    return make_move(at_s, {W: (price_ppm - THEN) / 10_000}, **{**known, **extra})


JUMP = [at(0, 40), at(60, 52)]
CONFIRMED = [*JUMP, at(120, 52)]


def test_an_episode_is_detected_when_the_move_reaches_the_threshold() -> None:
    assert told([at(0, 49.9999), at(30, 50), at(60, 51)]) == [(30, "detected", None)]


def test_a_move_down_has_an_episode_of_its_own_direction() -> None:
    _, (alert,) = play([at(0, 27.5)])

    assert (alert.direction, alert.move_pp, alert.peak_move_pp) == ("down", -12.5, -12.5)


def test_the_longest_cool_down_can_be_stored() -> None:
    state, alerts = play([*CONFIRMED, at(180, 39)], replace(RULE, cooldown_s=LONGEST_COOLDOWN_S))

    assert alerts[-1].close_reason == "reversed"
    assert state is not None
    assert state.told["default", 1].cool_until_us == START_US + (180 + LONGEST_COOLDOWN_S) * US_PER_S


def test_one_jump_is_one_episode_whose_windows_are_its_fields() -> None:
    moves = [
        make_move(60 * i, {300: pp, 900: pp, 3600: pp, 86_400: pp}, price_ppm=600_000, standing_ppm=600_000)
        for i, pp in enumerate([0.0, 20.0, 20.0, 20.0])
    ]

    _, alerts = play(moves)

    assert [a.state for a in alerts] == ["detected", "confirmed"]
    assert {a.windows_s for a in alerts} == {(300, 900, 3600, 86_400)}
    assert {a.window_s for a in alerts} == {300}
    assert len({a.alert_id for a in alerts}) == 1


def test_twenty_points_that_stay_are_told_in_three_messages_although_every_window_says_so_for_a_day() -> None:
    moves = []
    for minute in range(0, 26 * 60):
        windows = {w: (20.0 if 10 <= minute < 10 + w / 60 else 0.0) for w in (300, 900, 3600, 86_400)}
        price = 600_000 if minute >= 10 else 400_000
        then = {w: price - round(pp * 10_000) for w, pp in windows.items()}
        move = make_move(60 * minute, {**windows}, price_ppm=price, standing_ppm=price)
        moves.append(replace(move, windows=tuple(replace(w, price_then_ppm=then[w.window_s]) for w in move.windows)))

    assert [state for _, state, _ in told(moves)] == ["detected", "confirmed", "closed"]


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
def test_a_move_that_cannot_be_believed_is_not_detected(extra: dict[str, Any]) -> None:
    assert told([at(0, 80, **extra)]) == []


@pytest.mark.parametrize("extra", [{"volume_24h_usd": 1000.0}, {"spread_ppm": 50_000}])
def test_the_limits_themselves_are_good_enough(extra: dict[str, Any]) -> None:
    assert told([at(0, 50, **extra)]) == [(0, "detected", None)]


def with_window(move: Move, **changes: Any) -> Move:
    return replace(move, windows=tuple(replace(w, **changes) for w in move.windows))


def test_a_window_that_is_not_covered_detects_nothing() -> None:
    assert told([with_window(at(0, 70), coverage_s=W - 1)]) == []


@pytest.mark.parametrize(("reference_ppm", "detected"), [(500_000, True), (533_333, True), (533_334, False)])
def test_a_move_nearer_than_a_third_to_its_own_mean_is_an_echo(reference_ppm: int, detected: bool) -> None:
    assert bool(told([with_window(at(0, 60), reference_ppm=reference_ppm)])) is detected


def test_near_its_end_a_market_settles_and_is_not_shouted() -> None:
    _, (alert,) = play([at(0, 70, is_settling=True)])

    assert (alert.kind, alert.severity) == ("settlement", "low")


def test_a_move_across_a_gap_says_so_and_is_not_shouted() -> None:
    _, alerts = play([with_window(move, computed_across_gap=True) for move in CONFIRMED])

    assert {(a.kind, a.computed_across_gap, a.severity) for a in alerts} == {("across_gap", True, "low")}
    assert all("across a gap" in a.reason for a in alerts)
    assert all("continuous" in a.factors_against for a in alerts)


def across(move: Move) -> Move:
    return with_window(move, computed_across_gap=True)


def test_a_move_without_a_gap_ends_the_episode_across_one_and_is_told_in_its_place() -> None:
    """It would be an escalation that nobody is shouted to of, for as long as the window across the gap lasts."""
    moves = [*map(across, CONFIRMED), at(600, 70)]

    _, alerts = play(moves)

    assert [(a.kind, a.state, a.close_reason) for a in alerts] == [
        ("across_gap", "detected", None),
        ("across_gap", "confirmed", None),
        ("across_gap", "closed", "superseded"),
        ("move", "detected", None),
    ]
    assert alerts[-1].price_then_ppm == 520_000, "what was told is not told again"
    assert len({a.alert_id for a in alerts}) == 2


@pytest.mark.parametrize("later", [across(at(600, 70)), at(600, 61.9), at(600, 70, spread_ppm=50_001)])
def test_an_episode_across_a_gap_goes_on_while_nothing_without_one_can_be_told(later: Move) -> None:
    assert "superseded" not in {reason for _, _, reason in told([*map(across, CONFIRMED), later])}


def test_an_undecided_episode_across_a_gap_gives_way_too_and_a_kept_one_without_a_word() -> None:
    moves = [*map(across, JUMP), at(90, 70)]

    assert [state for _, state, _ in told(moves)] == ["detected", "closed", "detected"]
    assert told(moves, replace(RULE, confirmed_only=True)) == []


def test_it_is_confirmed_within_a_minute_when_median_and_price_hold_half_in_a_tight_quote() -> None:
    assert told([*JUMP, at(114, 52), at(115, 46, standing_ppm=460_000)]) == [
        (60, "detected", None),
        (115, "confirmed", None),
    ]


@pytest.mark.parametrize(
    ("price_pp", "extra"), [(45.9, {"standing_ppm": 520_000}), (52, {"standing_ppm": 459_000}), (31, {})]
)
def test_it_is_reverted_when_it_does_not_stand(price_pp: float, extra: dict[str, Any]) -> None:
    assert told([*JUMP, at(120, price_pp, **extra)])[-1] == (120, "reverted", None)


@pytest.mark.parametrize(
    "extra", [{"standing_ppm": None}, {"spread_ppm": 100_001}, {"spread_ppm": None}, {"price_basis": "last"}]
)
@pytest.mark.parametrize(
    ("seen_pp", "price_pp", "becomes"), [(52, 52, "confirmed"), (40, 52, "confirmed"), (52, 45, "reverted")]
)
def test_a_quote_that_is_not_tight_judges_nothing_and_the_first_tight_one_does(
    extra: dict[str, Any], seen_pp: float, price_pp: float, becomes: str
) -> None:
    """On thirteen recorded days three of four moves that a wide quote had called reverted stood a minute later."""
    moves = [*JUMP, at(120, seen_pp, **extra), at(180, price_pp)]

    assert told(moves) == [(60, "detected", None), (180, becomes, None)]


def test_one_whose_quote_stays_wide_is_reverted_by_time() -> None:
    moves = [*JUMP, *(at(60 + 60 * minute, 52, spread_ppm=100_001) for minute in range(1, 20))]

    assert told(moves) == [(60, "detected", None), (60 + 960, "reverted", None)]
    assert play(moves)[1][-1].reason == "no tight quote came to judge it by"


def test_half_the_move_is_tight_enough() -> None:
    assert told([at(0, 70), at(60, 70, spread_ppm=150_000)])[-1] == (60, "confirmed", None)


def test_while_it_is_undecided_it_neither_escalates_nor_closes() -> None:
    assert told([*JUMP, at(70, 70), at(80, 39), at(114, 41)]) == [(60, "detected", None)]


@pytest.mark.parametrize(("price_pp", "becomes"), [(52, "confirmed"), (45, "reverted")])
def test_one_whose_price_is_lost_is_judged_by_the_first_that_comes_back(price_pp: float, becomes: str) -> None:
    """A thin book empties right after a step. Nothing was judged by that, and nothing cools down for it."""
    for lost_s in (70, 116):
        moves = [*JUMP, at(lost_s, None), at(300, price_pp)]

        assert told(moves) == [(60, "detected", None), (300, becomes, None)]


def test_a_price_that_is_back_before_its_time_is_judged_when_its_time_comes() -> None:
    assert told([*JUMP, at(70, None), at(75, 52), at(115, 52)]) == [(60, "detected", None), (115, "confirmed", None)]


def test_one_whose_price_does_not_come_back_is_reverted_by_time() -> None:
    state, _ = play([*JUMP, at(70, None)])

    _, (reverted,) = by_time(state, "KALSHI:A", 1 << 62, (RULE,))

    assert (reverted.state, reverted.ts_event_us) == ("reverted", START_US + (60 + 960) * US_PER_S)


def test_after_a_reversion_the_true_step_can_be_told_two_minutes_later() -> None:
    moves = [*JUMP, at(120, 40), at(239, 55), at(240, 55)]

    assert told(moves) == [(60, "detected", None), (120, "reverted", None), (240, "detected", None)]


def test_it_escalates_at_one_and_a_half_times_what_was_last_told() -> None:
    moves = [*CONFIRMED, at(180, 57.9), at(240, 58), at(300, 66.9), at(360, 80)]

    assert told(moves)[2:] == [(240, "escalated", None), (360, "escalated", None)]


def test_what_grew_before_it_was_confirmed_is_told_with_the_confirmation() -> None:
    _, alerts = play([*JUMP, at(120, 60), at(180, 66)])

    assert [(a.state, a.move_pp) for a in alerts] == [("detected", 12.0), ("confirmed", 20.0)]


def test_it_does_not_escalate_on_a_quote_that_cannot_be_believed() -> None:
    assert told([*CONFIRMED, at(180, 70, spread_ppm=90_000), at(240, 70)])[2:] == [(240, "escalated", None)]


def test_an_escalation_of_a_settling_market_turns_the_episode_into_a_settlement() -> None:
    _, alerts = play([*CONFIRMED, at(180, 70, is_settling=True), at(240, 41)])

    assert [a.kind for a in alerts] == ["move", "move", "settlement", "settlement"]


def test_it_fades_when_the_move_falls_below_half_the_threshold() -> None:
    assert told([*CONFIRMED, at(180, 45), at(240, 44.9)])[2:] == [(240, "closed", "faded")]


def test_half_means_half_of_the_threshold_in_force_at_detection() -> None:
    state, _ = play([at(0, 60), at(60, 60)], replace(RULE, threshold_pp=20.0))

    _, alerts = update(state, at(120, 49), (RULE,))

    assert [(a.close_reason, a.threshold_pp) for a in alerts] == [("faded", 20.0)]


def test_it_reverses_when_the_sign_changes_and_the_other_direction_may_be_detected_at_once() -> None:
    assert told([*CONFIRMED, at(180, 39.9)])[2:] == [(180, "closed", "reversed")]
    assert told([*CONFIRMED, at(180, 29)])[2:] == [(180, "closed", "reversed"), (180, "detected", None)]


def test_it_rolls_off_when_it_is_as_old_as_its_shortest_window() -> None:
    assert told([*CONFIRMED, at(60 + W - 0.000001, 52), at(60 + W, 52)])[2:] == [(60 + W, "closed", "rolled_off")]


@pytest.mark.parametrize("status", ["closed", "settled", "paused"])
def test_it_ends_with_its_market(status: str) -> None:
    assert told([*JUMP, at(70, 52, market_status=status)])[-1] == (70, "closed", "market_ended")


def test_it_ends_when_the_market_loses_its_price() -> None:
    _, alerts = play([*CONFIRMED, at(180, None)])

    assert (alerts[-1].close_reason, alerts[-1].move_pp, alerts[-1].price_ppm) == ("price_lost", None, None)


def test_it_goes_on_while_the_price_is_a_last_trade_that_cannot_be_compared() -> None:
    assert told([*CONFIRMED, at(180, 30, price_basis="last")])[2:] == []


def test_what_is_less_than_twice_the_threshold_waits_for_the_end_of_the_cool_down() -> None:
    moves = [*CONFIRMED, at(180, 41), at(300, 60.9999), at(1079.999999, 60.9999), at(1080, 60.9999)]

    assert told(moves)[2:] == [(180, "closed", "faded"), (1080, "detected", None)]


def test_a_move_of_twice_the_threshold_is_told_in_the_cool_down_once_two_minutes_have_passed() -> None:
    moves = [*CONFIRMED, at(180, 41), at(299.999999, 61), at(300, 61), at(355, 61), at(430, 50)]

    state, alerts = play(moves)

    assert [((a.ts_event_us - START_US) / US_PER_S, a.state) for a in alerts[3:]] == [
        (300, "detected"),
        (355, "confirmed"),
        (430, "closed"),
    ]
    assert alerts[3].reason.startswith("abs_move_pp 20.0 >= 20 over 1h and ")
    assert {a.threshold_pp for a in alerts[3:]} == {20.0}
    assert state is not None


def test_twice_the_threshold_counts_from_the_price_told_last() -> None:
    """Rolled off at 52 in an hour's window that began at 40: 61 is nine points of news, 72 are twenty."""
    rolled = [*CONFIRMED, at(60 + W, 52)]

    assert told([*rolled, at(4000, 61), at(4001, 71.9999)])[3:] == []
    assert told([*rolled, at(4000, 61), at(4001, 72)])[3:] == [(4001, "detected", None)]


def test_a_reverted_spike_that_comes_again_within_two_minutes_is_not_told_however_large() -> None:
    moves = [*JUMP, at(120, 40), at(150, 90), at(239.999999, 90), at(240, 52)]

    assert told(moves)[1:] == [(120, "reverted", None), (240, "detected", None)]


def test_the_cool_down_is_that_of_one_direction_and_one_rule() -> None:
    other = replace(RULE, name="other", threshold_pp=25.0)
    moves = [*CONFIRMED, at(180, 41), at(220, 29), at(230, 70)]

    _, alerts = play(moves, RULE, other)

    assert [(a.rule, a.direction) for a in alerts[3:]] == [("default", "down"), ("other", "up")]


def test_what_was_told_is_not_told_again() -> None:
    rolled = [*CONFIRMED, at(60 + W, 52)]

    assert told([*rolled, at(4700, 61.9)])[3:] == []
    _, alerts = play([*rolled, at(4700, 62.1)])
    assert (alerts[-1].state, alerts[-1].price_then_ppm) == ("detected", 520_000)
    assert alerts[-1].move_pp == pytest.approx(10.1)


def test_what_was_told_before_the_window_began_is_news_again() -> None:
    moves = [*CONFIRMED, at(60 + W, 52), at(60 + 2 * W + 1, 52)]

    assert told(moves)[3:] == [(60 + 2 * W + 1, "detected", None)]


def test_the_peak_of_the_episode_is_told_at_its_end() -> None:
    _, alerts = play([at(0, 28), at(60, 28), at(120, 26), at(180, 39)])

    assert [a.peak_move_pp for a in alerts] == [-12.0, -12.0, -14.0]


def test_nothing_is_remembered_of_a_calm_market_nor_of_what_is_long_over() -> None:
    calm, _ = play([at(0, 43), at(60, None)])
    over, _ = play([*CONFIRMED, at(180, 41), at(180 + W + 1, 41)])

    assert calm is None
    assert over is None


def test_ids_come_from_the_facts_alone() -> None:
    _, (alert,) = play([at(5, 52)])

    at_us = START_US + 5 * US_PER_S
    assert alert.alert_id == event_id("default", "KALSHI:A", "up", at_us)
    assert alert.event_id == event_id(alert.alert_id, "detected", at_us)
    assert alert.rule_version == RULE.version


def test_a_reason_repeats_the_conditions_with_their_numbers() -> None:
    _, alerts = play(CONFIRMED, replace(RULE, min_window_usd=0.0))

    assert alerts[0].reason == (
        "abs_move_pp 12.0 >= 10 over 1h and volume_24h_usd 5,000 >= 1,000 and spread_pp 1.0 <= 5"
    )
    assert alerts[1].reason == "after 60 s the median of 40 s holds 12.0 and the price 12.0 of 12.0 pp, spread_pp 1.0"


@pytest.mark.parametrize(
    ("usual_step", "changes", "detected"),
    [(0.1351, 5, True), (0.1352, 5, False), (0.1352, 4, True), (None, 90, True), (0.001, 90, True)],
)
def test_a_move_of_fewer_than_six_usual_steps_is_usual_once_the_price_has_changed_five_times(
    usual_step: float | None, changes: int, detected: bool
) -> None:
    """From 0.40 to 0.60 are 0.8109 in log-odds."""
    assert bool(told([replace(at(0, 60), usual_step=usual_step, changes=changes)])) is detected


def test_a_rule_that_asks_for_no_usual_steps_tells_the_usual_too() -> None:
    move = replace(at(0, 60), usual_step=5.0, changes=90)

    assert play([move], replace(RULE, min_usual_steps=0.0))[1][0].state == "detected"


def test_a_reason_tells_how_unusual_a_move_is_where_that_is_known() -> None:
    _, alerts = play([replace(move, usual_step=0.03, changes=5) for move in CONFIRMED])

    assert "and usual_steps 16.2 >= 6" in alerts[0].reason


def test_factors_say_what_speaks_for_and_against_and_leave_out_what_is_not_known() -> None:
    known = [with_window(move, volume_usd=20.0, trades=12) for move in CONFIRMED]
    _, alerts = play([replace(move, usual_step=0.01, changes=5) for move in known])

    assert alerts[1].factors_for == ("standing", "two_sided", "trades", "unusual", "basis", "continuous", "lifecycle")
    assert alerts[1].factors_against == ("dollars",)
    assert "standing" not in alerts[0].factors_for + alerts[0].factors_against


def test_money_size_and_rarity_make_an_alert_severe() -> None:
    rich = [with_window(at(i * 60, 65), volume_usd=20_000.0) for i in range(2)]

    _, plain = play(CONFIRMED)
    _, severe = play([replace(move, volume_24h_usd=200_000.0, usual_step=0.01) for move in rich])

    assert {a.severity for a in plain} == {"low"}
    assert {a.severity for a in severe} == {"high"}


RULES = {
    "another window": (replace(RULE, windows_s=(300,)), False),
    "its window": (replace(RULE, windows_s=(300, W)), True),
    "another venue": (replace(RULE, venues=("polymarket",)), False),
    "its venue": (replace(RULE, venues=("kalshi",)), True),
    "another category": (replace(RULE, categories=("sports",)), False),
    "its category": (replace(RULE, categories=("climate",)), True),
    "not on the watch list": (replace(RULE, markets=("KALSHI:B",)), False),
    "on the watch list": (replace(RULE, markets=("KALSHI:B", "KALSHI:A")), True),
    "only down": (replace(RULE, direction="down"), False),
    "only up": (replace(RULE, direction="up"), True),
    "more dollars in the window": (replace(RULE, min_window_usd=501.0), False),
    "dollars in the window": (replace(RULE, min_window_usd=500.0), True),
}


@pytest.mark.parametrize(("rule", "detects"), RULES.values(), ids=RULES.keys())
def test_a_rule_sees_what_it_asks_for(rule: Rule, detects: bool) -> None:
    _, alerts = update(None, with_window(at(0, 60), volume_usd=500.0), (rule,), "climate")

    assert bool(alerts) is detects


def test_a_rule_for_dollars_in_the_window_sees_nothing_where_they_are_not_known() -> None:
    assert told([at(0, 60)], replace(RULE, min_window_usd=1.0)) == []


@pytest.mark.parametrize(
    ("first", "then", "states"),
    [
        (True, None, []),
        (False, None, ["detected", "closed"]),
        (True, False, []),
        (False, True, ["detected", "reverted"]),
    ],
    ids=["quiet rule removed", "rule removed", "quiet no more", "quiet from now on"],
)
def test_whoever_heard_of_an_episode_hears_of_its_end_and_nobody_else_whatever_became_of_the_rule(
    first: bool, then: bool | None, states: list[str]
) -> None:
    state, alerts = update(None, at(60, 52), [replace(RULE, confirmed_only=first)])
    later = [] if then is None else [replace(RULE, confirmed_only=then)]

    _, more = update(state, at(120, 40), later)

    assert [a.state for a in (*alerts, *more)] == states


def test_a_rule_for_confirmed_only_tells_nothing_before() -> None:
    quiet = replace(RULE, confirmed_only=True)

    assert told([*CONFIRMED, at(180, 41)], quiet) == [(120, "confirmed", None), (180, "closed", "faded")]
    assert told([*JUMP, at(120, 40)], quiet) == []


def test_rules_may_change_without_losing_episodes() -> None:
    state, _ = play(CONFIRMED)

    _, higher = update(state, at(180, 58), (replace(RULE, threshold_pp=50.0),))
    _, removed = update(state, at(180, 58), (replace(RULE, name="new", threshold_pp=50.0),))

    assert [(a.state, a.threshold_pp) for a in higher] == [("escalated", 10.0)]
    assert [(a.state, a.close_reason, a.rule) for a in removed] == [("closed", "rule_removed", "default")]


def test_a_market_that_ended_while_nobody_looked_closes_its_episode_by_time() -> None:
    ends = [replace(move, seconds_to_close=300 - (move.ts_event_us - START_US) // US_PER_S) for move in CONFIRMED]
    state, _ = play([with_window(move, window_s=86_400, coverage_s=86_400) for move in ends])
    due = due_us(state)
    assert due is not None

    assert due == START_US + (300 + 3600) * US_PER_S
    assert by_time(state, "KALSHI:A", due - 1, (RULE,)) == (state, ())
    after, (alert,) = by_time(state, "KALSHI:A", due + 10**12, (RULE,))
    assert (alert.state, alert.close_reason, alert.ts_event_us) == ("closed", "market_ended", due)
    assert (alert.venue, alert.token_id, alert.price_ppm) == ("kalshi", "KALSHI:A:YES", None)
    assert due_us(after) is None


def test_an_episode_rolls_off_by_time_and_an_undecided_one_is_reverted() -> None:
    confirmed, _ = play(CONFIRMED)
    undecided, _ = play(JUMP)

    _, (closed,) = by_time(confirmed, "KALSHI:A", 1 << 62, (RULE,))
    _, (reverted,) = by_time(undecided, "KALSHI:A", 1 << 62, (RULE,))

    assert (closed.close_reason, closed.ts_event_us) == ("rolled_off", START_US + (60 + W + 60) * US_PER_S)
    assert (reverted.state, reverted.ts_event_us) == ("reverted", START_US + (60 + 960) * US_PER_S)


def test_a_move_that_comes_long_after_tells_the_same_end_as_time_would_have() -> None:
    state, _ = play(CONFIRMED)
    _, by_clock = by_time(state, "KALSHI:A", 1 << 62, (RULE,))

    _, by_move = update(state, at(100_000, 52), (RULE,))

    assert by_move[:1] == by_clock


def test_a_redelivered_move_changes_nothing() -> None:
    first = at(0, 52)
    state, _ = update(None, first, (RULE,))

    assert state is not None
    assert update(state, first, (RULE,)) == (state, ())


def test_an_overtaken_move_changes_nothing() -> None:
    state, _ = play([at(0, 41), at(60, 52)])

    assert update(state, at(30, 41), (RULE,)) == (state, ())
    assert update(state, at(59, 80), (RULE,)) == (state, ())


WINDOWS = (300, 900)
_price_pp = st.none() | st.floats(0, 100) | st.sampled_from([20.0, 30.0, 35.0, 40.0, 45.0, 50.0, 55.0, 62.5])


@st.composite
def move_lists(draw: st.DrawFn) -> list[Move]:
    """Moves of one market whose windows each begin at a price of their own."""
    moves, at_s = [], 0.0
    for _ in range(draw(st.integers(1, 40))):
        at_s += draw(st.sampled_from([1.0, 30.0, 60.0, 299.0, 300.0, 1000.0]))
        price = draw(_price_pp)
        price_ppm = None if price is None else round(price * 10_000)
        stands = draw(st.sampled_from([price_ppm, 400_000, None]))
        extra: dict[str, Any] = {"price_ppm": price_ppm, "standing_ppm": stands}
        if price_ppm is None:
            extra["price_basis"] = "none"
        if draw(st.integers(0, 9)) == 0:
            extra |= draw(
                st.sampled_from(
                    [{"market_status": "closed"}, {"spread_ppm": None}, {"is_settling": True}, {"price_basis": "last"}]
                )
            )
        extra["usual_step"] = draw(st.sampled_from([None, 0.01, 0.07, 0.15]))
        extra["changes"] = draw(st.sampled_from([4, 5, 90]))
        windows = []
        for window_s in WINDOWS:
            then = draw(st.sampled_from([None, 300_000, 400_000, 500_000, 600_000]))
            alike = then is not None and price_ppm is not None
            windows.append(
                WindowMove(
                    window_s=window_s,
                    price_then_ppm=then,
                    move_pp=(price_ppm - then) / 10_000 if alike else None,  # type: ignore[operator]
                    coverage_s=draw(st.sampled_from([window_s, window_s, window_s, window_s - 1])),
                    computed_across_gap=draw(st.booleans()),
                    reference_ppm=draw(st.sampled_from([None, 300_000, 450_000, 550_000])) if alike else None,
                )
            )
        moves.append(replace(make_move(at_s, {}, **extra), windows=tuple(windows)))
    return moves


@given(move_lists(), st.sampled_from([0, 60, 900]))
@settings(max_examples=300)
def test_alerts_are_what_the_rule_written_a_second_time_gives(moves: list[Move], cooldown_s: int) -> None:
    rule = replace(RULE, cooldown_s=cooldown_s)

    _, alerts = play(moves, rule)

    numbers = {"threshold_pp": 10, "cooldown_s": cooldown_s, "min_volume": 1000, "max_spread_pp": 5}
    expected = list(reference.alerts([asdict(m) for m in moves], numbers))
    assert [
        (a.market_id, a.direction, a.opened_at_us, a.state, a.ts_event_us, a.close_reason, a.windows_s) for a in alerts
    ] == expected
    assert len({a.event_id for a in alerts}) == len(alerts)


@given(move_lists())
@settings(max_examples=50)
def test_moves_seen_before_change_nothing_while_anything_is_remembered(moves: list[Move]) -> None:
    state: AlertState | None = None
    for index, move in enumerate(moves):
        state, _ = update(state, move, (RULE,))
        if state is not None:
            assert all(update(state, older, (RULE,)) == (state, ()) for older in moves[: index + 1])


@given(move_lists(), st.data())
@settings(max_examples=100)
def test_a_replay_from_any_checkpoint_tells_the_same_ids(moves: list[Move], data: st.DataObject) -> None:
    """A crash after `crash` moves, with the state of an earlier checkpoint: everything since is told again, alike."""
    crash = data.draw(st.integers(0, len(moves)))
    checkpoint = data.draw(st.integers(0, crash))
    _, straight = play(moves)
    _, before = play(moves[:crash])
    state, _ = play(moves[:checkpoint])

    again: list[Alert] = []
    for move in moves[checkpoint:]:
        state, made = update(state, move, (RULE,))
        again.extend(made)

    assert {a.event_id: a for a in before + again} == {a.event_id: a for a in straight}


@given(move_lists(), st.data())
@settings(max_examples=100)
def test_time_that_passes_between_moves_tells_nothing_else(moves: list[Move], data: st.DataObject) -> None:
    """Wherever time is asked between two moves, at whatever moment between them, the alerts are the same."""
    _, straight = play(moves)
    state: AlertState | None = None
    asked: list[Alert] = []
    for move in moves:
        if state is not None and data.draw(st.booleans()):
            now_us = data.draw(st.integers(state.newest_us, move.ts_event_us - 1))
            state, made = by_time(state, move.market_id, now_us, (RULE,))
            asked.extend(made)
        state, made = update(state, move, (RULE,))
        asked.extend(made)

    assert asked == straight


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x09" * 30, b"\x02" + b"\x00" * 21, b"\x02" + b"\x01" * 60])
def test_stored_bytes_of_another_version_or_length_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="alert state"):
        AlertState.unpack(data)


def test_stored_bytes_that_are_cut_short_are_refused() -> None:
    state, _ = play(CONFIRMED)
    assert state is not None
    data = state.pack()

    for cut in range(1, len(data)):
        with pytest.raises(ValueError, match="alert state"):
            AlertState.unpack(data[:cut])

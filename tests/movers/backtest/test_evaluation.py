"""Labelled jumps: what counts as seen, found and right, told by hand-made mids and episodes."""

from __future__ import annotations

import math
from array import array
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from movers.backtest.evaluation import (
    EARLY_US,
    HALF_STEP_US,
    LATE_US,
    Verdict,
    is_step,
    is_visible,
    judge,
    percentile,
)
from movers.backtest.labels import Label
from processors.backtest import Mids, Record
from schemas.units import US_PER_S
from schemas.words import Direction

AT_US = 1_790_000_000 * US_PER_S
WINDOW_S = 300
THRESHOLD_PP = 10.0


def mids(*points: tuple[float, float], unbelieved: tuple[int, ...] = (), threshold_pp: float = THRESHOLD_PP) -> Mids:
    """Seconds from `AT_US` and percentage points; `unbelieved` are places in the list."""
    from_pp = array("d", [math.inf if place in unbelieved else threshold_pp for place in range(len(points))])
    return Mids(
        array("q", [AT_US + round(s * US_PER_S) for s, _ in points]),
        array("i", [round(pp * 10_000) for _, pp in points]),
        from_pp,
        from_pp,
    )


def label(direction: Direction | None = "up", at_s: float = 0, market: str = "M") -> Label:
    return Label(market, AT_US + round(at_s * US_PER_S), direction, None)


def episode(at_s: float = 0, **changes: Any) -> Record:
    """A confirmed rise of ten points, detected so long after `AT_US`."""
    detected_us = AT_US + round(at_s * US_PER_S)
    record = Record(
        alert_id=f"{detected_us}",
        market_id="M",
        rule="default",
        rule_version="1",
        windows_s=(WINDOW_S,),
        direction="up",
        kind="move",
        move_pp=10.0,
        from_ppm=400_000,
        price_ppm=500_000,
        onset_us=None,
        told_us=detected_us,
        detected_us=detected_us,
        severity="low",
        confirmed_us=detected_us + 30 * US_PER_S,
    )
    return replace(record, **changes)


STEP = mids((-900, 40), (0, 50), (600, 50))


def verdict(records: list[Record], labels: list[Label], seen: Mids = STEP) -> Verdict:
    return judge(records, labels, lambda _: seen, WINDOW_S)


# ── what could be seen ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_jump_that_is_quoted_in_time_is_visible() -> None:
    assert is_visible(label(), mids((-900, 40), (300, 50)), WINDOW_S)
    assert not is_visible(label(), mids((-900, 40), (300.000001, 50)), WINDOW_S)


def test_less_than_the_threshold_is_not_visible() -> None:
    assert not is_visible(label(), mids((-900, 40), (10, 49.99)), WINDOW_S)


def test_the_way_back_does_not_show_a_rise() -> None:
    fall = mids((-900, 40), (10, 30))

    assert not is_visible(label("up"), fall, WINDOW_S)
    assert is_visible(label("down"), fall, WINDOW_S)
    assert is_visible(label(None), fall, WINDOW_S), "any direction when none is told"


def test_the_price_before_is_the_last_one_strictly_before_the_label() -> None:
    """A quote in the label's own microsecond is what the jump made, not what it came from."""
    assert is_visible(label(), mids((-900, 40), (0, 50)), WINDOW_S)
    assert not is_visible(label(), mids((-900, 40), (-1, 50), (0, 50)), WINDOW_S)


def test_a_market_of_which_nothing_was_known_before_shows_nothing() -> None:
    assert not is_visible(label(), mids((0, 40), (10, 60)), WINDOW_S)
    assert not is_visible(label(), mids(), WINDOW_S)


def test_a_market_must_have_been_known_for_the_shortest_window_by_the_end() -> None:
    young = mids((-1, 40), (10, 60))

    assert is_visible(label(), young, 301)
    assert not is_visible(label(), young, 302)


def test_a_quote_that_no_rule_believes_shows_nothing() -> None:
    assert not is_visible(label(), mids((-900, 40), (10, 60), unbelieved=(1,)), WINDOW_S)
    assert is_visible(label(), mids((-900, 40), (10, 60), (20, 60), unbelieved=(1,)), WINDOW_S)


def test_the_price_before_need_not_be_believed() -> None:
    assert is_visible(label(), mids((-900, 40), (10, 60), unbelieved=(0,)), WINDOW_S)


points = st.lists(
    st.tuples(st.integers(-1000, 400), st.integers(1, 99)), min_size=1, max_size=20, unique_by=lambda p: p[0]
)


@given(points, st.sampled_from(["up", "down", None]), st.integers(1, 50), st.integers(1, 50))
def test_what_a_strict_rule_sees_a_lenient_one_sees_too(
    quotes: list[tuple[int, int]], direction: Direction | None, threshold_pp: int, more_pp: int
) -> None:
    strict, lenient = (mids(*sorted(quotes), threshold_pp=pp) for pp in (threshold_pp + more_pp, threshold_pp))

    if is_visible(label(direction), strict, WINDOW_S):
        assert is_visible(label(direction), lenient, WINDOW_S)
        assert is_visible(label(None), lenient, WINDOW_S)


@given(points, st.integers(1, 50))
def test_up_and_down_are_mirror_images(quotes: list[tuple[int, int]], threshold_pp: int) -> None:
    seen = mids(*sorted(quotes), threshold_pp=threshold_pp)
    mirrored = mids(*((s, 100 - pp) for s, pp in sorted(quotes)), threshold_pp=threshold_pp)

    assert is_visible(label("up"), seen, WINDOW_S) is is_visible(label("down"), mirrored, WINDOW_S)


# ── steps and drifts ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("after_pp", "step"), [(50, True), (47.5, True), (47.4, False), (30, False)])
def test_a_step_has_three_quarters_of_its_move_within_a_minute(after_pp: float, step: bool) -> None:
    assert is_step(episode(), mids((-600, 40), (0, after_pp), (600, 50))) is step


def test_a_drift_of_the_same_size_is_no_step() -> None:
    drift = mids(*((s, 40 + 10 * (s + 600) / 600) for s in range(-600, 1, 20)))

    assert not is_step(episode(), drift)


def test_a_step_is_looked_for_around_the_foot_and_not_where_it_was_detected() -> None:
    late = mids((-600, 40), (-200, 50), (0, 50))

    assert is_step(episode(onset_us=AT_US - 200 * US_PER_S), late)
    assert not is_step(episode(), late)


def test_what_the_price_did_a_moment_outside_the_minute_does_not_count() -> None:
    half_s = HALF_STEP_US / US_PER_S

    assert is_step(episode(), mids((-600, 40), (half_s, 50)))
    assert not is_step(episode(), mids((-600, 40), (half_s + 0.000001, 50)))


def test_a_step_goes_the_way_of_its_episode() -> None:
    fall = episode(direction="down", move_pp=-10.0)

    assert is_step(fall, mids((-600, 50), (0, 40)))
    assert not is_step(fall, mids((-600, 40), (0, 50)))


def test_of_no_mids_nothing_is_a_step() -> None:
    assert not is_step(episode(), mids())


# ── the score ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("at_s", "found"), [(-60, True), (-60.000001, False), (0, True), (300, True), (300.000001, False)]
)
def test_a_label_is_found_from_a_minute_before_to_five_minutes_after(at_s: float, found: bool) -> None:
    told = verdict([episode(at_s)], [label()])

    assert (told.visible, told.found) == (1, int(found))
    assert told.missed == (() if found else (label(),))


def test_the_borders_in_the_text_are_those_of_the_code() -> None:
    assert (EARLY_US, LATE_US) == (60 * US_PER_S, 300 * US_PER_S)


@pytest.mark.parametrize(
    "not_told",
    [
        episode(confirmed_us=None),
        episode(kind="settlement"),
        episode(kind="across_gap"),
        episode(direction="down"),
        episode(market_id="other"),
    ],
    ids=["not confirmed", "settlement", "across a gap", "other way", "other market"],
)
def test_what_is_no_confirmed_move_that_way_in_that_market_finds_nothing(not_told: Record) -> None:
    told = verdict([not_told], [label()])

    assert (told.found, told.recall) == (0, 0.0)


def test_a_label_without_direction_is_found_by_either() -> None:
    assert verdict([episode(direction="down")], [label(None)]).found == 1


def test_an_escalation_of_an_older_episode_finds_a_label_and_its_delay_counts_from_there() -> None:
    older = episode(-1200, escalated_us=[AT_US - 600 * US_PER_S, AT_US + 12 * US_PER_S])

    told = verdict([older], [label()])

    assert (told.found, told.delays_s) == (1, (12.0,))


@pytest.mark.parametrize(("foot_s", "found"), [(-60, 1), (60, 1), (60.000001, 0)])
def test_a_foot_within_a_minute_finds_a_label_however_late_it_was_detected(foot_s: float, found: int) -> None:
    slow = episode(900, onset_us=AT_US + round(foot_s * US_PER_S))

    assert verdict([slow], [label()]).found == found


def test_a_delay_is_that_of_the_first_to_tell_and_never_below_nothing() -> None:
    assert verdict([episode(90), episode(20)], [label()]).delays_s == (20.0,)
    assert verdict([episode(-30)], [label()]).delays_s == (0.0,)


def test_a_label_that_nobody_could_see_is_counted_and_costs_nothing() -> None:
    told = verdict([], [label()], mids((-900, 40), (0, 41)))

    assert (told.labels, told.visible, told.missed, told.recall) == (1, 0, (), None)


def test_an_episode_that_fits_an_invisible_label_is_right_all_the_same() -> None:
    """The label says that something was there; that no rule had to see it does not make the alert wrong."""
    quiet = replace(episode(), move_pp=1.0)

    told = verdict([quiet], [label()], mids((-900, 40), (0, 41)))

    assert (told.visible, told.found, told.steps, told.right, told.precision) == (0, 0, 1, 1, 1.0)


def test_a_drift_is_counted_apart_and_is_neither_right_nor_wrong() -> None:
    drift = episode(3600)

    told = verdict([episode(), drift], [label()])

    assert (told.confirmed, told.steps, told.right, told.wrong) == (2, 1, 1, ())


def test_a_step_without_a_label_is_wrong_and_named() -> None:
    told = verdict([episode()], [label(at_s=5000)])

    assert (told.right, told.precision) == (0, 0.0)
    assert [record.alert_id for record in told.wrong] == [episode().alert_id]


def test_of_nothing_there_is_no_share() -> None:
    told = verdict([], [])

    assert (told.precision, told.recall, told.delays_s) == (None, None, ())


@given(
    st.lists(st.tuples(st.integers(-400, 400), st.booleans(), st.booleans()), max_size=8),
    st.lists(st.tuples(st.integers(-400, 400), st.sampled_from(["up", "down", None])), max_size=8),
)
def test_the_parts_of_a_score_add_up(
    told: list[tuple[int, bool, bool]], truths: list[tuple[int, Direction | None]]
) -> None:
    records = [
        episode(at_s, alert_id=f"{place}", direction="up" if up else "down", confirmed_us=AT_US if sure else None)
        for place, (at_s, up, sure) in enumerate(told)
    ]
    labels = [label(direction, at_s) for at_s, direction in truths]

    scored = verdict(records, labels)

    assert scored.found + len(scored.missed) == scored.visible <= scored.labels == len(labels)
    assert scored.right + len(scored.wrong) == scored.steps <= scored.confirmed <= len(records)
    assert len(scored.delays_s) == scored.found
    assert all(delay_s >= 0 for delay_s in scored.delays_s)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50), st.integers(1, 1000))
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(values: list[float], thousandths: int) -> None:
    least = math.ceil(len(values) * thousandths / 1000)

    found = percentile(values, thousandths / 1000)

    assert found in values
    assert sum(value <= found for value in values) >= least
    assert sum(value < found for value in values) < least


def test_of_no_values_there_is_no_percentile() -> None:
    assert percentile([], 0.5) is None

from __future__ import annotations

from dataclasses import replace
from math import log

import pytest

from processors.analytics.scoring import SCORES, Evidence, plain, signal

REAL = Evidence(
    move_pp=7.0,
    price_ppm=570_000,
    price_then_ppm=500_000,
    volume_24h_usd=50_000.0,
    window_usd=4_000.0,
    window_trades=40,
    spread_ppm=10_000,
    usual_step=0.02,
    changes=200,
    standing_ppm=569_000,
    is_settling=False,
)


@pytest.mark.parametrize(
    ("move_pp", "volume_usd", "score"),
    [
        (10.0, 999.0, 10 * log(1000)),
        (-10.0, 999.0, 10 * log(1000)),
        (10.0, 0.0, 0.0),
        (10.0, -5.0, 0.0),
        (0.0, 1e6, 0.0),
        (10.0, None, None),
    ],
)
def test_plain_is_the_move_times_the_logarithm_of_the_volume(
    move_pp: float, volume_usd: float | None, score: float | None
) -> None:
    expected = None if score is None else pytest.approx(score)

    assert plain(replace(REAL, move_pp=move_pp, volume_24h_usd=volume_usd)) == expected


def rank(move: Evidence) -> float:
    score = signal(move)
    assert score is not None
    return score


@pytest.mark.parametrize(
    "weaker",
    [
        replace(REAL, window_usd=28.0),
        replace(REAL, window_usd=3.5, window_trades=1),
        replace(REAL, window_usd=None),
        replace(REAL, window_trades=2),
        replace(REAL, usual_step=0.5),
        replace(REAL, changes=2),
        replace(REAL, spread_ppm=70_000),
        replace(REAL, spread_ppm=None),
        replace(REAL, standing_ppm=510_000),
        replace(REAL, standing_ppm=None),
        replace(REAL, is_settling=True),
        replace(REAL, move_pp=-7.0, price_ppm=430_000),
    ],
    ids=lambda move: "weaker",
)
def test_signal_ranks_a_move_lower_for_each_thing_that_speaks_against_it(weaker: Evidence) -> None:
    assert 0 <= rank(weaker) < rank(REAL)


def test_signal_ranks_seven_points_on_five_shares_below_four_real_ones() -> None:
    five_shares = replace(REAL, window_usd=2.75, window_trades=1)
    smaller = replace(REAL, move_pp=4.0, price_ppm=540_000, standing_ppm=539_000)

    assert rank(five_shares) * 5 < rank(smaller)


def test_signal_ranks_a_one_point_tick_near_zero_below_a_real_move() -> None:
    tick = replace(REAL, move_pp=1.0, price_ppm=15_000, price_then_ppm=5_000, usual_step=0.9, standing_ppm=15_000)

    assert rank(tick) * 10 < rank(REAL)


def test_signal_knows_no_move_and_looks_at_the_size_not_the_direction() -> None:
    down = replace(REAL, move_pp=-7.0, price_ppm=500_000, price_then_ppm=570_000, standing_ppm=501_000)

    assert signal(replace(REAL, move_pp=0.0)) == 0.0
    assert signal(down) == pytest.approx(signal(REAL))


def test_scores_have_names() -> None:
    assert {"plain": plain, "signal": signal} == SCORES

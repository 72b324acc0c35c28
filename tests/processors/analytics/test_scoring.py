from __future__ import annotations

from math import log

import pytest

from processors.analytics.scoring import move_in_steps, move_times_log_volume, move_times_window_volume


@pytest.mark.parametrize(
    ("move_pp", "volume_usd", "score"),
    [
        (10.0, 999.0, 10 * log(1000)),
        (-10.0, 999.0, 10 * log(1000)),
        (10.0, 0.0, 0.0),
        (10.0, -5.0, 0.0),
        (0.0, 1e6, 0.0),
        (None, 1e6, None),
        (10.0, None, None),
    ],
)
def test_the_default_score_is_the_move_times_the_logarithm_of_the_volume(
    move_pp: float | None, volume_usd: float | None, score: float | None
) -> None:
    expected = None if score is None else pytest.approx(score)
    assert move_times_log_volume(move_pp, volume_usd) == expected
    assert move_times_window_volume(move_pp, volume_usd) == expected


@pytest.mark.parametrize(
    ("move_pp", "step_pp", "score"), [(-6.0, 2.0, 3.0), (6.0, None, None), (6.0, 0.0, None), (None, 2.0, None)]
)
def test_an_unusual_move_is_one_of_many_steps(
    move_pp: float | None, step_pp: float | None, score: float | None
) -> None:
    assert move_in_steps(move_pp, step_pp) == score

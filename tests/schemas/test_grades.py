from __future__ import annotations

import pytest

from schemas.grades import HORIZONS_S, horizon_label, share_text, wilson


def test_each_horizon_has_a_name() -> None:
    assert [horizon_label(s) for s in HORIZONS_S] == ["1m", "5m", "15m", "1h", "24h"]


@pytest.mark.parametrize(
    ("hits", "cases", "text"),
    [(80, 100, "80% (71% to 87%)"), (30, 30, "100% (89% to 100%)"), (29, 29, "too few (under 30)")],
)
def test_a_share_is_told_with_its_interval_and_not_of_a_few_cases(hits: int, cases: int, text: str) -> None:
    assert share_text(hits, cases) == text


@pytest.mark.parametrize(
    ("hits", "cases", "low", "high"),
    [(0, 0, 0.0, 1.0), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (5, 10, 0.2366, 0.7634), (81, 263, 0.2553, 0.3662)],
)
def test_wilsons_interval(hits: int, cases: int, low: float, high: float) -> None:
    """81 of 263: the worked example of Newcombe, Stat. Med. 17 (1998) 857; the others by hand."""
    assert list(wilson(hits, cases)) == pytest.approx([low, high], abs=5e-5)

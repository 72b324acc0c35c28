"""Alert rules as data: what is one, and which markets and directions it looks at."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.analytics.rules import DOWN, LONGEST_COOLDOWN_S, UP, Rule, checked
from schemas.words import RuleDirection
from tests.processors.ticks import make_move

OTHERS: dict[str, Any] = {
    "name": "mine",
    "threshold_pp": 7.0,
    "windows_s": (300,),
    "direction": "up",
    "min_volume_24h_usd": 1.0,
    "min_window_usd": 1.0,
    "min_usual_steps": 3.0,
    "max_spread_pp": 3.0,
    "cooldown_s": 60,
    "venues": ("kalshi",),
    "categories": ("sports",),
    "markets": ("KALSHI:A",),
    "confirmed_only": True,
}
NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("name", ["", "Big", "-a", "a b", "a" * 41, "ä"]),
        ("threshold_pp", [0.0, -1.0, 100.1, NAN, INF]),
        ("max_spread_pp", [0.0, 100.1, NAN]),
        ("min_volume_24h_usd", [-0.01, NAN, INF]),
        ("min_window_usd", [-0.01, NAN, INF]),
        ("min_usual_steps", [-0.01, NAN, INF]),
        ("cooldown_s", [-1, LONGEST_COOLDOWN_S + 1]),
        ("direction", ["sideways", ""]),
        ("windows_s", [(0,), (300, -300)]),
        ("categories", [("sport",), ("",)]),
    ],
)
def test_a_rule_that_could_never_mean_anything_is_refused_by_the_name_of_its_field(
    field: str, values: list[Any]
) -> None:
    for value in values:
        with pytest.raises(ValueError, match=field):
            Rule(**{field: value})


def test_the_limits_themselves_are_rules() -> None:
    edges = Rule(name="a" * 40, threshold_pp=100.0, max_spread_pp=100.0, min_volume_24h_usd=0.0, cooldown_s=0)

    assert checked([edges, Rule()]) == (edges, Rule())


def test_a_version_is_that_of_all_numbers_of_a_rule_and_of_nothing_else() -> None:
    """A field that is added and not counted here would let two rules share a version."""
    assert OTHERS.keys() == {field.name for field in fields(Rule)}

    versions = [Rule().version, *(replace(Rule(), **{name: value}).version for name, value in OTHERS.items())]

    assert len(set(versions)) == len(versions)
    assert Rule(**OTHERS).version == Rule(**OTHERS).version


@given(
    st.sets(st.sampled_from(["kalshi", "polymarket"])),
    st.sets(st.sampled_from(["sports", "politics"])),
    st.sets(st.sampled_from(["KALSHI:A", "KALSHI:B"])),
    st.sampled_from(["sports", "politics", ""]),
)
def test_a_rule_looks_at_what_none_of_its_lists_leaves_out(
    venues: set[str], categories: set[Any], markets: set[str], category: Any
) -> None:
    rule = Rule(venues=tuple(venues), categories=tuple(categories), markets=tuple(markets))

    left_out = [
        bool(named) and value not in named
        for named, value in ((venues, "kalshi"), (categories, category), (markets, "KALSHI:A"))
    ]

    assert rule.looks_at(make_move(0, {}), category) == (not any(left_out))


@pytest.mark.parametrize(
    ("direction", "up", "down"), [("up", True, False), ("down", False, True), ("both", True, True)]
)
def test_a_rule_looks_along_its_own_direction(direction: RuleDirection, up: bool, down: bool) -> None:
    rule = Rule(direction=direction)

    assert (rule.looks_along(UP), rule.looks_along(DOWN)) == (up, down)


@pytest.mark.parametrize(
    ("names", "said"), [([], "no rule"), (["a", "b", "a"], "two rules are named 'a'"), (["default"] * 2, "'default'")]
)
def test_no_rule_and_two_of_one_name_are_refused(names: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        checked([Rule(name=name) for name in names])

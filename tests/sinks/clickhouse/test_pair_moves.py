from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest

from schemas.units import US_PER_S
from schemas.words import NoMove, PairNoMove
from sinks.clickhouse import rows as to
from sinks.clickhouse.store import Store
from tests.schemas.test_words import words_of
from tests.sinks.events import NOON_US, a_move, a_window

pytestmark = pytest.mark.stack

PAIRS = to.Table("market_pairs", ("market_a", "market_b", "verdict"))
COLUMNS = "window, move_pp, apart_pp, apart_then_pp, crossed_pp, between_s, no_move"


def told(
    store: Store, *, verdict: str = "confirmed", b: Mapping[str, Any] = MappingProxyType({})
) -> list[tuple[Any, ...]]:
    """What the view tells of a pair: a at 0.40 and b at 0.43 an hour ago, now at 0.41 and 0.50, but for b's changes."""
    minute = a_window(60, move_pp=1.0, price_then_ppm=400_000)
    both: list[dict[str, Any]] = [
        {"price_ppm": 410_000, "windows": (minute, a_window(3600, move_pp=1.0, price_then_ppm=400_000))},
        {
            "price_ppm": 500_000,
            "spread_ppm": 30_000,
            "ts_event_us": NOON_US - 20 * US_PER_S,
            "windows": (a_window(60, move_pp=7.0), a_window(3600, move_pp=7.0, price_then_ppm=430_000)),
        }
        | dict(b),
    ]
    moves = [a_move(name, market_id=name, **changes) for name, changes in zip("AB", both, strict=True)]
    store.insert(to.MOVERS_LATEST, to.move_rows(moves), "moves")
    store.insert(PAIRS, [("A", "B", verdict)], "pairs")
    return [tuple(row) for row in store.rows(f"SELECT {COLUMNS} FROM pair_moves ORDER BY window_s")]


def test_two_markets_of_a_pair_that_move_apart_are_a_move_over_each_window(store: Store) -> None:
    minute, hour = told(store)

    assert hour == ("1h", 6.0, 9.0, 3.0, 7.0, 20.0, "")
    assert minute == ("60s", None, 9.0, None, 7.0, 20.0, "not_at_one_time")


@pytest.mark.parametrize(
    ("b", "says"),
    [
        ({"price_basis": "last"}, ("1h", None, None, None, None, 20.0, "no_mid")),
        ({"price_ppm": None, "price_basis": "none"}, ("1h", None, None, None, None, 20.0, "no_price_now")),
        (
            {"windows": (a_window(3600, move_pp=None, no_move="in_gap"),)},
            ("1h", None, 9.0, None, 7.0, 20.0, "in_gap"),
        ),
        (
            {"windows": (a_window(3600, move_pp=7.0, coverage_s=1800),)},
            ("1h", None, 9.0, None, 7.0, 20.0, "not_covered"),
        ),
        ({"price_ppm": 425_000}, ("1h", 6.0, 1.5, -4.5, None, 20.0, "")),
    ],
    ids=["a last trade", "no price", "a gap", "half an hour known", "spreads that overlap"],
)
def test_what_is_not_alike_is_no_move_and_says_why(b: dict[str, Any], says: tuple[Any, ...], store: Store) -> None:
    assert told(store, b=b)[-1] == says


def test_the_reasons_of_the_view_are_a_closed_list(store: Store) -> None:
    """Those of its own, beside the ones that a side's move tells."""
    named = "name = 'pair_moves' AND database = currentDatabase()"
    ((definition,),) = store.rows(f"SELECT create_table_query FROM system.tables WHERE {named}")
    reasons = re.search(r"multiIf\((.*?)\) AS no_move", definition, re.DOTALL)
    assert reasons is not None

    said = set(re.findall(r"'(\w+)'", reasons[1]))

    assert said <= set(words_of(PairNoMove))
    assert set(words_of(PairNoMove)) - set(words_of(NoMove)) <= said


def test_a_pair_that_nobody_has_confirmed_does_not_move(store: Store) -> None:
    assert told(store, verdict="refused") == []

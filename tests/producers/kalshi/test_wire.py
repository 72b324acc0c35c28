"""Readers of Kalshi's pages and trades."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.errors import BadMessageError
from producers.kalshi import wire
from schemas.units import micros_from_iso

TRADE = {"ticker": "KXETH15M-26JUL250200-00", "created_time": "2026-07-25T05:51:39.54467Z", "count_fp": "12.61"}


@pytest.mark.parametrize(
    ("page", "rows", "cursor"),
    [
        ({"markets": [1], "cursor": "abc"}, [1], "abc"),
        ({"markets": [], "cursor": ""}, [], ""),
        ({"markets": [1]}, [1], None),
        ({"markets": None, "cursor": None}, None, None),
        ([1, 2], None, None),
        (None, None, None),
    ],
)
def test_a_page_without_a_cursor_is_not_the_last_one(page: Any, rows: list[Any] | None, cursor: str | None) -> None:
    """Its cursor is "" at the end; where there is none the page is broken, and the listing must not end in peace."""
    assert (wire.rows_of(page, "markets"), wire.cursor_of(page)) == (rows, cursor)


@pytest.mark.parametrize(
    ("row", "combo"),
    [
        ({"ticker": "KXMVECROSS-1"}, True),
        ({"ticker": "KXNFLGAME-1", "mve_collection_ticker": "KXMVE"}, True),
        ({"ticker": "KXNFLGAME-1", "mve_collection_ticker": ""}, False),
        ({"ticker": "AKXMVE-1"}, False),
        ({"ticker": None}, False),
        ({}, False),
    ],
)
def test_a_combination_is_known_by_its_collection_or_its_ticker(row: dict[str, Any], combo: bool) -> None:
    assert wire.is_combo(row) is combo


def test_a_trade_is_its_ticker_and_its_instant_to_the_microsecond() -> None:
    assert wire.trade(TRADE) == (TRADE["ticker"], micros_from_iso("2026-07-25T05:51:39.544670+00:00"))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"created_time": None}, "missing_field"),
        ({"created_time": "soon"}, "bad_time"),
        ({"created_time": "2026-07-25T05:51:39"}, "bad_time"),
        ({"ticker": ""}, "missing_field"),
        ({"ticker": 7}, "bad_field"),
    ],
)
def test_a_trade_that_names_no_market_or_no_instant_is_refused(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadMessageError) as caught:
        wire.trade(TRADE | change)

    assert caught.value.reason == reason


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda x: st.lists(x) | st.dictionaries(st.just("cursor"), x),
        max_leaves=4,
    )
)
def test_no_answer_of_json_breaks_the_readers_of_a_page(page: Any) -> None:
    rows, cursor = wire.rows_of(page, "cursor"), wire.cursor_of(page)

    assert rows is None or isinstance(rows, list)
    assert cursor is None or isinstance(cursor, str)

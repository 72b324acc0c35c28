"""Readers of Polymarket's oddities: lists inside strings, pages without a cursor, books in any order."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.errors import BadMessageError
from producers.polymarket import wire
from schemas.units import PPM

_LEVELS = st.lists(st.tuples(st.integers(1, 999), st.integers(0, 50)), max_size=12)


def level(per_mille: int, size: int) -> dict[str, str]:
    return {"price": f"{per_mille / 1000:.3f}", "size": str(size)}


@given(_LEVELS, st.sampled_from(["bids", "asks"]), st.randoms())
def test_the_best_level_is_the_best_price_with_a_size_in_whatever_order_they_stand(
    levels: list[tuple[int, int]], side: str, chance: Any
) -> None:
    rows = [level(*each) for each in levels]
    chance.shuffle(rows)

    price, size = wire.best_level({side: rows}, side)

    there = [at for at, contracts in levels if contracts]
    best = (max if side == "bids" else min)(there, default=None)
    assert price == (None if best is None else best * PPM // 1000)
    assert (size is None) if best is None else ((best, size) in levels)


@pytest.mark.parametrize("row", [{}, {"bids": None}, {"bids": []}, {"bids": [level(500, 0)]}])
def test_a_side_without_any_contract_is_empty(row: dict[str, Any]) -> None:
    assert wire.best_level(row, "bids") == (None, None)


@pytest.mark.parametrize(
    "levels",
    [
        7,
        "0.5",
        [None],
        [{"price": "0.5"}],
        [{"size": "5"}],
        [{"price": "half", "size": "5"}],
        [{"price": "0.5", "size": "-1"}],
        [{"price": "0.5", "size": "nan"}],
        [{"price": "0.5", "size": "1e400"}],
        [{"price": "0.5", "size": None}],
    ],
)
def test_a_book_that_cannot_be_read_is_refused_with_its_row(levels: Any) -> None:
    with pytest.raises(BadMessageError) as caught:
        wire.best_level({"bids": levels}, "bids")

    assert caught.value.reason == "bad_book"
    assert orjson.loads(caught.value.body) == {"bids": levels}


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=4))
def test_a_list_is_the_same_as_an_array_and_as_json_inside_a_string(items: list[str]) -> None:
    inside = orjson.dumps(items).decode()

    assert wire.texts({"key": items}, "key") == wire.texts({"key": inside}, "key") == tuple(items)


@pytest.mark.parametrize("value", ["[1, 2]", "{}", "7", "not json", "[", [1], {"a": 1}, 7, True, '["a", null]'])
def test_what_is_no_list_of_texts_is_refused_numbers_too(value: Any) -> None:
    """A token id has up to 78 digits: as a number it would already be another."""
    with pytest.raises(BadMessageError) as caught:
        wire.texts({"key": value}, "key")

    assert caught.value.reason == "bad_field"


@pytest.mark.parametrize(
    ("page", "rows", "cursor"),
    [
        ({"markets": [1], "next_cursor": "abc"}, [1], "abc"),
        ({"markets": [1]}, [1], ""),
        ({"markets": [1], "next_cursor": None}, [1], None),
        ({"markets": [1], "next_cursor": 7}, [1], None),
        ({"markets": {}}, None, ""),
        ({"events": []}, None, ""),
        ([1, 2], [1, 2], ""),
        (None, None, ""),
        ("markets", None, ""),
    ],
)
def test_rows_and_cursor_of_a_page(page: Any, rows: list[Any] | None, cursor: str | None) -> None:
    assert (wire.rows_of(page, "markets"), wire.cursor_of(page)) == (rows, cursor)


@pytest.mark.parametrize(
    ("change", "placeholder"),
    [
        ({}, False),
        ({"conditionId": ""}, True),
        ({"clobTokenIds": "[]"}, True),
        ({"clobTokenIds": None}, True),
        ({"clobTokenIds": "[]", "acceptingOrders": True}, False),  # it trades, so its missing tokens are a fault
        ({"clobTokenIds": "", "conditionId": None}, False),  # not a market's row at all
    ],
)
def test_a_place_kept_free_is_told_from_a_market_with_a_fault(change: dict[str, Any], placeholder: bool) -> None:
    row = {"conditionId": "0xab", "question": "Will it?", "clobTokenIds": '["1", "2"]', "acceptingOrders": False}

    assert wire.is_placeholder(row | change) is placeholder

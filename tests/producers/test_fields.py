"""Single fields of a venue's row: absence is tolerated, nonsense is refused with the row inside."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.errors import BadMessageError
from producers import fields
from producers.fields import MAX_AMOUNT
from schemas.units import PPM, datetime_from_micros

READERS = (
    fields.required_text,
    fields.optional_text,
    fields.price_ppm,
    fields.amount,
    fields.instant_us,
    fields.flag,
)

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def reason_of(read: Any, value: Any) -> str:
    with pytest.raises(BadMessageError) as caught:
        read({"key": value}, "key")
    assert caught.value.body == fields.as_bytes({"key": value})
    return caught.value.reason


@given(json_values)
def test_whatever_stands_in_a_field_it_is_read_or_refused_and_nothing_else(value: Any) -> None:
    for read in READERS:
        try:
            found = read({"key": value}, "key")
        except BadMessageError:
            continue
        if read is fields.amount:
            assert found is None or (isinstance(found, float) and 0 <= found <= MAX_AMOUNT)
        if read is fields.price_ppm:
            assert found is None or type(found) is int


@pytest.mark.parametrize("read", [fields.price_ppm, fields.amount, fields.instant_us])
def test_absent_null_and_empty_are_the_same_nothing(read: Any) -> None:
    assert [read(row, "key") for row in ({}, {"key": None}, {"key": ""})] == [None, None, None]
    assert fields.optional_text({}, "key") == fields.optional_text({"key": None}, "key") == ""


@pytest.mark.parametrize(
    ("read", "value", "reason"),
    [
        (fields.required_text, None, "missing_field"),
        (fields.required_text, "  ", "missing_field"),
        (fields.required_text, 7, "bad_field"),
        (fields.optional_text, ["a"], "bad_field"),
        (fields.price_ppm, "half", "bad_price"),
        (fields.price_ppm, {"a": 1}, "bad_price"),
        (fields.price_ppm, True, "bad_price"),
        (fields.price_ppm, "NaN", "bad_price"),
        (fields.amount, "-0.01", "bad_field"),
        (fields.amount, "nan", "bad_field"),
        (fields.amount, "inf", "bad_field"),
        (fields.amount, 1.1e15, "bad_field"),
        (fields.amount, 10**400, "bad_field"),
        (fields.amount, [], "bad_field"),
        (fields.amount, True, "bad_field"),
        (fields.instant_us, "2026-11-22T12:00:00", "bad_time"),
        (fields.instant_us, 1_790_000_000, "bad_time"),
        (fields.instant_us, [], "bad_time"),
        (fields.instant_us, "yesterday", "bad_time"),
        (fields.epoch_us, None, "bad_time"),
        (fields.epoch_us, True, "bad_time"),
        (fields.epoch_us, "60", "bad_time"),
        (fields.epoch_us, 0, "bad_time"),
        (fields.epoch_us, 32_503_680_000, "bad_time"),
        (fields.flag, 1, "bad_field"),
        (fields.flag, "true", "bad_field"),
    ],
)
def test_nonsense_is_refused_by_its_kind(read: Any, value: Any, reason: str) -> None:
    assert reason_of(read, value) == reason


@given(st.integers(0, PPM))
def test_a_price_is_the_same_as_text_and_as_number(ppm: int) -> None:
    assert fields.price_ppm({"key": f"{ppm / PPM:.6f}"}, "key") == ppm
    assert fields.price_ppm({"key": ppm / PPM}, "key") == ppm


@given(st.integers(0, 4_000_000_000_000_000), st.sampled_from(["Z", "+00:00", "+00"]))
def test_an_instant_is_the_same_in_every_way_of_writing_utc(micros: int, zone: str) -> None:
    text = datetime_from_micros(micros).isoformat().replace("+00:00", zone)

    assert fields.instant_us({"key": text}, "key") == micros
    assert fields.instant_us({"key": f" {text.replace('T', ' ')} "}, "key") == micros


def test_the_largest_amount_is_one_and_a_float_beyond_it_none() -> None:
    assert fields.amount({"key": MAX_AMOUNT}, "key") == MAX_AMOUNT
    assert fields.amount({"key": "0"}, "key") == 0.0
    assert reason_of(fields.amount, MAX_AMOUNT * 1.001) == "bad_field"


def test_a_row_nested_deeper_than_json_is_kept_all_the_same() -> None:
    deep: Any = "\ud800"
    for _ in range(300):
        deep = [deep]
    endless: list[Any] = []
    endless.append(endless)
    bottomless: Any = 0
    for _ in range(100_000):
        bottomless = [bottomless]

    assert orjson.loads(fields.as_bytes({"a": [1, None]})) == {"a": [1, None]}
    assert fields.as_bytes(deep).startswith(b"[" * 300)
    assert fields.as_bytes(endless) == b"[[...]]"
    assert fields.as_bytes(bottomless) == b"nested too deeply to be written"
    while bottomless:  # taken apart by hand: freeing it at once would recurse as deeply
        bottomless = bottomless[0]


def test_a_refusal_keeps_what_its_mapper_said_and_names_what_nobody_expected() -> None:
    said = BadMessageError("bad_price", "bid", b"{}")
    odd = fields.refusal(KeyError("x" * 500), {"a": 1})

    assert fields.refusal(said, {}) is said
    assert (odd.reason, odd.body) == ("unmappable", b'{"a":1}')
    assert len(odd.detail) <= 200

"""Columns that we encode ourselves come out as the client encodes its own."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from clickhouse_connect.datatypes.base import ClickHouseType
from clickhouse_connect.datatypes.registry import get_from_name
from clickhouse_connect.driver.insert import InsertContext
from clickhouse_connect.driver.transform import NativeTransform

from sinks.clickhouse.columns import PriceColumn, column_type

PPM = (0, 1, 425_750, 1_000_000, -10_000, 999_999_999, -999_999_999)


def encoded(column: Sequence[Any], kind: ClickHouseType) -> bytes:
    context = InsertContext("t", ("c",), (kind,), [column], column_oriented=True)
    chunks = b"".join(NativeTransform.build_insert(context))
    assert context.insert_exception is None
    return chunks


@pytest.mark.parametrize(
    ("name", "ppm"), [("Decimal(9, 6)", PPM), ("Nullable(Decimal(9, 6))", (*PPM, None)), ("Decimal(9, 6)", (0,))]
)
def test_prices_in_parts_per_million_give_the_bytes_of_their_decimals(name: str, ppm: Sequence[int | None]) -> None:
    decimals = [None if p is None else Decimal(p).scaleb(-6) for p in ppm]

    assert isinstance(column_type(name), PriceColumn)
    assert encoded(ppm, column_type(name)) == encoded(decimals, get_from_name(name))


@pytest.mark.parametrize("name", ["Decimal(18, 6)", "Nullable(Float64)", "LowCardinality(String)"])
def test_every_other_type_is_the_clients_own(name: str) -> None:
    assert column_type(name) is get_from_name(name)

"""How the client encodes a column, where its own way is not ours.

Prices are parts per million, and that is what a Decimal(9, 6) holds, as a 32-bit integer. The client would want a
Decimal, print it, read it again and multiply: a quarter of an insert's time, for the same four bytes.

Leans on a private method of clickhouse-connect, `_write_column_binary`; `tests/sinks/clickhouse/test_columns.py` holds
the bytes equal to the client's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clickhouse_connect.datatypes.base import ClickHouseType
from clickhouse_connect.datatypes.numeric import Decimal
from clickhouse_connect.datatypes.registry import get_from_name
from clickhouse_connect.driver.common import write_array
from clickhouse_connect.driver.insert import InsertContext

_PRICE = (9, 6)
"""Digits in all, and behind the point."""


class PriceColumn(Decimal, registered=False):
    """A Decimal(9, 6), nullable or not, of parts per million."""

    def _write_column_binary(self, column: Sequence[Any], dest: bytearray, ctx: InsertContext) -> None:
        write_array(self._array_type, [ppm or 0 for ppm in column], dest, ctx.column_name)


def column_type(name: str) -> ClickHouseType:
    """The type of a column by its name in the store, as our rows fill it."""
    known = get_from_name(name)
    if isinstance(known, Decimal) and (known.prec, known.scale) == _PRICE:
        return PriceColumn(known.type_def, known.prec, known.byte_size * 8, known.scale)
    return known

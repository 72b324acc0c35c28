"""The points of a market's history, oldest first: rows of bytes, read where they lie and stored as they are.

A row is never changed: what is added, replaced or left out makes new bytes, so that states share what they have in
common. The older rows, the body, change once in many points; the newest, the tail, with nearly every tick.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from librt.strings import (
    BytesWriter,
    read_f64_le,
    read_i32_le,
    read_i64_le,
    write_f64_le,
    write_i32_le,
    write_i64_le,
)

UNKNOWN_TRADES: Final = -1

# since when 0, area 8, price 16, basis 20; then dollars, if they are known, and trades, if these are
_AREA: Final = 8
_PRICE: Final = 16
_BASIS: Final = 20
_DOLLARS: Final = 21
_NUMBER_BYTES: Final = 8


class Points:
    """Rows of a body and of a tail, which holds at least the newest.

    Of each: since when it holds, in venue microseconds; `basis`, what held (a code of `windows`); its price, or the
    last known one; `area`, the price summed over time up to then, in ppm times milliseconds, from an arbitrary start;
    dollars and trades since the history began, NaN and -1 while the venue had not said anything. What it never said
    takes no room.
    """

    __slots__ = ("_trades_at", "body", "count", "has_trades", "has_usd", "in_body", "tail", "width")

    def __init__(self, body: bytes, tail: bytes, has_usd: bool, has_trades: bool) -> None:
        self.body = body
        self.tail = tail
        self.has_usd = has_usd
        self.has_trades = has_trades
        self._trades_at = _DOLLARS + (_NUMBER_BYTES if has_usd else 0)
        self.width = self._trades_at + (_NUMBER_BYTES if has_trades else 0)
        self.in_body = len(body) // self.width
        self.count = self.in_body + len(tail) // self.width

    def _row(self, index: int) -> tuple[bytes, int]:
        if index < self.in_body:
            return self.body, index * self.width
        return self.tail, (index - self.in_body) * self.width

    def ts_us(self, index: int) -> int:
        """Since when a point holds."""
        rows, at = self._row(index)
        return read_i64_le(rows, at)

    def area(self, index: int) -> int:
        """The price summed over time up to a point."""
        rows, at = self._row(index)
        return read_i64_le(rows, at + _AREA)

    def price_ppm(self, index: int) -> int:
        """A point's price."""
        rows, at = self._row(index)
        return read_i32_le(rows, at + _PRICE)

    def basis(self, index: int) -> int:
        """What a point's price is."""
        rows, at = self._row(index)
        return rows[at + _BASIS]

    def usd(self, index: int) -> float:
        """Dollars traded up to a point."""
        if not self.has_usd:
            return math.nan
        rows, at = self._row(index)
        return read_f64_le(rows, at + _DOLLARS)

    def trades(self, index: int) -> int:
        """Trades up to a point."""
        if not self.has_trades:
            return UNKNOWN_TRADES
        rows, at = self._row(index)
        return read_i64_le(rows, at + self._trades_at)

    def as_of(self, then_us: int) -> int:
        """Index of the point in force at a moment; -1 when all are later."""
        low, high = 0, self.count
        while low < high:
            middle = (low + high) // 2
            if self.ts_us(middle) <= then_us:
                low = middle + 1
            else:
                high = middle
        return low - 1

    def added(self, ts_us: int, area: int, price_ppm: int, basis: int, usd: float, trades: int) -> Points:
        """These, and one more."""
        return self._with(self.tail, ts_us, area, price_ppm, basis, usd, trades)

    def ended(self, ts_us: int, area: int, price_ppm: int, basis: int, usd: float, trades: int) -> Points:
        """These, with another one for the newest."""
        return self._with(self.tail[: -self.width], ts_us, area, price_ppm, basis, usd, trades)

    def settled(self) -> Points:
        """These; all but the newest in the body."""
        return self._all_in(self.body + self.tail)

    def since(self, index: int, ts_us: int, area: int) -> Points:
        """These from one on, which holds since another moment."""
        rows = (self.body + self.tail)[index * self.width :]
        first = BytesWriter()
        write_i64_le(first, ts_us)
        write_i64_le(first, area)
        return self._all_in(first.getvalue() + rows[_PRICE:])

    def only(self, kept: Sequence[int]) -> Points:
        """Those with these indices, in their order."""
        rows, width = self.body + self.tail, self.width
        return self._all_in(b"".join([rows[index * width : (index + 1) * width] for index in kept]))

    def telling(self, has_usd: bool, has_trades: bool) -> Points:
        """These, with room for dollars and trades, or without."""
        if has_usd == self.has_usd and has_trades == self.has_trades:
            return self
        points = Points(b"", b"", has_usd, has_trades)
        for index in range(self.count):
            points = points.added(
                self.ts_us(index),
                self.area(index),
                self.price_ppm(index),
                self.basis(index),
                self.usd(index),
                self.trades(index),
            )
        cut = self.in_body * points.width
        return Points(points.tail[:cut], points.tail[cut:], has_usd, has_trades)

    def _with(self, tail: bytes, ts_us: int, area: int, price_ppm: int, basis: int, usd: float, trades: int) -> Points:
        out = BytesWriter()
        out.write(tail)
        write_i64_le(out, ts_us)
        write_i64_le(out, area)
        write_i32_le(out, price_ppm)
        out.append(basis)
        if self.has_usd:
            write_f64_le(out, usd)
        if self.has_trades:
            write_i64_le(out, trades)
        return Points(self.body, out.getvalue(), self.has_usd, self.has_trades)

    def _all_in(self, rows: bytes) -> Points:
        return Points(rows[: -self.width], rows[-self.width :], self.has_usd, self.has_trades)


def from_columns(data: bytes, count: int, has_usd: bool, has_trades: bool) -> bytes:
    """Rows of what was stored column by column: times, areas, prices, bases, and what is known of dollars and trades.

    States of version 2 lie so.
    """
    areas_at, prices_at = count * 8, count * 16
    bases_at, usd_at = count * 20, count * 21
    trades_at = usd_at + (count * 8 if has_usd else 0)
    points = Points(b"", b"", has_usd, has_trades)
    for index in range(count):
        points = points.added(
            read_i64_le(data, index * 8),
            read_i64_le(data, areas_at + index * 8),
            read_i32_le(data, prices_at + index * 4),
            data[bases_at + index],
            read_f64_le(data, usd_at + index * 8) if has_usd else math.nan,
            read_i64_le(data, trades_at + index * 8) if has_trades else UNKNOWN_TRADES,
        )
    return points.tail

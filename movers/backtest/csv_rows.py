"""Tapes in CSV: the columns `ts,market,price` and optionally `bid,ask,size_usd`, and the ticks that they tell.

ts in epoch seconds or ISO 8601 (UTC when no offset is given), prices 0..1, rows and columns in any order, names of
columns in upper or lower case, gzipped or not. A price without a book is a trade in the book that its market told last,
and gets a book of 0.0001 either side, as `movers simulate convert` does, where it has told none.
"""

from __future__ import annotations

import csv
import gzip
import math
import sys
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import TextIO, cast

from kernel.errors import UserError
from producers.quotes import quote
from schemas.events import Tick
from schemas.units import PPM, US_PER_S, event_id, micros_from_datetime

HALF_BOOK_PPM = 100

_BOOK_MADE = "a book of 0.0001 either side where a row has a price alone and its market had told no book"
_BOOK_KEPT = "the book last told where a row has a price alone and its market had told one"

_END_S = 253_402_300_800
"""Epoch seconds of the year 10,000."""

_REQUIRED = ("ts", "market", "price")
_KNOWN = (*_REQUIRED, "bid", "ask", "size_usd")

_LONGEST_LINE = 1_000_000


@dataclass(frozen=True, slots=True)
class Row:
    """One line: a price, perhaps with a book or what was traded at it. None where it does not tell."""

    ts_us: int
    market: str
    price_ppm: int
    bid_ppm: int | None
    ask_ppm: int | None
    size_usd: float | None

    @property
    def has_book(self) -> bool:
        """Whether it tells at least one side."""
        return self.bid_ppm is not None or self.ask_ppm is not None


def read_rows(path: Path) -> list[Row]:
    """The rows of a file in order of time; at least one.

    Raises:
        UserError: it cannot be read or has none, or a line is not what it should be; names file and line.
    """
    try:
        with _text(path) as file:
            rows = list(_rows_under(path, _numbered(path, file)))
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"cannot read tape {path}: {error}") from error
    if not rows:
        raise UserError(f"tape {path} has no rows")
    rows.sort(key=lambda row: row.ts_us)
    return rows


def assumed_books(rows: Iterable[Row]) -> list[str]:
    """What is assumed of the books of these rows, which are in order of time."""
    told: set[str] = set()
    alone_before = alone_after = False
    for row in rows:
        if row.has_book:
            told.add(row.market)
        elif row.market in told:
            alone_after = True
        else:
            alone_before = True
    said = [_BOOK_MADE] if alone_before else []
    if alone_after:
        said.append(_BOOK_KEPT)
    return said


def ticks_of(rows: Iterable[Row], volume_usd: float) -> Iterator[Tick]:
    """One tick a row; of rows of one market and instant the last."""
    totals: dict[str, float] = {}
    books: dict[str, tuple[int | None, int | None]] = {}
    for _, together in groupby(rows, key=lambda row: row.ts_us):
        ticks: dict[str, Tick] = {}
        for row in together:
            if row.size_usd is not None:
                totals[row.market] = totals.get(row.market, 0.0) + row.size_usd
            if row.has_book:
                books[row.market] = row.bid_ppm, row.ask_ppm
            ticks[row.market] = _tick(row, books.get(row.market), totals.get(row.market), volume_usd)
        yield from ticks.values()


def _tick(row: Row, book: tuple[int | None, int | None] | None, total_usd: float | None, volume_usd: float) -> Tick:
    """The tick of a row; `book`: bid and ask as its market told them last."""
    if book is not None:
        bid, ask = book
    else:
        bid, ask = max(row.price_ppm - HALF_BOOK_PPM, 0), min(row.price_ppm + HALF_BOOK_PPM, PPM)
    seen = quote(bid, ask, row.price_ppm)
    return Tick(
        event_id=event_id(row.market, row.ts_us),
        venue="tape",
        market_id=row.market,
        token_id=f"{row.market}:YES",
        ts_event_us=row.ts_us,
        ts_received_us=row.ts_us,
        ts_event_basis="venue",
        source="stream",
        bid_ppm=seen.bid_ppm,
        ask_ppm=seen.ask_ppm,
        last_ppm=seen.last_ppm,
        price_ppm=seen.price_ppm,
        price_basis=seen.price_basis,
        volume_24h_usd=volume_usd,
        volume_total_usd=total_usd,
        trades=None if row.size_usd is None else 1,
        market_status="open",
        heartbeat_s=0,
        flags=seen.flags,
    )


def instant_us(text: str) -> int:
    """Microseconds UTC of epoch seconds or an ISO 8601 instant; without an offset it is UTC.

    Raises:
        ValueError: neither, or no moment of the years 1970 to 9999.
    """
    try:
        seconds = float(text)
    except ValueError:
        moment = datetime.fromisoformat(text.strip())
        ts_us = micros_from_datetime(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))
    else:
        if seconds >= _END_S and math.isfinite(seconds):
            raise ValueError(f"not an instant in epoch seconds: {text!r}; milliseconds, microseconds?")
        ts_us = round(seconds * US_PER_S) if math.isfinite(seconds) else -1
    if ts_us < 0:
        raise ValueError(f"not an instant: {text!r}")
    return ts_us


def _text(path: Path) -> TextIO:
    if path.suffix.lower() == ".gz":
        return cast("TextIO", gzip.open(path, "rt", encoding="utf-8-sig", newline=""))
    return path.open(encoding="utf-8-sig", newline="")


def _lines(file: TextIO) -> Iterator[str]:
    """The lines of a file; not one of gigabytes, which is no CSV, before it is known to be too long."""
    while line := file.readline(_LONGEST_LINE):
        if len(line) == _LONGEST_LINE:
            raise ValueError(f"longer than {_LONGEST_LINE - 1:,} characters")
        yield line


def _numbered(path: Path, file: TextIO) -> Iterator[tuple[int, list[str]]]:
    """The fields of each row that is not blank, with the line of the file on which it begins."""
    reader, begins = csv.reader(_lines(file), skipinitialspace=True), 1
    try:
        for fields in reader:
            if fields:
                yield begins, fields
            begins = reader.line_num + 1
    except UnicodeDecodeError as error:  # text is decoded ahead of the lines
        raise UserError(f"{path}, line {begins} or later: no UTF-8 text ({error.reason})") from error
    except (ValueError, csv.Error) as error:
        raise UserError(f"{path}, line {begins}: {error}") from error


def _rows_under(path: Path, numbered: Iterator[tuple[int, list[str]]]) -> Iterator[Row]:
    line, header = next(numbered, (1, []))
    columns = [name.strip().lower() for name in header]
    if missing := [name for name in _REQUIRED if name not in columns]:
        found = ",".join(header)
        raise UserError(
            f"{path}, line {line}: no column {missing[0]} in {found!r:.80}; "
            "expected ts,market,price[,bid,ask,size_usd], told apart by commas"
        )
    if twice := [name for name in _KNOWN if columns.count(name) > 1]:
        raise UserError(f"{path}, line {line}: two columns {twice[0]}")
    for number, fields in numbered:
        try:
            if len(fields) > len(columns):  # 0,5 is not a half
                raise ValueError(f"{len(fields)} fields under {len(columns)} names")
            yield _row(dict(zip(columns, fields, strict=False)))
        except ValueError as error:
            raise UserError(f"{path}, line {number}: {error}") from error


def _row(row: dict[str, str]) -> Row:
    price = _ppm("price", row.get("price") or "")
    market = (row.get("market") or "").strip()
    if not market or price is None:
        raise ValueError("market and price are needed")
    size_usd = _size_usd(row.get("size_usd") or "")
    return Row(
        instant_us(row["ts"]),
        sys.intern(market),
        price,
        _ppm("bid", row.get("bid") or ""),
        _ppm("ask", row.get("ask") or ""),
        size_usd,
    )


def _size_usd(text: str) -> float | None:
    if not text.strip():
        return None
    value = _number("size_usd", text)
    if not 0 <= value < math.inf:
        raise ValueError(f"size_usd {text}: US dollars, 0 or more")
    return value


def _ppm(name: str, text: str) -> int | None:
    if not text.strip():
        return None
    value = _number(name, text)
    if not 0 <= value <= 1:
        raise ValueError(f"{name} {text} outside 0..1")
    return round(value * PPM)


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{name} {text!r} is no number") from None

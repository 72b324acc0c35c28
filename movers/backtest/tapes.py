"""Tapes as ticks: what our producers would have made of the same quotes.

Two kinds of file: a tape of the simulated venues (`simulator.tape`), and CSV with the columns `ts,market,price` and
optionally `bid,ask,size_usd`: ts in epoch seconds or ISO 8601 (UTC when no offset is given), prices 0..1, rows and
columns in any order, names of columns in upper or lower case. Either may be gzipped.

What a tape does not tell is assumed, and the summary says so: a price without a book is a trade in the book that its
market told last, and gets a book of 0.0001 either side, as `movers simulate convert` does, where it has told none; a
market without a 24-hour volume gets `volume_usd`.
"""

from __future__ import annotations

import csv
import gzip
import heapq
import math
import sys
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import TextIO, cast

from kernel.errors import UserError
from processors.backtest import Categories
from producers.quotes import quote
from producers.registry import VENUES as COLLECTED
from schemas.events import Tick
from schemas.units import PPM, US_PER_S, event_id, micros_from_datetime
from schemas.words import Category, MarketStatus, UnknownCategory
from simulator.ids import slug
from simulator.tape import COUNTS_CONTRACTS, VENUES, Line, Market, Quote, Settle, Tape, read_tape

HALF_BOOK_PPM = 100
ASSUMED_VOLUME_USD = 100_000.0

_BOOK_MADE = "a book of 0.0001 either side where a row has a price alone and its market had told no book"
_BOOK_KEPT = "the book last told where a row has a price alone and its market had told one"

_END_S = 253_402_300_800
"""Epoch seconds of the year 10,000."""

_REQUIRED = ("ts", "market", "price")
_KNOWN = (*_REQUIRED, "bid", "ask", "size_usd")

_LONGEST_LINE = 1_000_000


@dataclass(slots=True)
class Recording:
    """A tape as ticks in order of time, what had to be assumed for them, and what is known of markets' categories."""

    ticks: Iterator[Tick]
    instants_us: list[int]
    assumed: list[str]
    categories: Categories = field(default_factory=dict)


def read(path: Path, volume_usd: float = ASSUMED_VOLUME_USD) -> Recording:
    """The ticks of a file.

    Raises:
        UserError: it cannot be read, or a line is not what it should be; names file and line.
    """
    if path.name.lower().removesuffix(".gz").endswith(".csv"):
        return _read_csv(path, volume_usd)
    tape = read_tape(path)
    lines = list(merged(tape))
    instants = [line.ts_us for line in lines if line.ts_us is not None]
    without = {line.market for line in lines if isinstance(line, Market)}
    without -= {line.market for line in lines if isinstance(line, Quote) and line.volume_24h is not None}
    assumed = [f"volume_24h_usd {volume_usd:,.0f} for {len(without)} markets that tell none"] if without else []
    return Recording(ticks_of(lines, volume_usd), instants, assumed, _categories(lines))


def _categories(lines: Iterable[Line]) -> Categories:
    """Our category of each market, as its venue's producer tells it from the words that a tape knows."""
    known: dict[str, Category | UnknownCategory] = {}
    for line in lines:
        if isinstance(line, Market):
            category_of = COLLECTED[line.venue].category_of
            known[line.market] = category_of((line.category, *map(slug, line.tags))) if category_of else ""
    return known


def merged(tape: Tape) -> Iterator[Line]:
    """Both venues' lines in order of time; market lines without a stamp where they stand."""
    streams = []
    for place, venue in enumerate(VENUES):
        streams.append(_stamped(tape.lines(venue), place, tape.start_us))
    for _, _, _, line in heapq.merge(*streams, key=lambda item: item[:3]):
        yield line


def _stamped(lines: Iterator[Line], place: int, start_us: int) -> Iterator[tuple[int, int, int, Line]]:
    newest_us = start_us
    for number, line in enumerate(lines):
        newest_us = newest_us if line.ts_us is None else line.ts_us
        yield newest_us, place, number, line


def ticks_of(lines: Iterator[Line] | list[Line], volume_usd: float = ASSUMED_VOLUME_USD) -> Iterator[Tick]:
    """Tape lines as ticks: quotes as a stream tells them, and the ends of markets."""
    markets: dict[str, Market] = {}
    newest: dict[str, Quote] = {}
    for line in lines:
        if isinstance(line, Market):
            markets[line.market] = line
        elif isinstance(line, Quote):
            known = newest.get(line.market)
            if known is not None:
                _keep(line, known)
            newest[line.market] = line
            yield _tick(markets[line.market], line, line.ts_us, "open", volume_usd)
        else:
            known = newest.get(line.market)
            if known is not None:
                status: MarketStatus = "settled" if isinstance(line, Settle) else "closed"
                yield _tick(markets[line.market], known, line.ts_us, status, volume_usd)


def _keep(quote: Quote, before: Quote) -> None:
    """What a quote leaves out keeps its value (`simulator.tape`)."""
    quote.last_ppm = before.last_ppm if quote.last_ppm is None else quote.last_ppm
    quote.volume = before.volume if quote.volume is None else quote.volume
    quote.volume_24h = before.volume_24h if quote.volume_24h is None else quote.volume_24h


def _tick(market: Market, line: Quote, ts_us: int, status: MarketStatus, volume_usd: float) -> Tick:
    seen = quote(line.bid_ppm, line.ask_ppm, line.last_ppm, tradable=status == "open")
    counts_contracts = market.venue in COUNTS_CONTRACTS
    day = line.volume_24h
    if day is None:
        day = volume_usd
    elif counts_contracts:
        day *= (seen.price_ppm or seen.last_ppm or 0) / PPM
    return Tick(
        event_id=event_id(market.market, ts_us),
        venue=market.venue,
        market_id=market.market,
        token_id=f"{market.market}:YES",
        ts_event_us=ts_us,
        ts_received_us=ts_us,
        ts_event_basis="venue",
        source="stream",
        bid_ppm=seen.bid_ppm,
        ask_ppm=seen.ask_ppm,
        last_ppm=seen.last_ppm,
        price_ppm=seen.price_ppm,
        price_basis=seen.price_basis,
        volume_24h_usd=day,
        volume_total_usd=None if counts_contracts else line.volume,
        volume_total_contracts=line.volume if counts_contracts else None,
        trades=1 if line.trade is not None else 0,
        market_status=status,
        close_ts_us=market.closes_us,
        heartbeat_s=0,
        flags=seen.flags,
    )


def _read_csv(path: Path, volume_usd: float) -> Recording:
    try:
        with _text(path) as file:
            rows = list(_csv_rows(path, _numbered(path, file)))
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"cannot read tape {path}: {error}") from error
    if not rows:
        raise UserError(f"tape {path} has no rows")
    rows.sort(key=lambda row: row.ts_us)
    assumed = [f"volume_24h_usd {volume_usd:,.0f} for every market (CSV tells none)", *_assumed_books(rows)]
    return Recording(_csv_ticks(rows, volume_usd), [row.ts_us for row in rows], assumed)


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


def _csv_rows(path: Path, numbered: Iterator[tuple[int, list[str]]]) -> Iterator[_Row]:
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


def _assumed_books(rows: Iterable[_Row]) -> list[str]:
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


@dataclass(frozen=True, slots=True)
class _Row:
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


def _row(row: dict[str, str]) -> _Row:
    price = _ppm("price", row.get("price") or "")
    market = (row.get("market") or "").strip()
    if not market or price is None:
        raise ValueError("market and price are needed")
    size_usd = _size_usd(row.get("size_usd") or "")
    return _Row(
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


def _csv_ticks(rows: list[_Row], volume_usd: float) -> Iterator[Tick]:
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
            ticks[row.market] = _csv_tick(row, books.get(row.market), totals.get(row.market), volume_usd)
        yield from ticks.values()


def _csv_tick(
    row: _Row, book: tuple[int | None, int | None] | None, total_usd: float | None, volume_usd: float
) -> Tick:
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


def _text(path: Path) -> TextIO:
    if path.suffix.lower() == ".gz":
        return cast("TextIO", gzip.open(path, "rt", encoding="utf-8-sig", newline=""))
    return path.open(encoding="utf-8-sig", newline="")

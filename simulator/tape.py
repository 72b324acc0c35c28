"""Tapes: what a simulated venue plays. An ordered stream of moments, from a file or made up as time goes on.

A tape file is JSON lines, plain or gzipped. The first line is the header:

    {"format": "movers-tape/1", "start_us": 1764851236079996, "note": "free text"}

then, in order of `ts_us` (integer microseconds UTC; equal stamps allowed), lines of four kinds:

    {"kind": "market", "venue": "kalshi", "market": "KXHIGHNY-25DEC05-T37", "title": "…", …}
        A market's slow facts; see `Market` for all keys. Must come before the market's first quote. With `ts_us` the
        market is listed from then on, without it from its first quote.
    {"kind": "quote", "ts_us": …, "market": "…", "bid": 0.45, "ask": 0.46, "last": 0.45, …}
        The top of the book of outcome 0 (YES), replacing the one before. An absent or null `bid`/`ask` is an empty
        side; a crossed book is played as it stands; an absent `last`, `volume` or `volume_24h` keeps its value.
        Prices are probabilities 0..1, on a 1e-6 grid. Optional: `bid_size`, `ask_size` (contracts), `volume`,
        `volume_24h` (what the venue counts: US dollars on Polymarket, contracts on Kalshi),
        `trade`: {"price": 0.45, "size": 12.5, "side": "buy"|"sell"} of outcome 0.
    {"kind": "close", "ts_us": …, "market": "…"}
        Trading has ended, the result is open.
    {"kind": "settle", "ts_us": …, "market": "…", "winner": 0}
        Outcome 0 or 1 has won.

A tape may hold both venues' markets; the file's order is the order of play.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import IO, Any, Final, Protocol, cast

import orjson

from kernel.errors import UserError
from schemas.units import PPM

FORMAT: Final = "movers-tape/1"
VENUES: Final = ("polymarket", "kalshi")
COUNTS_CONTRACTS: Final = frozenset({"kalshi"})
"""Venues whose volumes are contracts; the others count US dollars."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """A market's slow facts. Only the first three are required in a file; a venue fills what is absent."""

    venue: str
    market: str  # condition id, or Kalshi ticker
    title: str
    ts_us: int | None = None  # listed from this instant on; None: from its first quote
    event: str = ""  # Polymarket event slug, or Kalshi event ticker; default: the market alone
    event_title: str = ""
    option: str = ""  # which outcome of the event this market stands for ("25 bps decrease")
    exclusive: bool = False  # the event's markets exclude each other
    category: str = ""  # Kalshi series category
    tags: tuple[str, ...] = ()  # Polymarket event tags
    outcomes: tuple[str, ...] = ("Yes", "No")
    series: str = ""
    series_title: str = ""
    tick: float = 0.01
    opened_us: int | None = None
    closes_us: int | None = None  # planned end of trading
    market_id: str = ""  # Gamma's numeric id
    event_id: str = ""
    tokens: tuple[str, ...] = ()  # CLOB token ids
    strike: float | None = None


@dataclass(slots=True)
class Trade:
    """One trade of outcome 0: price in ppm, size in hundredths of a contract."""

    price_ppm: int
    size_centi: int
    side: str  # "buy" or "sell": what the taker did


@dataclass(slots=True)
class Quote:
    """Top of the book of outcome 0 from `ts_us` on. None: that side is empty (prices) or unchanged (the rest)."""

    ts_us: int
    market: str
    bid_ppm: int | None
    ask_ppm: int | None
    last_ppm: int | None = None
    bid_centi: int | None = None  # hundredths of a contract at the best bid
    ask_centi: int | None = None
    volume: float | None = None
    volume_24h: float | None = None
    trade: Trade | None = None


@dataclass(slots=True)
class Close:
    """Trading in a market has ended; the result is open."""

    ts_us: int
    market: str


@dataclass(slots=True)
class Settle:
    """A market's result is known."""

    ts_us: int
    market: str
    winner: int  # 0: outcome 0 (YES) won; 1: outcome 1


Line = Market | Quote | Close | Settle


class Tape(Protocol):
    """Something to play. `lines` gives one venue's lines in order of time, endless or not, afresh at each call."""

    start_us: int
    end_us: int | None  # None: endless

    def lines(self, venue: str) -> Iterator[Line]: ...


class RecordedTape:
    """A finite tape held in memory."""

    def __init__(self, lines: Iterable[Line], start_us: int | None = None) -> None:
        self._lines: dict[str, list[Line]] = {venue: [] for venue in VENUES}
        venue_of: dict[str, str] = {}
        first: int | None = None
        last = 0
        for line in lines:
            if isinstance(line, Market):
                venue_of[line.market] = line.venue
            self._lines[venue_of[line.market]].append(line)
            if line.ts_us is not None:
                first = line.ts_us if first is None else first
                last = line.ts_us
        self.start_us = first or 0 if start_us is None else start_us
        self.end_us: int | None = max(last, self.start_us)

    def lines(self, venue: str) -> Iterator[Line]:
        """One venue's lines in order."""
        return iter(self._lines[venue])

    def shifted(self, by_us: int) -> RecordedTape:
        """The same tape, every instant moved by `by_us`, the planned ends of the markets too."""
        moved = RecordedTape([], self.start_us + by_us)
        moved._lines = {venue: [_moved(line, by_us) for line in lines] for venue, lines in self._lines.items()}
        moved.end_us = None if self.end_us is None else self.end_us + by_us
        return moved


def _moved(line: Line, by_us: int) -> Line:
    if isinstance(line, Market):
        stamps = {"ts_us": line.ts_us, "opened_us": line.opened_us, "closes_us": line.closes_us}
        return replace(line, **{key: at + by_us for key, at in stamps.items() if at is not None})  # type: ignore[arg-type]
    return replace(line, ts_us=line.ts_us + by_us)


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def read_tape(path: Path) -> RecordedTape:
    """A tape file, checked line by line.

    Raises:
        UserError: the file cannot be read, or a line is not what it should be; names file and line.
    """
    try:
        with _open(path) as file:
            header = _header(path, file.readline())
            return RecordedTape(_checked(path, file), header.get("start_us"))
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"cannot read tape {path}: {error}") from error


def _open(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    return cast("IO[bytes]", gzip.open(path, "rb")) if zipped else path.open("rb")


def _header(path: Path, line: bytes) -> dict[str, Any]:
    try:
        header = orjson.loads(line)
        good = isinstance(header, dict) and header.get("format") == FORMAT
        good = good and isinstance(header.get("start_us", 0), int)
    except orjson.JSONDecodeError:
        good = False
    if not good:
        raise UserError(f'{path}, line 1: not a tape, expected a header with "format": "{FORMAT}"')
    return dict(header)


def _checked(path: Path, file: Iterable[bytes]) -> Iterator[Line]:
    known: set[str] = set()
    previous_us = 0
    for number, raw in enumerate(file, start=2):
        if not raw.strip():
            continue
        try:
            line = parse_line(raw)
            if isinstance(line, Market):
                known.add(line.market)
            elif line.market not in known:
                raise ValueError(f"market {line.market!r} was not introduced by a market line")
            if line.ts_us is not None:
                if line.ts_us < previous_us:
                    raise ValueError("ts_us goes back")
                previous_us = line.ts_us
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            reason = f"missing {error}" if isinstance(error, KeyError) else str(error)
            raise UserError(f"{path}, line {number}: {reason}") from error
        yield line


_MARKET_KEYS: Final = frozenset(field.name for field in fields(Market))


def parse_line(raw: bytes) -> Line:
    """One line after the header.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it is not a tape line.
    """
    row = orjson.loads(raw)
    kind = row["kind"]
    if kind == "quote":
        return _quote(row)
    if kind == "market":
        return _market(row)
    if kind == "close":
        return Close(_instant(row), row["market"])
    if kind == "settle":
        if row["winner"] not in (0, 1):
            raise ValueError(f"winner must be 0 or 1, not {row['winner']!r}")
        return Settle(_instant(row), row["market"], row["winner"])
    raise ValueError(f"unknown kind {kind!r}")


def _market(row: dict[str, Any]) -> Market:
    given = {key: value for key, value in row.items() if key != "kind"}
    if unknown := given.keys() - _MARKET_KEYS:
        raise ValueError(f"unknown key {sorted(unknown)[0]!r} in a market line")
    for key in ("tags", "outcomes", "tokens"):
        if key in given:
            given[key] = tuple(given[key])
    market = Market(**given)
    if market.venue not in VENUES:
        raise ValueError(f"unknown venue {market.venue!r}")
    if not 0 < market.tick < 1:
        raise ValueError(f"tick {market.tick!r} outside 0..1")
    if len(market.outcomes) != 2 or len(market.tokens) not in (0, 2):
        raise ValueError("a market has two outcomes, and two tokens or none")
    return market


def _quote(row: dict[str, Any]) -> Quote:
    get = row.get
    trade = get("trade")
    bid, ask = _ppm(get("bid")), _ppm(get("ask"))
    return Quote(
        _instant(row),
        row["market"],
        bid,
        ask,
        _ppm(get("last")),
        _centi(get("bid_size")),
        _centi(get("ask_size")),
        _count(get("volume")),
        _count(get("volume_24h")),
        None if trade is None else _trade(trade),
    )


def _trade(row: dict[str, Any]) -> Trade:
    price, size = _ppm(row["price"]), _centi(row["size"])
    if price is None or size is None or row["side"] not in ("buy", "sell"):
        raise ValueError(f"trade {row!r} needs price, size and side buy or sell")
    return Trade(price, size, row["side"])


def _instant(row: dict[str, Any]) -> int:
    at = row["ts_us"]
    if type(at) is not int:
        raise ValueError(f"ts_us must be an integer, not {at!r}")
    return at


def _ppm(price: float | None) -> int | None:
    if price is None:
        return None
    if not 0 <= price <= 1:
        raise ValueError(f"price {price!r} outside 0..1")
    return round(price * PPM)


def _count(number: float | None) -> float | None:
    if number is not None and not 0 <= number < 1e15:
        raise ValueError(f"count {number!r} is not a number from 0 up")
    return number


def _centi(size: float | None) -> int | None:
    number = _count(size)
    return None if number is None else round(number * 100)


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def write_tape(path: Path, lines: Iterable[Line], *, start_us: int | None = None, note: str = "") -> int:
    """Writes a tape file (gzipped when the name ends in .gz) and returns the number of lines after the header."""
    header: dict[str, Any] = {"format": FORMAT, "note": note}
    if start_us is not None:
        header["start_us"] = start_us
    count = 0
    with gzip.open(path, "wb", compresslevel=6) if path.suffix == ".gz" else path.open("wb") as file:
        file.write(orjson.dumps(header) + b"\n")
        for line in lines:
            file.write(format_line(line) + b"\n")
            count += 1
    return count


def format_line(line: Line) -> bytes:
    """A line as it stands in a tape file; `parse_line` gives it back."""
    if isinstance(line, Market):
        row: dict[str, Any] = {"kind": "market"}
        defaults = {field.name: field.default for field in fields(Market)}
        row |= {key: getattr(line, key) for key in defaults if getattr(line, key) != defaults[key]}
    elif isinstance(line, Quote):
        row = {"kind": "quote", "ts_us": line.ts_us, "market": line.market}
        prices = {"bid": line.bid_ppm, "ask": line.ask_ppm, "last": line.last_ppm}
        sizes = {"bid_size": line.bid_centi, "ask_size": line.ask_centi}
        row |= {key: ppm / PPM for key, ppm in prices.items() if ppm is not None}
        row |= {key: centi / 100 for key, centi in sizes.items() if centi is not None}
        counts = {"volume": line.volume, "volume_24h": line.volume_24h}
        row |= {key: count for key, count in counts.items() if count is not None}
        if line.trade is not None:
            trade = line.trade
            row["trade"] = {"price": trade.price_ppm / PPM, "size": trade.size_centi / 100, "side": trade.side}
    elif isinstance(line, Close):
        row = {"kind": "close", "ts_us": line.ts_us, "market": line.market}
    else:
        row = {"kind": "settle", "ts_us": line.ts_us, "market": line.market, "winner": line.winner}
    return orjson.dumps(row)

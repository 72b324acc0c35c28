"""Turns recordings of the venues into tapes. One generator for each kind of recording; `main` is the command.

    movers simulate convert kalshi-ticks market_data_KXHIGHNY-25DEC05.csv.gz --out highny.tape.gz --moments 500

What a recording does not hold is not made up, with two exceptions that are named where they happen: a price series
without a book gets a book of one tick either side, and `--volume` gives every market a volume for ranking.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import heapq
import re
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TextIO, cast

import orjson

from kernel.errors import UserError
from schemas.units import PPM, US_PER_S, micros_from_datetime, micros_from_iso
from simulator import ids
from simulator.tape import Line, Market, Quote, write_tape

PPM_PER_CENT: Final = 10_000
TICK_PPM: Final = 100  # half-width of the book that stands in for a bare price
READ_ERRORS: Final = (OSError, EOFError, zlib.error, KeyError, IndexError, TypeError, ValueError)


def _text(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return cast("TextIO", gzip.open(path, "rt", encoding="utf-8", newline=""))
    return path.open(encoding="utf-8", newline="")


# ── Kalshi, top of the book in cents ─────────────────────────────────────────────────────────────────────────────────


def kalshi_ticks(paths: Sequence[Path]) -> Iterator[Line]:
    """CSV rows (timestamp, market_ticker, best_yes_bid, best_no_bid, …) of one or more days, merged in time.

    Cents; a side of 0 is empty; the YES ask is 100 less the NO bid. The stamps are naive and are taken as UTC.
    """
    return heapq.merge(*(_kalshi_day(path) for path in paths), key=lambda line: line.ts_us or 0)


def _kalshi_day(path: Path) -> Iterator[Line]:
    with _text(path) as file:
        rows = list(csv.DictReader(file))
    quotes = [_kalshi_quote(row) for row in rows]
    quotes.sort(key=lambda quote: quote.ts_us)  # stable: rows of one instant keep their order
    tickers = list(dict.fromkeys(quote.market for quote in quotes))
    yield from (_kalshi_weather(ticker, tickers) for ticker in tickers)
    yield from quotes


def _kalshi_quote(row: dict[str, str]) -> Quote:
    ts_us = micros_from_datetime(datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC))
    yes, no = int(row["best_yes_bid"]), int(row["best_no_bid"])
    if not (0 <= yes <= 100 and 0 <= no <= 100):
        raise ValueError(f"{yes} and {no} are not cents")
    bid = yes * PPM_PER_CENT if yes else None
    ask = PPM - no * PPM_PER_CENT if no else None
    return Quote(ts_us, row["market_ticker"], bid, ask)


def _kalshi_weather(ticker: str, of_day: Sequence[str]) -> Market:
    """Facts of a KXHIGHNY market that its ticker tells: B32.5 is the range 32 to 33, a T is an open end."""
    event, _, strike = ticker.rpartition("-")
    series, _, day_text = event.partition("-")
    try:
        day = datetime.strptime(day_text, "%y%b%d").replace(tzinfo=UTC)
        number = float(strike[1:])
    except ValueError:
        return Market(venue="kalshi", market=ticker, title=ticker, event=event or ticker, series=series)
    ends = [float(other.rpartition("-T")[2]) for other in of_day if other.startswith(f"{event}-T")]
    if strike[0] == "B":
        option = f"{number - 0.5:g}° to {number + 0.5:g}°"
    else:
        option = f"{number:g}° or below" if number == min(ends) and len(ends) > 1 else f"{number:g}° or above"
    return Market(
        venue="kalshi",
        market=ticker,
        title=f"Will the high temperature in NYC be {option} on {day:%b} {day.day}, {day.year}?",
        event=event,
        event_title=f"Highest temperature in NYC on {day:%b} {day.day}, {day.year}?",
        option=option,
        exclusive=True,
        category="Climate and Weather",
        tags=("Weather",),
        series=series,
        series_title="Highest temperature in NYC",
        closes_us=micros_from_datetime(day + timedelta(hours=29)),
        strike=number,
    )


# ── Kalshi, WebSocket frames ─────────────────────────────────────────────────────────────────────────────────────────


def kalshi_frames(paths: Sequence[Path]) -> Iterator[Line]:
    """Order-book frames ({"frames": [{"received_ms", "frame"}]}): snapshots and deltas become tops of the book."""
    for path in paths:
        yield from _kalshi_frames(orjson.loads(path.read_bytes())["frames"])


def _kalshi_frames(frames: Iterable[dict[str, Any]]) -> Iterator[Line]:
    books: dict[str, dict[str, dict[int, float]]] = {}
    latest_us = 0
    for received in frames:
        kind, message = received["frame"]["type"], received["frame"].get("msg", {})
        if kind not in ("orderbook_snapshot", "orderbook_delta"):
            continue
        ticker = message["market_ticker"]
        latest_us = max(latest_us, int(message.get("ts_ms", received["received_ms"])) * 1_000)
        if kind == "orderbook_snapshot":
            if ticker not in books:
                yield Market(venue="kalshi", market=ticker, title=ticker, exclusive=True, category="Sports")
            sides = {"yes": message.get("yes_dollars_fp", []), "no": message.get("no_dollars_fp", [])}
            books[ticker] = {side: {_ppm(p): float(size) for p, size in levels} for side, levels in sides.items()}
        else:
            levels = books[ticker][message["side"]]
            price = _ppm(message["price_dollars"])
            levels[price] = levels.get(price, 0.0) + float(message["delta_fp"])
            if levels[price] < 0.005:
                del levels[price]
        yield _top(latest_us, ticker, books[ticker])


def _top(ts_us: int, ticker: str, book: dict[str, dict[int, float]]) -> Quote:
    yes, no = max(book["yes"], default=None), max(book["no"], default=None)
    return Quote(
        ts_us,
        ticker,
        yes,
        None if no is None else PPM - no,
        bid_centi=None if yes is None else round(book["yes"][yes] * 100),
        ask_centi=None if no is None else round(book["no"][no] * 100),
    )


def _ppm(price: str | float) -> int:
    return round(float(price) * PPM)


# ── Polymarket, price history ────────────────────────────────────────────────────────────────────────────────────────


def polymarket_prices(paths: Sequence[Path]) -> Iterator[Line]:
    """CSV rows (Event, Question, Outcome, Timestamp, Price, …): one market a question, its first outcome's series.

    A point is a price without a book: it becomes the last trade, and a book of 0.0001 either side whose mid it is. At 0
    and 1 (and closer to them than that) the side that would leave the range is empty.
    """
    rows: list[tuple[int, str, float]] = []
    markets: dict[str, tuple[str, Market]] = {}
    for path in paths:
        with _text(path) as file:
            for row in csv.DictReader(file):
                name = ids.condition_id(f"{row['Event']}/{row['Question']}")
                outcome, _ = markets.setdefault(name, (row["Outcome"], _history_market(name, row)))
                if row["Outcome"] == outcome:
                    rows.append((int(row["Timestamp"]) * US_PER_S, name, float(row["Price"])))
    yield from (market for _, market in markets.values())
    for ts_us, name, price in sorted(rows):
        middle = _ppm(price)
        bid, ask = middle - TICK_PPM, middle + TICK_PPM
        yield Quote(ts_us, name, bid if bid > 0 else None, ask if ask < PPM else None, middle)


def _history_market(name: str, row: dict[str, str]) -> Market:
    outcome = row["Outcome"]
    return Market(
        venue="polymarket",
        market=name,
        title=row["Question"],
        event=ids.slug(row["Event"]),
        event_title=row["Event"],
        outcomes=("Yes", "No") if outcome == "Yes" else (outcome, f"Not {outcome}"),
        tick=TICK_PPM / PPM,
    )


# ── Polymarket, Gamma snapshots ──────────────────────────────────────────────────────────────────────────────────────


def polymarket_snapshots(paths: Sequence[Path]) -> Iterator[Line]:
    """Snapshots of Gamma rows (`X.jsonl.gz`) with the static part beside them (`X.markets.jsonl.gz`).

    Best bid and ask are as recorded: clamped, and filled with price -/+ 0.01 by the recorder where Gamma had none.
    """
    for path in paths:
        beside = path.with_name(path.name.replace(".jsonl", ".markets.jsonl"))
        with _text(beside) as file:
            static = {row["market_id"]: row for row in map(orjson.loads, file)}
        introduced: dict[str, str] = {}
        with _text(path) as file:
            columns = orjson.loads(next(file))["columns"]
            for line in file:
                yield from _snapshot(orjson.loads(line)["rows"], columns, static, introduced)


def _snapshot(
    rows: list[list[Any]], columns: list[str], static: dict[str, dict[str, Any]], introduced: dict[str, str]
) -> Iterator[Line]:
    places = {name: place + 1 for place, name in enumerate(columns)}
    for row in sorted(rows, key=lambda row: row[places["fetched_at"]]):
        if row[0] not in introduced:
            market = _gamma_market(row[0], static.get(row[0], {}))
            introduced[row[0]] = market.market
            yield market
        ts_us = round(row[places["fetched_at"]] * US_PER_S)
        bid, ask, volume = row[places["yes_bid"]], row[places["yes_ask"]], row[places["volume_24h"]]
        bid_ppm = _ppm(bid) if bid else None
        ask_ppm = _ppm(ask) if ask and ask < 1 else None
        yield Quote(ts_us, introduced[row[0]], bid_ppm, ask_ppm, volume_24h=volume)


def _gamma_market(market_id: str, row: dict[str, Any]) -> Market:
    tokens = (str(row.get("yes_token_id") or ""), str(row.get("no_token_id") or ""))
    made_up = re.fullmatch(r"(0x[0-9a-f]{64})_yes", tokens[0])  # the recorder's own, where Gamma gave no token ids
    group, end = row.get("negrisk_group_id"), row.get("end_date_iso")
    question = row.get("question") or f"Market {market_id}"
    return Market(
        venue="polymarket",
        market=made_up[1] if made_up else ids.condition_id(f"gamma/{market_id}"),
        title=question,
        event=f"negrisk-{ids.slug(str(group))[:24]}" if group else f"{ids.slug(question)}-{market_id}",
        event_title=question,
        option=question if group else "",
        exclusive=bool(group),
        tags=(str(row.get("category") or "other").title(),),
        tick=0.001,
        closes_us=_end_us(end) if end else None,
        market_id=market_id,
        tokens=() if made_up or not all(token.isdigit() for token in tokens) else tokens,
    )


def _end_us(text: str) -> int:
    """Some end dates carry no time and no offset: midnight UTC."""
    end = datetime.fromisoformat(text)
    return micros_from_datetime(end if end.tzinfo else end.replace(tzinfo=UTC))


# ── cutting ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def cut(
    lines: Iterable[Line],
    *,
    markets: int | None = None,
    moments: int | None = None,
    from_us: int | None = None,
    for_us: int | None = None,
    volume: float | None = None,
) -> Iterator[Line]:
    """The part of a tape that is wanted: the first markets to be quoted, from an instant, for a span, so many moments.

    A moment is a whole second in which something changes. Market lines come just before their first quote. `volume`
    is given to each market with its first quote, for a recording that knows none.
    """
    waiting: dict[str, Market] = {}
    kept: set[str] = set()
    began_us, second, seconds = from_us, -1, 0
    for line in lines:
        if isinstance(line, Market):
            waiting[line.market] = line
            continue
        if from_us is not None and line.ts_us < from_us:
            continue
        began_us = line.ts_us if began_us is None else began_us
        if for_us is not None and line.ts_us > began_us + for_us:
            return
        if line.market not in kept:
            if markets is not None and len(kept) >= markets:
                continue
            kept.add(line.market)
        if -(-line.ts_us // US_PER_S) != second:
            second, seconds = -(-line.ts_us // US_PER_S), seconds + 1
            if moments is not None and seconds > moments:
                return
        if line.market in waiting:
            yield waiting.pop(line.market)
            if volume is not None and isinstance(line, Quote) and line.volume is None:
                line.volume = volume
                line.volume_24h = volume if line.volume_24h is None else line.volume_24h
        yield line


KINDS: Final[dict[str, Callable[[Sequence[Path]], Iterator[Line]]]] = {
    "kalshi-ticks": kalshi_ticks,
    "kalshi-frames": kalshi_frames,
    "polymarket-prices": polymarket_prices,
    "polymarket-snapshots": polymarket_snapshots,
}


def convert(kind: str, paths: Sequence[Path], out: Path, **cuts: Any) -> int:
    """Writes the tape of a recording and returns its number of lines.

    Raises:
        UserError: a file that cannot be read or written, or is not a recording of this kind.
    """
    try:
        note = f"{kind} from {', '.join(path.name for path in paths)}"
        count = write_tape(out, cut(KINDS[kind](paths), **cuts), note=note)
        if count == 0:
            raise ValueError("nothing in it")
        return count
    except READ_ERRORS as error:
        out.unlink(missing_ok=True)
        names = ", ".join(str(path) for path in paths)
        raise UserError(f"cannot convert {names} as {kind}: {type(error).__name__}: {error}") from error


class _OneLine(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        raise UserError(message)


def main(argv: Sequence[str] | None = None) -> int:
    """The command: 0, or 2 with one line on stderr."""
    parser = _OneLine(
        prog="movers simulate convert",
        description="Turns a recording of a venue into a tape for `movers simulate --tape`.",
        epilog="example: movers simulate convert kalshi-ticks market_data_*.csv.gz --out highny.tape.gz --moments 500",
    )
    parser.add_argument("kind", choices=sorted(KINDS))
    parser.add_argument("paths", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--out", required=True, type=Path, help="tape to write; gzipped when it ends in .gz")
    parser.add_argument("--markets", type=int, help="keep the first so many markets")
    parser.add_argument("--moments", type=int, help="keep so many moments (seconds in which something changes)")
    parser.add_argument("--from", dest="from_us", type=micros_from_iso, metavar="2025-12-05T12:00:00Z")
    parser.add_argument("--for", dest="for_s", type=float, metavar="SECONDS", help="keep so long a span")
    parser.add_argument("--volume", type=float, help="a 24 h volume for every market, where none was recorded")
    try:
        given = parser.parse_args(sys.argv[1:] if argv is None else argv)
        count = convert(
            given.kind,
            given.paths,
            given.out,
            markets=given.markets,
            moments=given.moments,
            from_us=given.from_us,
            for_us=None if given.for_s is None else int(given.for_s * US_PER_S),
            volume=given.volume,
        )
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stderr.write(f"{given.out}: {count} lines\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

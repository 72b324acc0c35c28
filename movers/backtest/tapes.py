"""Tapes as ticks: what our producers would have made of the same quotes.

Two kinds of file: a tape of the simulated venues (`simulator.tape`), and CSV (`csv_rows.py`). Either may be gzipped.
What a tape does not tell is assumed, and the summary says so: a market without a 24-hour volume gets `volume_usd`.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from movers.backtest import csv_rows
from processors.backtest import Categories
from producers.quotes import quote
from producers.registry import VENUES as COLLECTED
from schemas.events import Tick
from schemas.units import PPM, event_id
from schemas.words import Category, MarketStatus, UnknownCategory
from simulator.ids import slug
from simulator.tape import COUNTS_CONTRACTS, VENUES, Line, Market, Quote, Settle, Tape, read_tape

ASSUMED_VOLUME_USD = 100_000.0


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
        rows = csv_rows.read_rows(path)
        assumed = [f"volume_24h_usd {volume_usd:,.0f} for every market (CSV tells none)", *csv_rows.assumed_books(rows)]
        return Recording(csv_rows.ticks_of(rows, volume_usd), [row.ts_us for row in rows], assumed)
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

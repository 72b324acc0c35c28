"""A market's state with what its stream has just told of it. Pure."""

from __future__ import annotations

from producers.facts import Top, Traded
from producers.quotes import Quote, quote
from producers.ticks import Shown


def same_prices(one: Shown, other: Shown, *, but_last: bool = False) -> bool:
    """Whether both say the same of prices. Sizes and volumes move without a change of price."""
    a, b = one.quote, other.quote
    return a.bid_ppm == b.bid_ppm and a.ask_ppm == b.ask_ppm and (but_last or a.last_ppm == b.last_ppm)


def topped(last: Shown, top: Top) -> Shown:
    """The market with another top. A book that empties, as before a settlement, has no price at all: the last trade may
    be old, and to fall back on it would look like a move."""
    seen = quote(
        top.bid_ppm,
        top.ask_ppm,
        top.last_ppm or last.quote.last_ppm,
        bid_size_contracts=top.bid_size_contracts,
        ask_size_contracts=top.ask_size_contracts,
        tradable=top.bid_ppm is not None or top.ask_ppm is not None,
    )
    if seen.last_ppm is None and last.quote.last_ppm is not None:
        seen = _with_last(seen, last.quote.last_ppm)
    volume = last.volume_total_contracts if top.volume_contracts is None else top.volume_contracts
    return _changed(last, seen, 0, volume, top.ts_us or None)


def traded(last: Shown, trade: Traded) -> Shown:
    """The market with another last trade."""
    before = last.quote
    seen = quote(
        before.bid_ppm,
        before.ask_ppm,
        trade.price_ppm,
        bid_size_contracts=before.bid_size_contracts,
        ask_size_contracts=before.ask_size_contracts,
    )
    return _changed(last, seen, 1, last.volume_total_contracts, trade.ts_us)


def last_traded(book: Quote, other: Quote) -> Quote:
    """A book as it is, with the last trade that another source shows beside it, if it shows one."""
    if other.last_ppm in (None, book.last_ppm):
        return book
    return quote(
        book.bid_ppm,
        book.ask_ppm,
        other.last_ppm,
        bid_size_contracts=book.bid_size_contracts,
        ask_size_contracts=book.ask_size_contracts,
        tradable=book.bid_ppm is not None or book.ask_ppm is not None,
    )


def _changed(last: Shown, seen: Quote, trades: int, volume_contracts: float | None, ts_us: int | None) -> Shown:
    """Written out: `dataclasses.replace` costs several times as much."""
    return Shown(
        market_id=last.market_id,
        token_id=last.token_id,
        quote=seen,
        market_status=last.market_status,
        volume_24h_usd=last.volume_24h_usd,
        volume_total_usd=last.volume_total_usd,
        volume_total_contracts=volume_contracts,
        trades=trades,
        close_ts_us=last.close_ts_us,
        ts_venue_us=ts_us,
    )


def _with_last(seen: Quote, last_ppm: int) -> Quote:
    return Quote(
        bid_ppm=seen.bid_ppm,
        ask_ppm=seen.ask_ppm,
        last_ppm=last_ppm,
        price_ppm=seen.price_ppm,
        price_basis=seen.price_basis,
        bid_size_contracts=seen.bid_size_contracts,
        ask_size_contracts=seen.ask_size_contracts,
        flags=seen.flags,
    )

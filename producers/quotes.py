"""What a quote is worth, the same on all venues: which sides exist, what the price is, what is odd about it. Pure."""

from __future__ import annotations

from schemas.frozen import dataclass
from schemas.units import PPM
from schemas.words import PriceBasis, TickFlag

MAX_MID_SPREAD_PPM = 100_000
"""Over this spread a mid says nothing; the last trade is the price. Polymarket's own rule for the price it shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """Top of book and price of outcome 0. Prices in parts per million, sizes in contracts, None = not there."""

    bid_ppm: int | None
    ask_ppm: int | None
    last_ppm: int | None
    price_ppm: int | None
    price_basis: PriceBasis
    bid_size_contracts: float | None
    ask_size_contracts: float | None
    flags: tuple[TickFlag, ...]


def quote(
    bid_ppm: int | None,
    ask_ppm: int | None,
    last_ppm: int | None,
    *,
    bid_size_contracts: float | None = None,
    ask_size_contracts: float | None = None,
    tradable: bool = True,
) -> Quote:
    """The quote in what a venue says.

    An empty side has many faces: None, a bid of 0, an ask of 0 or 1, a size of 0. A last trade at 0 means never
    traded. A value outside 0..1 is flagged `out_of_range` and dropped. The price is the mid when both sides exist, do
    not cross and are at most 0.10 apart; else the last trade; else there is none.

    Args:
        bid_ppm: best bid as the venue gives it, parts per million.
        ask_ppm: best ask.
        last_ppm: last trade.
        bid_size_contracts: contracts at the bid; None when the venue does not say.
        ask_size_contracts: contracts at the ask.
        tradable: False once trading is over. Then there is no price: what still stands in the book is left over (a
            real row of 2026-04 shows 0.69/0.71 after YES had won), and so may be the last trade (rows of 2025-06
            show 1 where NO had won). The last trade is kept as the venue gives it.
    """
    bid, bad_bid = _within(bid_ppm)
    ask, bad_ask = _within(ask_ppm)
    last, bad_last = _within(last_ppm)
    if bid == 0 or bid_size_contracts == 0 or not tradable:
        bid = None
    if ask == 0 or ask == PPM or ask_size_contracts == 0 or not tradable:
        ask = None
    flags: list[TickFlag] = ["out_of_range"] if bad_bid or bad_ask or bad_last else []
    price = last if last and tradable else None
    basis: PriceBasis = "none" if price is None else "last"
    if bid is None and ask is None:
        flags.append("empty")
    elif bid is None or ask is None:
        flags.append("one_sided")
    elif bid > ask:
        flags.append("crossed")
    elif ask - bid > MAX_MID_SPREAD_PPM:
        flags.append("wide")
    else:
        price, basis = _half(bid + ask), "mid"
    return Quote(
        bid_ppm=bid,
        ask_ppm=ask,
        last_ppm=last or None,
        price_ppm=price,
        price_basis=basis,
        bid_size_contracts=None if bid is None else bid_size_contracts,
        ask_size_contracts=None if ask is None else ask_size_contracts,
        flags=tuple(flags),
    )


def _within(ppm: int | None) -> tuple[int | None, bool]:
    """The value when it lies in 0..1, and whether there was one that does not."""
    if ppm is None or 0 <= ppm <= PPM:
        return ppm, False
    return None, True


def _half(total: int) -> int:
    """Half of a sum, half to even: a mid is exact to one part per million."""
    half, odd = divmod(total, 2)
    return half + (half & odd)

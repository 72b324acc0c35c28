"""Ticks of the house tape as a sweep would publish them: each market once a minute, changed or not."""

from __future__ import annotations

from collections.abc import Iterator

from schemas.events import Tick
from schemas.units import US_PER_S, event_id
from simulator.house import HouseTape
from simulator.tape import Market, Quote

SWEEP_S = 60
START_US = 1_790_000_000 * US_PER_S


def house_ticks(markets: int, minutes: int, seed: int = 7) -> Iterator[Tick]:
    """The ticks of so many minutes, in order of time."""
    tape = HouseTape(seed, markets, START_US)
    lines = {venue: tape.lines(venue) for venue in ("polymarket", "kalshi")}
    ahead = {venue: next(it) for venue, it in lines.items()}
    facts: dict[str, Market] = {}
    quotes: dict[str, Quote] = {}
    for minute in range(1, minutes + 1):
        now_us = START_US + minute * SWEEP_S * US_PER_S
        for venue, it in lines.items():
            while (getattr(ahead[venue], "ts_us", None) or 0) <= now_us:
                line = ahead[venue]
                if isinstance(line, Market):
                    facts[line.market] = line
                elif isinstance(line, Quote):
                    quotes[line.market] = line
                ahead[venue] = next(it)
        for place, (name, quote) in enumerate(quotes.items()):
            yield _tick(facts[name], quote, now_us + place)


def _tick(market: Market, quote: Quote, ts_us: int) -> Tick:
    kalshi = market.venue == "kalshi"
    both = quote.bid_ppm is not None and quote.ask_ppm is not None
    narrow = both and (quote.ask_ppm or 0) - (quote.bid_ppm or 0) <= 100_000
    mid = ((quote.bid_ppm or 0) + (quote.ask_ppm or 0)) // 2
    price = mid if narrow else quote.last_ppm
    market_id = f"{'KALSHI' if kalshi else 'POLY'}:{market.market}"
    return Tick(
        event_id=event_id("tick", market_id, ts_us),
        venue=market.venue,
        market_id=market_id,
        token_id=f"{market_id}:YES",
        ts_event_us=ts_us,
        ts_received_us=ts_us + 40_000,
        ts_event_basis="http_date",
        source="sweep",
        bid_ppm=quote.bid_ppm,
        ask_ppm=quote.ask_ppm,
        last_ppm=quote.last_ppm,
        price_ppm=price,
        price_basis="mid" if narrow else "none" if price is None else "last",
        volume_24h_usd=quote.volume_24h,
        volume_total_usd=None if kalshi else quote.volume,
        volume_total_contracts=quote.volume if kalshi else None,
        market_status="open",
        close_ts_us=market.closes_us,
        heartbeat_s=SWEEP_S,
        flags=(),
    )

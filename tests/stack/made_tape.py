"""A tape made up for tests: every kind of quote a venue shows, moments a few seconds apart, the same for each seed."""

from __future__ import annotations

import random
from collections.abc import Iterator

from schemas.units import PPM, US_PER_S
from simulator.tape import Line, Market, Quote

START_S = 1_767_225_600
"""2026-01-01 00:00 UTC: as recordings do, a made tape plays in the past."""

VOLUME_USD = 50_000.0
_CENT = PPM // 100


def made_tape(seed: int, markets: int, moments: int) -> list[Line]:
    """Lines of both venues: `markets` of each, `moments` whole seconds in which something changes.

    A price walks by cents; now and then it jumps (news), a side of the book empties, the spread opens so wide that
    the last trade is the price, or there is no price at all.
    """
    rng = random.Random(seed)
    lines: list[Line] = []
    for venue in ("kalshi", "polymarket"):
        lines += _venue(rng, venue, markets, moments)
    dated = sorted((line for line in lines if line.ts_us is not None), key=lambda line: line.ts_us or 0)
    return [*(line for line in lines if line.ts_us is None), *dated]


def _venue(rng: random.Random, venue: str, markets: int, moments: int) -> Iterator[Line]:
    names = [_name(venue, number) for number in range(markets)]
    for number, name in enumerate(names):
        title = f"Will {venue} number {number} happen?"
        yield Market(venue=venue, market=name, title=title, category="Climate and Weather", tags=("Weather",))
    mids = {name: rng.randrange(20, 80) for name in names}
    now_s = START_S
    for moment in range(moments):
        now_s += rng.randrange(5, 40)
        changing = names if moment == 0 else rng.sample(names, rng.randrange(1, max(2, markets // 2)))
        for name in changing:
            mids[name] = _walk(rng, mids[name])
            yield _quote(rng, name, now_s * US_PER_S, mids[name])


def _name(venue: str, number: int) -> str:
    return f"KXMADE-26JAN01-T{number}" if venue == "kalshi" else f"0x{number:064x}"


def _walk(rng: random.Random, mid: int) -> int:
    step = rng.choice((-25, -15, 15, 25)) if rng.random() < 0.02 else rng.choice((-1, -1, 0, 1, 1))
    return min(90, max(10, mid + step))


def _quote(rng: random.Random, market: str, ts_us: int, mid: int) -> Quote:
    half = 6 if rng.random() < 0.03 else 1  # 12 cents apart: the last trade counts
    bid, ask = (mid - half) * _CENT, (mid + half) * _CENT
    emptied = rng.random()
    return Quote(
        ts_us,
        market,
        None if emptied < 0.02 else bid,
        None if emptied > 0.98 else ask,
        last_ppm=mid * _CENT if rng.random() < 0.5 else None,
        volume_24h=VOLUME_USD,
    )

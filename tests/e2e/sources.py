"""What is played through the whole product, and what of it must be stored, worked out without the product."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pandas as pd

from simulator.convert import KINDS, cut
from simulator.tape import Line, Market
from tests.chaos.ledger import shown
from tests.e2e import reference
from tests.payloads import RECORDED
from tests.stack.made_tape import made_tape

KALSHI = "recordings/kalshi_highny_ticks/market_data_KXHIGHNY-25DEC07.csv.gz"
POLYMARKET = "recordings/polymarket_prices_history_1m_2026-01.csv.gz"
POLYMARKET_FROM_S = 1_769_436_000  # 2026-01-26 14:00 UTC: from here on nearly all of its markets are quoted
VOLUME_USD = 50_000.0


@dataclass(frozen=True)
class Source:
    """What is played, and what of it must be stored: by (ticker, moment), on Polymarket by (title, moment)."""

    lines: list[Line]
    kalshi: pd.DataFrame
    polymarket: pd.DataFrame
    kalshi_moments: int


def made(moments: int = 400) -> Source:
    """A tape made up here, eight markets of each venue."""
    lines = made_tape(seed=5, markets=8, moments=moments)
    titles = {line.market: line.title for line in lines if isinstance(line, Market)}
    states = shown(lines, {"kalshi": 1 << 62, "polymarket": 1 << 62})
    rows = [
        (market.partition(":")[2], moment_us // 1_000_000, *(None if ppm is None else ppm / 1e6 for ppm in prices))
        for (market, moment_us), prices in states.items()
    ]
    frame = pd.DataFrame(rows, columns=["market", "moment", "bid", "ask", "price"])
    is_kalshi = frame["market"].str.startswith("KX")
    named = frame.assign(market=frame["market"].map(titles))
    return Source(
        lines,
        frame[is_kalshi].set_index(["market", "moment"]),
        named[~is_kalshi].set_index(["market", "moment"]),
        moments,
    )


def recorded(kalshi_moments: int = 1500, polymarket_moments: int = 120) -> Source:
    """The beginning of a recording of each venue; only where `tests.payloads.HAS_RECORDED`."""
    shared = RECORDED.parent
    lines = [
        *cut(KINDS["kalshi-ticks"]([shared / KALSHI]), moments=kalshi_moments, volume=VOLUME_USD),
        *cut(
            KINDS["polymarket-prices"]([shared / POLYMARKET]),
            from_us=POLYMARKET_FROM_S * 1_000_000,
            moments=polymarket_moments,
            volume=VOLUME_USD,
        ),
    ]
    quotes = reference.kalshi_quotes(shared / KALSHI, kalshi_moments)
    points = reference.polymarket_points(shared / POLYMARKET, POLYMARKET_FROM_S, polymarket_moments)
    return Source(lines, quotes.assign(price=reference.kalshi_price(quotes)), points, kalshi_moments)


# Not what a collector that was away asked its venue for: those are its minutes, not the moments it showed.
SNAPSHOTS = (
    "SELECT venue, market_id, token_id, toUnixTimestamp(ts) AS moment, toUnixTimestamp64Micro(ts) AS ts_us, "
    "toFloat64(price) AS price, price_basis, toFloat64(bid) AS bid, toFloat64(ask) AS ask "
    "FROM snapshots WHERE source != 'backfill'"
)


def assert_stored_exactly_once(snapshots: pd.DataFrame, titles: dict[str, str], source: Source) -> None:
    """Every market and moment of the source is stored, once, and nothing else is.

    Args:
        snapshots: answer of `SNAPSHOTS`.
        titles: market_id to title; recordings of Polymarket know their markets by title.
    """
    kalshi = snapshots[snapshots["venue"] == "kalshi"]
    polymarket = snapshots[snapshots["venue"] == "polymarket"]

    got_kalshi = sorted(zip(kalshi["market_id"].str.removeprefix("KALSHI:"), kalshi["moment"], strict=True))
    got_polymarket = sorted(zip(polymarket["market_id"].map(titles), polymarket["moment"], strict=True))

    for got, played in ((got_kalshi, source.kalshi.index), (got_polymarket, source.polymarket.index)):
        stored, wanted = Counter(got), Counter(played)
        assert stored == wanted, f"too many: {stored - wanted}; missing: {wanted - stored}"

"""Kalshi's histories: `GET /markets/candlesticks`, 100 markets at a time.

    {"markets": [{"market_ticker": "KX…", "candlesticks": [{"end_period_ts": 1786137900,
     "yes_bid": {"close_dollars": "0.3300", …}, "yes_ask": {"close_dollars": "0.3400", …},
     "price": {"close_dollars": "0.3400", "previous_dollars": "0.3400", …}, …}, …]}]}

Members of `price` but `previous` are null where nobody traded (real, 2026-01).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from producers.base import Errand, PastReader, Received, Witness
from producers.client import Query, VenueHttp
from producers.fields import Row, as_object, epoch_us, price_ppm
from producers.kalshi.settings import TICKERS_BATCH
from producers.listing import no_rows
from producers.quotes import quote
from producers.ticks import Earlier, Shown
from schemas.units import US_PER_S

PATH = "/markets/candlesticks"

RECENT_S: Final = 65 * 60
"""Minute by minute the last hour and a bit: 65 candles of 100 markets are 6,500, and 10,000 are allowed in one answer.
Before it, hour by hour."""


class KalshiPast:
    """Reads answers: candles."""

    def points(self, body: Any) -> Mapping[str, list[Any]] | None:
        """Candles by ticker."""
        rows = body.get("markets") if isinstance(body, dict) else None
        if not isinstance(rows, list):
            return None
        return {
            str(row.get("market_ticker")): candles
            for row in rows
            if isinstance(row, dict) and isinstance(candles := row.get("candlesticks"), list)
        }

    def read(self, point: Any, shown: Shown) -> Earlier | None:
        """A candle, by its close. Raises BadMessageError."""
        row = as_object(point)
        at_us = epoch_us(row, "end_period_ts")
        bid, ask, price = (_member(row, key) for key in ("yes_bid", "yes_ask", "price"))
        last = price_ppm(price, "close_dollars")
        return Earlier(
            ts_us=at_us,
            quote=quote(
                price_ppm(bid, "close_dollars"),
                price_ppm(ask, "close_dollars"),
                price_ppm(price, "previous_dollars") if last is None else last,
            ),
        )


class KalshiHistories:
    """Asks the one host there is."""

    batch = TICKERS_BATCH
    reader: PastReader = KalshiPast()

    def __init__(self, api: VenueHttp, witness: Witness) -> None:
        self._api = api
        self._witness = witness

    async def ask(
        self, ids: Sequence[str], since_us: int, until_us: int, errand: Errand
    ) -> AsyncIterator[tuple[Received, Mapping[str, list[Any]]]]:
        """Candles of tickers: hours, then minutes."""
        since_s, until_s = since_us // US_PER_S, until_us // US_PER_S
        recent_s = max(since_s, until_s - RECENT_S)
        for start_s, end_s, minutes in ((since_s, recent_s, 60), (recent_s, until_s, 1)):
            if start_s >= end_s:
                continue
            query: Query = {
                "market_tickers": ",".join(ids),
                "start_ts": start_s,
                "end_ts": end_s,
                "period_interval": minutes,
                "include_latest_before_start": "true",
            }
            received, body = await self._api.get(PATH, query, errand)
            points = self.reader.points(body)
            if points is None:
                raise no_rows(self._witness, "markets", received)
            yield received, points


def _member(row: Row, key: str) -> Row:
    value = row.get(key)
    return {} if value is None else as_object(value)

"""Polymarket's histories: CLOB's `POST /batch-prices-history`, 20 tokens at a time.

{"history": {"<token>": [{"t": 1789690532, "p": 0.305}, …], …}}
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from producers.base import Errand, PastReader, Received, Witness
from producers.client import VenueHttp
from producers.fields import as_object, epoch_us, price_ppm
from producers.listing import no_rows
from producers.polymarket.mapper import priced
from producers.polymarket.settings import HISTORY_BATCH, HISTORY_STEP_MIN
from producers.ticks import Earlier, Shown
from schemas.units import PPM, US_PER_S

PATH = "/batch-prices-history"


class PolymarketPast:
    """Reads answers. Points are prices without sides; whether mids or trades is not documented."""

    def points(self, body: Any) -> Mapping[str, list[Any]] | None:
        """Points by token."""
        history = body.get("history") if isinstance(body, dict) else None
        if not isinstance(history, dict):
            return None
        return {token: points for token, points in history.items() if isinstance(points, list)}

    def read(self, point: Any, shown: Shown) -> Earlier | None:
        """A point. Raises BadMessageError."""
        row = as_object(point)
        price, at_us = price_ppm(row, "p"), epoch_us(row, "t")
        if price is None or not 0 < price < PPM:
            return None
        return Earlier(ts_us=at_us, quote=priced(price, shown))


class PolymarketHistories:
    """Asks CLOB."""

    batch = HISTORY_BATCH
    reader: PastReader = PolymarketPast()

    def __init__(self, clob: VenueHttp, witness: Witness) -> None:
        self._clob = clob
        self._witness = witness

    async def ask(
        self, ids: Sequence[str], since_us: int, until_us: int, errand: Errand
    ) -> AsyncIterator[tuple[Received, Mapping[str, list[Any]]]]:
        """Points of tokens."""
        span = {"start_ts": since_us // US_PER_S, "end_ts": until_us // US_PER_S, "fidelity": HISTORY_STEP_MIN}
        received, body = await self._clob.post(PATH, {"markets": list(ids), **span}, errand)
        points = self.reader.points(body)
        if points is None:
            raise no_rows(self._witness, "history", received)
        yield received, points

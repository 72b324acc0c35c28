"""Kalshi's settings, and its constants: page sizes and words. Facts checked 2026-11-22."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pydantic import Field, SecretStr

from kernel.settings import Group, HttpAddress, OptionalFile, SocketAddress
from schemas.words import Category, MarketStatus

NAME: Final = "kalshi"
ID_PREFIX: Final = "KALSHI:"


class KalshiSettings(Group):
    """Kalshi's addresses, and the key that its streaming asks for; reading over REST needs none."""

    kalshi_api_url: HttpAddress = Field("https://external-api.kalshi.com/trade-api/v2", description="REST base address")
    kalshi_ws_url: SocketAddress = Field(
        "wss://external-api-ws.kalshi.com/trade-api/ws/v2", description="WebSocket address (streaming)"
    )
    kalshi_stream_connections: int = Field(
        2, ge=0, le=10, description="WebSockets that tell the same, so that one may die; 0 = no streaming"
    )
    kalshi_stream_books: int = Field(100, ge=0, le=10_000, description="Busiest markets whose order books are streamed")
    kalshi_requests_per_s: float = Field(5, gt=0, description="Requests a second at the most")
    kalshi_api_key: SecretStr = Field(SecretStr(""), description="Id of the API key (streaming)")
    kalshi_private_key_file: OptionalFile = Field(None, description="PEM file with the private key of that API key")


EVENTS_PAGE: Final = 200
MARKETS_PAGE: Final = 1000

TRADES_PAGE: Final = 1000
TRADES_PAGES: Final = 3
"""So many pages of trades are read at a time; the venue's mean of 41 a second fills one in 24 s."""

TICKERS_BATCH: Final = 100
"""Tickers in one query: a ticker has about 30 characters, and the address should stay under 4 KB."""

AUDITED: Final = 500
"""Streamed markets that are held against their rows in 20 s: 5 of the 100 requests that the default pace allows."""

SERIES_EVERY: Final = 6
"""The list of series (a large answer) is fetched with the first crawl and then with each sixth."""

MAX_PAGES: Final = 5_000
"""Cursors that never end are cut off here (a full crawl had about 60 pages of events in Aug 2026)."""

STATUS: Final[Mapping[str, MarketStatus]] = {
    "initialized": "unopened",
    "inactive": "paused",
    "active": "open",
    "closed": "closed",
    "determined": "closed",
    "disputed": "closed",
    "amended": "closed",
    "finalized": "settled",
    "settled": "settled",
}
"""Status in a row → ours. The words of the `status` filter are others (open, closed, settled …)."""

CATEGORY: Final[Mapping[str, Category]] = {
    "Climate and Weather": "climate",
    "Commodities": "finance",
    "Companies": "finance",
    "Crypto": "crypto",
    "Economics": "economics",
    "Education": "other",
    "Elections": "elections",
    "Entertainment": "culture",
    "Financials": "finance",
    "Health": "science_tech",
    "Mentions": "mentions",
    "Politics": "politics",
    "Science and Technology": "science_tech",
    "Social": "culture",
    "Sports": "sports",
    "Transportation": "other",
    "World": "world",
}
"""`series.category` → ours."""

COMBO_PREFIX: Final = "KXMVE"
"""Tickers of user-made combinations begin so."""

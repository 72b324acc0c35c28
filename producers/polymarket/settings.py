"""Polymarket's settings, and its constants: page sizes and words. Facts checked 2026-11-22."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pydantic import Field

from kernel.settings import Group, HttpAddress, SocketAddress
from schemas.words import Category

NAME: Final = "polymarket"
ID_PREFIX: Final = "POLY:"


class PolymarketSettings(Group):
    """Polymarket's public addresses. Reading it needs no key."""

    polymarket_gamma_url: HttpAddress = Field(
        "https://gamma-api.polymarket.com", description="Gamma (metadata) base address"
    )
    polymarket_clob_url: HttpAddress = Field("https://clob.polymarket.com", description="CLOB (books) base address")
    polymarket_ws_url: SocketAddress = Field(
        "wss://ws-subscriptions-clob.polymarket.com/ws/market", description="Market channel (streaming)"
    )
    polymarket_stream_connections: int = Field(
        10, ge=0, le=1000, description="WebSockets at the most, 400 markets each, the busiest first; 0 = no streaming"
    )
    polymarket_witness_url: SocketAddress = Field(
        "wss://ws-live-v2.polymarket.com/ws", description="PolyBolt (second price channel, held against the first)"
    )
    polymarket_witness_connections: int = Field(
        4, ge=0, le=100, description="WebSockets to it at the most, 64 of the busiest markets each; 0 = none"
    )
    polymarket_requests_per_s: float = Field(10, gt=0, description="Requests a second at the most, per host")


EVENTS_PAGE: Final = 100
"""Events a page. 500 are allowed, but with their markets inside such a page can pass 20 MB."""

MARKETS_PAGE: Final = 100
"""Markets a page: more is silently cut to 100 since May 2026."""

LOOKUP_BATCH: Final = 50
"""Condition ids in one query: 100 are allowed, 50 keep the address short."""

BOOKS_BATCH: Final = 250
"""Tokens in one POST /books: 500 is the documented limit, but it counts bytes, and near 500 requests fail."""

AUDITED: Final = 5_000
"""Streamed markets that are held against their books in 20 s: 20 of the 200 requests that the default pace allows."""

HISTORY_BATCH: Final = 20
"""Tokens in one POST /batch-prices-history, as documented."""

HISTORY_STEP_MIN: Final = 5
"""Minutes between two points of a history (`fidelity`)."""

MAX_PAGES: Final = 20_000
"""Cursors that never end are cut off here (a full crawl had about 1,100 pages in autumn 2026)."""

CATEGORY_OF_TAG: Final[Mapping[str, Category]] = {
    # One market carries many tags; the first line here that matches decides, so the narrower word stands first.
    "mentions": "mentions",
    "mention-markets": "mentions",
    "esports": "sports",
    "sports": "sports",
    "nfl": "sports",
    "nba": "sports",
    "mlb": "sports",
    "nhl": "sports",
    "soccer": "sports",
    "tennis": "sports",
    "ufc": "sports",
    "golf": "sports",
    "cricket": "sports",
    "formula-1": "sports",
    "f1": "sports",
    "ncaa": "sports",
    "ncaab": "sports",
    "cfb": "sports",
    "epl": "sports",
    "champions-league": "sports",
    "boxing": "sports",
    "wrestling": "sports",
    "olympics": "sports",
    "chess": "sports",
    "games": "sports",
    "crypto": "crypto",
    "crypto-prices": "crypto",
    "bitcoin": "crypto",
    "ethereum": "crypto",
    "solana": "crypto",
    "xrp": "crypto",
    "ripple": "crypto",
    "elections": "elections",
    "global-elections": "elections",
    "world-elections": "elections",
    "us-election": "elections",
    "us-presidential-election": "elections",
    "primaries": "elections",
    "midterms": "elections",
    "senate-elections": "elections",
    "primary": "elections",
    "election-results": "elections",
    "electoral-votes": "elections",
    "economy": "economics",
    "economics": "economics",
    "macro": "economics",
    "economic-policy": "economics",
    "fed": "economics",
    "fed-rates": "economics",
    "fomc": "economics",
    "jerome-powell": "economics",
    "inflation": "economics",
    "macro-indicators": "economics",
    "interest-rates": "economics",
    "weather": "climate",
    "climate": "climate",
    "climate-science": "climate",
    "hurricanes": "climate",
    "tech": "science_tech",
    "ai": "science_tech",
    "science": "science_tech",
    "space": "science_tech",
    "health": "science_tech",
    "coronavirus": "science_tech",
    "finance": "finance",
    "business": "finance",
    "stocks": "finance",
    "earnings": "finance",
    "ipos": "finance",
    "commodities": "finance",
    "geopolitics": "world",
    "international-affairs": "world",
    "world": "world",
    "world-affairs": "world",
    "ukraine": "world",
    "middle-east": "world",
    "politics": "politics",
    "trump": "politics",
    "us-politics": "politics",
    "us-current-affairs": "politics",
    "congress": "politics",
    "culture": "culture",
    "pop-culture": "culture",
    "entertainment": "culture",
    "movies": "culture",
    "music": "culture",
    "awards": "culture",
    "celebrities": "culture",
    "tweet-markets": "culture",
    "tweets-markets": "culture",
}
"""Slug of a tag → our category, most telling first. Display tags (featured, hide-from-new, recurring, earn-4, 5m, year
tags …) are simply not in it."""

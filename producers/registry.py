"""Which venues are collected, and how each is put together. The one place outside a venue's folder that names it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kernel.clock import Clock
from kernel.settings import Group, Settings
from producers.base import Collector, Reader, Streaming, Witness
from producers.client import VenueHttp
from producers.kalshi.feed import KalshiFeed
from producers.kalshi.reader import KalshiReader
from producers.kalshi.settings import KalshiSettings
from producers.kalshi.sockets import KalshiSockets, signer
from producers.limits import RateLimit
from producers.polymarket.feed import PolymarketFeed
from producers.polymarket.reader import PolymarketReader
from producers.polymarket.settings import PolymarketSettings
from producers.polymarket.sockets import TOKENS_A_SOCKET, PolymarketSockets
from producers.shards import Shard


@dataclass(frozen=True, slots=True)
class Venue:
    """What a venue brings: its group of settings, how its rows are read, and how it is put together.

    The parts of one division share the venue's pace; so must those who divide it by category.
    """

    settings: type[Group]
    reader: Callable[[], Reader]
    collector: Callable[[Settings, Shard, Witness, Clock], Collector]


def polymarket(settings: Settings, shard: Shard, witness: Witness, clock: Clock) -> Collector:
    """Polymarket: Gamma for metadata and sweeps, CLOB for the hot markets. Each host has its own pace."""
    own = settings.of(PolymarketSettings)
    pace = own.polymarket_requests_per_s / shard.of
    gamma = VenueHttp(own.polymarket_gamma_url, RateLimit(pace, clock), witness, clock)
    clob = VenueHttp(own.polymarket_clob_url, RateLimit(pace, clock), witness, clock)
    most, streaming = math.ceil(own.polymarket_stream_connections / shard.of), None
    if most:
        sockets = PolymarketSockets(own.polymarket_ws_url)
        streaming = Streaming(sockets, most, most * TOKENS_A_SOCKET, audited=5_000 // shard.of)
    return Collector("polymarket", PolymarketFeed(gamma, clob, witness), PolymarketReader(), streaming)


def kalshi(settings: Settings, shard: Shard, witness: Witness, clock: Clock) -> Collector:
    """Kalshi: one host for everything. It streams to those with a key; to others its trades say what has moved."""
    own = settings.of(KalshiSettings)
    api = VenueHttp(own.kalshi_api_url, RateLimit(own.kalshi_requests_per_s / shard.of, clock), witness, clock)
    key = signer(own.kalshi_api_key.get_secret_value(), own.kalshi_private_key_file)
    streaming = None
    if key is not None and own.kalshi_stream_connections:
        sockets = KalshiSockets(own.kalshi_ws_url, key, clock.now_us)
        books, audited = own.kalshi_stream_books // shard.of, 500 // shard.of
        streaming = Streaming(sockets, own.kalshi_stream_connections, books, audited)
    feed = KalshiFeed(api, witness)
    return Collector("kalshi", feed, KalshiReader(), streaming, None if streaming else feed.traded_since)


VENUES: Mapping[str, Venue] = {
    "polymarket": Venue(PolymarketSettings, PolymarketReader, polymarket),
    "kalshi": Venue(KalshiSettings, KalshiReader, kalshi),
}
"""Venue to what it brings. A folder of the same name lies beside this file."""

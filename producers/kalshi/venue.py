"""Kalshi put together: its settings, its reader, and a collector over its hosts."""

from __future__ import annotations

from kernel.clock import Clock
from kernel.settings import Settings
from producers.base import Collector, Streaming, Venue, Witness
from producers.client import VenueHttp
from producers.kalshi.feed import KalshiFeed
from producers.kalshi.histories import KalshiHistories, KalshiPast
from producers.kalshi.mapper import category_of
from producers.kalshi.reader import KalshiReader
from producers.kalshi.settings import AUDITED, NAME, KalshiSettings
from producers.kalshi.sockets import KalshiSockets, KalshiSpeech, signer
from producers.limits import RateLimit
from producers.shards import Shard


def collector(settings: Settings, shard: Shard, witness: Witness, clock: Clock) -> Collector:
    """Kalshi: one host for everything. It streams to those with a key; to others its trades say what has moved."""
    own = settings.of(KalshiSettings)
    api = VenueHttp(own.kalshi_api_url, RateLimit(own.kalshi_requests_per_s / shard.of, clock), witness, clock)
    key = signer(own.kalshi_api_key.get_secret_value(), own.kalshi_private_key_file)
    streaming = None
    if key is not None and own.kalshi_stream_connections:
        sockets = KalshiSockets(own.kalshi_ws_url, key, clock.now_us)
        books, audited = own.kalshi_stream_books // shard.of, AUDITED // shard.of
        streaming = Streaming(sockets, own.kalshi_stream_connections, books, audited)
    feed = KalshiFeed(api, witness)
    traded_since = None if streaming else feed.traded_since
    return Collector(NAME, feed, KalshiReader(), streaming, traded_since, KalshiHistories(api, witness))


VENUE = Venue(KalshiSettings, KalshiReader, collector, KalshiSpeech, KalshiPast, category_of)

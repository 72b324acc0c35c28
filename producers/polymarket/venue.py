"""Polymarket put together: its settings, its reader, and a collector over its hosts."""

from __future__ import annotations

import math

from kernel.clock import Clock
from kernel.settings import Settings
from producers.base import Collector, Streaming, Venue, Witness
from producers.client import VenueHttp
from producers.limits import RateLimit
from producers.polymarket.feed import PolymarketFeed
from producers.polymarket.histories import PolymarketHistories, PolymarketPast
from producers.polymarket.mapper import category_of
from producers.polymarket.reader import PolymarketReader
from producers.polymarket.settings import AUDITED, NAME, PolymarketSettings
from producers.polymarket.sockets import TOKENS_A_SOCKET, PolyBolt, PolymarketSockets, PolymarketSpeech
from producers.shards import Shard


def collector(settings: Settings, shard: Shard, witness: Witness, clock: Clock) -> Collector:
    """Polymarket: Gamma for metadata and sweeps, CLOB for the hot markets. Each host has its own pace."""
    own = settings.of(PolymarketSettings)
    pace = own.polymarket_requests_per_s / shard.of
    gamma = VenueHttp(own.polymarket_gamma_url, RateLimit(pace, clock), witness, clock)
    clob = VenueHttp(own.polymarket_clob_url, RateLimit(pace, clock), witness, clock)
    most, streaming = math.ceil(own.polymarket_stream_connections / shard.of), None
    if most:
        sockets = PolymarketSockets(own.polymarket_ws_url)
        witnesses = math.ceil(own.polymarket_witness_connections / shard.of)
        streaming = Streaming(
            sockets, most, most * TOKENS_A_SOCKET, audited=AUDITED // shard.of,
            witness=PolyBolt(own.polymarket_witness_url) if witnesses else None, witness_connections=witnesses,
        )  # fmt: skip
    feed, histories = PolymarketFeed(gamma, clob, witness), PolymarketHistories(clob, witness)
    return Collector(NAME, feed, PolymarketReader(), streaming, histories=histories)


VENUE = Venue(PolymarketSettings, PolymarketReader, collector, PolymarketSpeech, PolymarketPast, category_of)

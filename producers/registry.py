"""Which venues are collected, and how each is put together. The one place outside a venue's folder that names it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kernel.clock import Clock
from kernel.settings import Group, Settings
from producers.base import Collector, Witness
from producers.client import VenueHttp
from producers.kalshi.feed import KalshiFeed
from producers.kalshi.reader import KalshiReader
from producers.kalshi.settings import KalshiSettings
from producers.limits import RateLimit
from producers.polymarket.feed import PolymarketFeed
from producers.polymarket.reader import PolymarketReader
from producers.polymarket.settings import PolymarketSettings
from producers.shards import Shard


@dataclass(frozen=True, slots=True)
class Venue:
    """What a venue brings: its group of settings, and how it is put together. The parts of one division share the
    venue's pace; so must those who divide it by category."""

    settings: type[Group]
    collector: Callable[[Settings, Shard, Witness, Clock], Collector]


def polymarket(settings: Settings, shard: Shard, witness: Witness, clock: Clock) -> Collector:
    """Polymarket: Gamma for metadata and sweeps, CLOB for the hot markets. Each host has its own pace."""
    own = settings.of(PolymarketSettings)
    pace = own.polymarket_requests_per_s / shard.of
    gamma = VenueHttp(own.polymarket_gamma_url, RateLimit(pace, clock), witness, clock)
    clob = VenueHttp(own.polymarket_clob_url, RateLimit(pace, clock), witness, clock)
    return Collector("polymarket", PolymarketFeed(gamma, clob, witness), PolymarketReader())


def kalshi(settings: Settings, shard: Shard, witness: Witness, clock: Clock) -> Collector:
    """Kalshi: one host for everything."""
    own = settings.of(KalshiSettings)
    api = VenueHttp(own.kalshi_api_url, RateLimit(own.kalshi_requests_per_s / shard.of, clock), witness, clock)
    return Collector("kalshi", KalshiFeed(api, witness), KalshiReader())


VENUES: Mapping[str, Venue] = {
    "polymarket": Venue(PolymarketSettings, polymarket),
    "kalshi": Venue(KalshiSettings, kalshi),
}
"""Venue to what it brings. A folder of the same name lies beside this file."""

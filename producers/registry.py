"""Which venues are collected, and how each is put together. The one place outside a venue's folder that names it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from kernel.clock import Clock
from kernel.settings import Settings
from producers.base import Collector, Witness
from producers.client import VenueHttp, on_loopback
from producers.kalshi.catalog import KalshiCatalog
from producers.kalshi.feed import KalshiFeed
from producers.limits import RateLimit
from producers.polymarket.catalog import PolymarketCatalog
from producers.polymarket.feed import PolymarketFeed

Factory = Callable[[Settings, Witness, Clock], Collector]


def polymarket(settings: Settings, witness: Witness, clock: Clock) -> Collector:
    """Polymarket: Gamma for metadata and sweeps, CLOB for the hot markets. Each host has its own pace."""
    own = settings.polymarket
    gamma = VenueHttp(own.polymarket_gamma_url, RateLimit(own.polymarket_requests_per_s, clock), witness, clock)
    clob = VenueHttp(own.polymarket_clob_url, RateLimit(own.polymarket_requests_per_s, clock), witness, clock)
    local = on_loopback(own.polymarket_gamma_url)
    return Collector("polymarket", PolymarketFeed(gamma, clob, witness), PolymarketCatalog(), local)


def kalshi(settings: Settings, witness: Witness, clock: Clock) -> Collector:
    """Kalshi: one host for everything."""
    own = settings.kalshi
    api = VenueHttp(own.kalshi_api_url, RateLimit(own.kalshi_requests_per_s, clock), witness, clock)
    return Collector("kalshi", KalshiFeed(api, witness), KalshiCatalog(), on_loopback(own.kalshi_api_url))


VENUES: Mapping[str, Factory] = {"polymarket": polymarket, "kalshi": kalshi}
"""Venue to its factory. A folder of the same name lies beside this file."""

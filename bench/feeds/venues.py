"""The venues of `bench feeds`, by name."""

from __future__ import annotations

from collections.abc import Mapping

from bench.feeds.kalshi import Kalshi
from bench.feeds.polymarket import Polymarket
from bench.feeds.venue import Venue

POLYMARKET, KALSHI = Polymarket(), Kalshi()

VENUES: Mapping[str, Venue] = {venue.name: venue for venue in (POLYMARKET, KALSHI)}

"""Which venues are collected. The one place outside a venue's folder that names it."""

from __future__ import annotations

from collections.abc import Mapping

from producers.base import Venue
from producers.kalshi.venue import VENUE as KALSHI
from producers.polymarket.venue import VENUE as POLYMARKET

VENUES: Mapping[str, Venue] = {"polymarket": POLYMARKET, "kalshi": KALSHI}
"""Venue to what it brings. A folder of the same name lies beside this file."""

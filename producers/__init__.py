"""Collectors: one folder a venue, each publishing raw answers and normalised markets and ticks."""

from schemas.compiled import search_path

__path__ = search_path(__name__, list(__path__))

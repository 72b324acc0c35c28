"""Kalshi over REST. README.md tells what is read and which traps were met."""

from schemas.compiled import search_path

__path__ = search_path(__name__, list(__path__))

"""Codecs written by `schemas.generate`, one module a subject; they exist only where `movers compile` has made them."""

from schemas.compiled import search_path

__path__ = search_path(__name__, list(__path__))

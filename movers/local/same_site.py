"""Tells requests of this machine's programs from those that a foreign web page makes a browser send here."""

from __future__ import annotations

from urllib.parse import urlsplit

_LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})


def is_from_here(host: str, origin: str | None) -> bool:
    """Whether the Host and Origin headers of a request name this machine; no Origin is a program, not a page."""
    return _name(f"//{host}") in _LOOPBACK_HOSTS and (origin is None or _name(origin) in _LOOPBACK_HOSTS)


def _name(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""

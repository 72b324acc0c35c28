"""Identifiers that look like the venues' own, made from names, so that the same name has the same id in every run."""

from __future__ import annotations

import hashlib
import re
import uuid


def _digest(*parts: str) -> bytes:
    return hashlib.sha256("\x1f".join(parts).encode()).digest()


def condition_id(name: str) -> str:
    """Polymarket condition id: 0x and 64 hex digits."""
    return "0x" + _digest("condition", name).hex()


def question_id(condition: str) -> str:
    """Polymarket question id of a condition: 0x and 64 hex digits."""
    return "0x" + _digest("question", condition).hex()


def token_ids(condition: str) -> tuple[str, str]:
    """The two CLOB token ids of a condition: decimal strings of 77 digits (real ones have 76 to 78)."""
    return _token(condition, "0"), _token(condition, "1")


def _token(condition: str, outcome: str) -> str:
    number = int.from_bytes(_digest("token", condition, outcome), "big")
    return str(10**76 + number % (9 * 10**76))


def gamma_id(name: str, *, digits: int = 7) -> str:
    """Numeric Gamma id as a string; `digits` long, never starting with 0."""
    low = 10 ** (digits - 1)
    return str(low + int.from_bytes(_digest("gamma", name)[:8], "big") % (9 * low))


def market_uuid(ticker: str) -> str:
    """Kalshi's `market_id` and `trade_id` form: a UUID."""
    return str(uuid.UUID(bytes=_digest("uuid", ticker)[:16], version=5))


def slug(text: str) -> str:
    """Lower-case words joined by hyphens, as in venue addresses."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "market"

"""Reads single fields of a venue's row: tolerant of absence, strict about nonsense."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import orjson

from kernel.errors import BadMessageError
from schemas.units import US_PER_S, micros_from_iso, ppm_from_venue

Row = Mapping[str, Any]

MAX_AMOUNT = 1e15
"""More contracts or dollars than the world has are a mistake, and would become infinite in a product."""

_YEAR_3000_S = 32_503_680_000


def bad_row(reason: str, detail: str, row: Row) -> BadMessageError:
    """The error for a row that cannot be used, the row inside."""
    return BadMessageError(reason, detail, as_bytes(row))


def as_object(item: Any) -> Row:
    """A row. Raises BadMessageError (bad_row) when it is no JSON object."""
    if not isinstance(item, dict):
        raise bad_row("bad_row", f"no JSON object: {item!r}"[:200], {"row": item})
    return item


def as_bytes(row: Any) -> bytes:
    """A row as JSON, for keeping; as Python writes it where it is nested deeper than JSON is written (254 levels)."""
    with contextlib.suppress(orjson.JSONEncodeError):
        return orjson.dumps(row)
    try:
        return repr(row).encode("utf-8", "backslashreplace")
    except RecursionError:
        return b"nested too deeply to be written"


def refusal(error: Exception, row: Any) -> BadMessageError:
    """Why a row cannot be used: what its mapper said, or `unmappable` when the row was odd beyond what it expected.

    One row never stops the others.
    """
    if isinstance(error, BadMessageError):
        return error
    return BadMessageError("unmappable", f"{error!r}"[:200], as_bytes(row))


def required_text(row: Row, key: str) -> str:
    """A text that must be there.

    Raises:
        BadMessageError: missing_field when absent or empty, bad_field when no text.
    """
    value = optional_text(row, key)
    if not value:
        raise bad_row("missing_field", f"{key} is missing", row)
    return value


def optional_text(row: Row, key: str) -> str:
    """A text without surrounding blanks, empty when absent or null. Raises BadMessageError when no text."""
    value = row.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise bad_row("bad_field", f"{key} is no text: {value!r}"[:200], row)
    return value.strip()


def price_ppm(row: Row, key: str) -> int | None:
    """A price in parts per million from a decimal string or a number; None when absent, null or "".

    Raises:
        BadMessageError: bad_price when it is no number.
    """
    value = row.get(key)
    if value is None or value == "":
        return None
    try:
        return ppm_from_venue(value)
    except ValueError as error:
        raise bad_row("bad_price", f"{key}: {error}"[:200], row) from error


def amount(row: Row, key: str) -> float | None:
    """A size or a sum of money, 0 to `MAX_AMOUNT`, from a decimal string or a number; None when absent, null or "".

    Raises:
        BadMessageError: bad_field when it is no such number.
    """
    value = row.get(key)
    if value is None or value == "":
        return None
    try:
        if isinstance(value, bool):  # which Python counts as 0 or 1
            raise TypeError("a boolean")
        number = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise bad_row("bad_field", f"{key} is no number: {value!r}"[:200], row) from error
    if not 0 <= number <= MAX_AMOUNT:  # false for NaN too
        raise bad_row("bad_field", f"{key} is no amount: {value!r}"[:200], row)
    return number


def instant_us(row: Row, key: str) -> int | None:
    """An ISO instant in microseconds UTC; None when absent, null or "".

    Raises:
        BadMessageError: bad_time when it is no instant with an offset.
    """
    value = row.get(key)
    if value is None or value == "":
        return None
    try:
        return _micros(value)
    except (TypeError, ValueError, AttributeError) as error:
        raise bad_row("bad_time", f"{key}: {value!r}"[:200], row) from error


def epoch_us(row: Row, key: str) -> int:
    """An instant that must be there, whole seconds since the epoch (before the year 3000), in microseconds UTC.

    Raises:
        BadMessageError: bad_time when it is no such number.
    """
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < _YEAR_3000_S:
        raise bad_row("bad_time", f"{key}: {value!r}"[:200], row)
    return value * US_PER_S


def flag(row: Row, key: str) -> bool | None:
    """A boolean; None when absent or null. Raises BadMessageError (bad_field) when it is neither."""
    value = row.get(key)
    if value is None or isinstance(value, bool):
        return value
    raise bad_row("bad_field", f"{key} is no boolean: {value!r}"[:200], row)


# The same few closing times come back with every sweep.
_micros = lru_cache(maxsize=65_536)(micros_from_iso)

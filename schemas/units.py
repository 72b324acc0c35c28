"""Units at the border: probabilities as integer parts per million, instants as integer microseconds UTC."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from functools import lru_cache
from typing import Final

PPM: Final = 1_000_000
"""One whole (a certain outcome) in parts per million."""

PPM_PER_PP: Final = 10_000
"""Parts per million in one percentage point."""

US_PER_S: Final = 1_000_000
"""Microseconds in a second."""

US_PER_MS: Final = 1_000
"""Microseconds in a millisecond."""

_MAX_DIGITS: Final = 9

_ID: Final = hashlib.blake2b(digest_size=12)
"""Of nothing yet. Copying it costs a third of making one, whose twelve settings are looked for each time."""

_WINDOW_LABELS = {300: "5m", 900: "15m", 3600: "1h", 86_400: "24h"}


def ppm_from_venue(value: object) -> int:
    """Probability in parts per million from a venue's price: a decimal string, or a JSON number, 0..1.

    A payload can have anything there; compiled, a narrower type would be refused before it could be told.

    Exact for steps of 1e-6 and larger; finer prices are rounded half to even. Values outside 0..1 come back as they
    are (negative or above `PPM`): whether that is an error is the caller's decision.

    Raises:
        ValueError: the value is not a finite decimal number.
    """
    if not isinstance(value, str | int | float):
        raise ValueError(f"not a decimal number: {value!r}")
    return _ppm(value)


# Venues quote a few thousand distinct prices over and over; a look-up costs a fifteenth of the decimal arithmetic.
# typed, so that True is not taken for a remembered 1.
@lru_cache(maxsize=65_536, typed=True)
def _ppm(value: str | int | float) -> int:
    try:
        number = Decimal(str(value))
        if number.adjusted() > _MAX_DIGITS:  # "1e999990" is a number, and an integer of a million digits
            raise ValueError(f"far from a probability: {str(value)[:20]!r}")
        scaled = number * PPM
        return int(scaled.to_integral_value(rounding=ROUND_HALF_EVEN))
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise ValueError(f"not a decimal number: {value!r}") from error


def micros_from_datetime(instant: datetime) -> int:
    """Microseconds since the epoch, UTC.

    Raises:
        ValueError: the datetime is naive, so the instant is unknown.
    """
    if instant.tzinfo is None:
        raise ValueError(f"naive datetime: {instant!r}")
    delta = instant - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * US_PER_S + delta.microseconds


def micros_from_iso(text: str) -> int:
    """Microseconds since the epoch from an ISO 8601 instant with an offset: `Z`, `+00`, `+00:00`; `T` or a space.

    Raises:
        ValueError: not an instant, or without an offset.
    """
    return micros_from_datetime(datetime.fromisoformat(text.strip()))


def datetime_from_micros(micros: int) -> datetime:
    """Aware UTC datetime, exact to the microsecond."""
    seconds, rest = divmod(micros, US_PER_S)
    return datetime.fromtimestamp(seconds, tz=UTC).replace(microsecond=rest)


def event_id(*parts: str | int) -> str:
    """Deterministic id of a fact, 24 hex digits: the same parts give the same id in every process and run."""
    digest = _ID.copy()
    digest.update("\x1f".join([str(part) for part in parts]).encode())
    return digest.hexdigest()


def window_label(window_s: int) -> str:
    """Name of a window as stored and shown: `5m`, `15m`, `1h`, `24h`; seconds and an `s` for any other."""
    return _WINDOW_LABELS.get(window_s, f"{window_s}s")

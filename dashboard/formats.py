"""Numbers and lengths of time as people read them: 62.5 %, +7.3 pp, $1.2M, in 3 d. Unknown values read as a dash."""

from __future__ import annotations

import math
import re
from datetime import datetime
from typing import SupportsFloat, cast

import pandas as pd

from schemas.words import Category

DASH = "–"
_UNITS = ((1e9, "B"), (1e6, "M"), (1e3, "k"))
_BEGINS_A_FORMULA = "=+-@\uff1d\uff0b\uff0d\uff20\t\r\n"

CATEGORY_NAMES: dict[Category, str] = {"science_tech": "Science & tech"}
VENUE_NAMES = {"polymarket": "Polymarket", "kalshi": "Kalshi"}


def is_missing(value: object) -> bool:
    """True for None, NaN and NaT."""
    return value is None or value is pd.NaT or (isinstance(value, float) and math.isnan(value))


def percent(price: SupportsFloat | None) -> str:
    """A probability 0..1 as 62.5 %; finer when it is near an end, where it matters."""
    if price is None or is_missing(price):
        return DASH
    value = float(price) * 100
    near_end = 0 < value < 1 or 99 < value < 100
    return f"{value:.2f} %" if near_end else f"{value:.1f} %"


def points(move_pp: SupportsFloat | None) -> str:
    """A move in percentage points with its sign: +7.3 pp."""
    if move_pp is None or is_missing(move_pp):
        return DASH
    # A move of less than a twentieth of a point is none, in either direction.
    return f"{_tenths(move_pp):+.1f} pp".replace("-", "−")


def _tenths(move_pp: SupportsFloat) -> float:
    """Rounded as it is shown, without a sign where that is zero."""
    return round(float(move_pp), 1) + 0.0


def arrow(move_pp: SupportsFloat | None) -> str:
    """The move with an arrow before it, so that colour is not the only sign: ▲ +7.3 pp."""
    if move_pp is None or is_missing(move_pp):
        return DASH
    shown = _tenths(move_pp)
    sign = "▲" if shown > 0 else "▼" if shown < 0 else "■"
    return f"{sign} {points(shown)}"


def spread(spread_pp: SupportsFloat | None) -> str:
    """A spread in percentage points, no sign: 1.0 pp."""
    if spread_pp is None or is_missing(spread_pp):
        return DASH
    return f"{float(spread_pp):.1f} pp"


def money(usd: SupportsFloat | None) -> str:
    """US dollars in three digits: $950, $56.0k, $1.23M."""
    if usd is None or is_missing(usd):
        return DASH
    # The limits are those of rounding, so that 999,960 is $1.0M and not $1000k.
    size, letter = next((unit for unit in _UNITS if abs(float(usd)) >= 0.9995 * unit[0]), (1.0, ""))
    short = float(usd) / size
    return f"${short:.1f}{letter}" if letter and abs(short) < 99.95 else f"${short:.0f}{letter}"


def span(seconds: SupportsFloat) -> str:
    """A length of time: 12 s, 4 min, 2 h 05 m, 3 d."""
    total = max(0, round(float(seconds)))
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return f"{total // 60} min"
    if total < 48 * 3600:
        hours, minutes = total // 3600, total % 3600 // 60
        return f"{hours} h {minutes:02d} m" if minutes else f"{hours} h"
    days = total // 86_400
    return f"{days} d" if days < 365 else f"{days / 365:.1f} y"


def ends_in(seconds: SupportsFloat | None) -> str:
    """Time until a market ends: in 3 d; past when its expected end has gone by."""
    if seconds is None or is_missing(seconds):
        return DASH
    value = float(seconds)
    if value <= 0:
        return "past"
    return f"in {span(value - value % 3600)}" if value >= 6 * 3600 else f"in {span(value)}"


def ago(moment: datetime | None, now: datetime) -> str:
    """How long ago a moment was: 4 min ago."""
    if moment is None or is_missing(moment):
        return DASH
    return f"{span((now - moment).total_seconds())} ago"


def venue(name: str) -> str:
    """A venue's name as it writes itself; an unknown one as we know it."""
    return VENUE_NAMES.get(name, name.replace("_", " ").capitalize())


def category(name: str) -> str:
    """A category as a word."""
    return CATEGORY_NAMES.get(cast("Category", name), name.replace("_", " ").capitalize()) if name else "Not known yet"


_JOINER = "\u2060"
"""Takes no room, and no line breaks at it."""
_BEGINS_AN_ADDRESS = re.compile(r"(?<=http:)(?=//)|(?<=https:)(?=//)|(?<=www)(?=\.)|(?=@)", re.IGNORECASE)


def escape(text: str) -> str:
    """A venue's text made safe for Markdown: titles hold dollar signs, stars and brackets.

    One line, or what follows would begin a list. An address stays text and is no link, for which Streamlit's Markdown
    looks after it has taken the backslashes away: where one begins, an invisible word joiner is in its way.
    """
    plain = _BEGINS_AN_ADDRESS.sub(_JOINER, " ".join(text.split()))
    return "".join(f"\\{letter}" if letter in r"\`*_{}[]()<>#$|~:!&" else letter for letter in plain)


def cell(text: str) -> str:
    """A venue's text made safe for a table, which a reader can save and open in a spreadsheet.

    What would begin a formula there (= + - @, a tab or a line end) gets an invisible word joiner before it, so that it
    is read as text (OWASP, "CSV injection"); their full-width forms too, in case a spreadsheet takes them for the same.
    """
    return f"{_JOINER}{text}" if text.startswith(tuple(_BEGINS_A_FORMULA)) else text

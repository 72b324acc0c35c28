"""Verdicts on pairs, and who of each pair moves first, written into the store; how pairs move, read from there."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kernel.settings import Settings
from movers import console, store
from movers.pairs import together, verdicts
from movers.pairs.match import Listing, confidence
from movers.pairs.stored import LISTINGS, quotes_of, series_of
from movers.pairs.verdicts import Key
from schemas.units import US_PER_S

_COLUMNS = (
    "market_a", "market_b", "verdict", "confidence", "note", "looked_back_h", "steps", "answered", "b_after_a_s",
)  # fmt: skip
_PUBLISHED = "SELECT market_a, market_b FROM market_pairs FINAL WHERE verdict = 'confirmed'"
_MOVES = """
SELECT market_a, market_b, move_pp, apart_pp, apart_then_pp, move_a_pp, move_b_pp, crossed_pp, older_ts, between_s,
    computed_across_gap, toString(no_move) AS no_move
FROM pair_moves
WHERE window = {window:String}
ORDER BY abs(move_pp) DESC NULLS LAST, market_a, market_b
"""
_WITHDRAWN = "withdrawn"
_NOBODY_MOVED = together.Together(0, 0, None)

Row = tuple[Any, ...]


def publish(settings: Settings, file: Path, hours: float) -> tuple[int, int]:
    """Writes each verdict of the file; what was confirmed in the store and no longer is in the file is withdrawn.

    Returns how many pairs are confirmed, and how many were and are no more.

    Raises:
        UserError: the file cannot be read, or the store refuses.
    """
    said = verdicts.read(file)
    pairs = verdicts.confirmed(said)
    went = _together(settings, pairs, hours)
    listings = _listings(settings, pairs)
    rows = [
        (*pair, one.verdict, _alike(pair, listings), one.note, hours, *went.get(pair, _facts(_NOBODY_MOVED)))
        for pair, one in sorted(said.items())
    ]
    before = [(row["market_a"], row["market_b"]) for row in store.query(settings, _PUBLISHED)]
    gone = [pair for pair in before if pair not in said]
    rows += [(*pair, _WITHDRAWN, None, "", hours, *_facts(_NOBODY_MOVED)) for pair in gone]
    store.insert(settings, "market_pairs", _COLUMNS, rows)
    return len(pairs), sum(pair not in pairs for pair in before)


def moves(settings: Settings, window: str) -> list[Mapping[str, Any]]:
    """How far the markets of each published pair have moved apart over a window, the furthest first.

    Raises:
        UserError: no such window.
    """
    return store.query(settings, _MOVES, {"window": console.known_window(settings.rules, window)})


def _together(settings: Settings, pairs: Sequence[Key], hours: float) -> Mapping[Key, Row]:
    from_us = time.time_ns() // 1000 - round(hours * 3600 * US_PER_S)
    quotes = quotes_of(settings, pairs, from_us) if pairs else {}
    return {(a, b): _facts(together.together(series_of(quotes[a]), series_of(quotes[b]))) for a, b in pairs}


def _facts(went: together.Together) -> Row:
    return went.steps, went.answered, went.lag_s


def _listings(settings: Settings, pairs: Sequence[Key]) -> Mapping[str, Listing]:
    markets = sorted({market for pair in pairs for market in pair})
    asked = f"{LISTINGS} WHERE market_id IN {{markets:Array(String)}}"
    rows = store.query(settings, asked, {"markets": markets}) if markets else []
    return {row["market_id"]: Listing(**row) for row in rows}


def _alike(pair: Key, listings: Mapping[str, Listing]) -> float | None:
    """How alike the titles are, 0 to 1; None where one is not known here."""
    a, b = (listings.get(market) for market in pair)
    return None if a is None or b is None else round(confidence(a, b), 3)

"""Answers from the moves in memory: the same, row for row, as `board.sql`, `coverage.sql` and `categories.sql` give.

What is on the board, and until when, is told by the store (`on_board`, `fresh_s`); now is the newest minute of the
windows that are asked for, as in the view `board_rows`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dashboard.board.moves import Moves
from dashboard.board.newest import NEVER, Array, NewestRows, Numbers
from dashboard.columns import COLUMNS
from schemas.units import US_PER_S

_MINUTE_US = 60 * US_PER_S
_PLAIN = ("float64", "int64", "bool")


@dataclass(frozen=True, slots=True)
class BoardFilters:
    """What a reader wants on the board. Empty venues or categories mean all; a spread of 100 pp means any."""

    venues: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    min_volume_usd: float = 0.0
    min_window_usd: float = 0.0
    max_spread_pp: float = 100.0
    hide_settling: bool = True
    limit: int = 25


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a window can speak of: its longest history in seconds, markets known, markets with a full window."""

    coverage_s: int
    markets: int
    covered: int


def board(moves: Moves, window: str, filters: BoardFilters) -> pd.DataFrame:
    """The ranked board of a window, columns as declared for `board.sql`."""
    rows = moves.windows.get(window)
    if rows is None:
        return _frame("board", {})
    passing = _on_board(moves, rows, _newest_minute_us(moves, [window])) & (np.abs(_of(moves, rows, "move_pp")) > 0)
    passing &= _traded(moves, rows, filters.min_volume_usd)
    in_window = _of(moves, rows, "window_volume_usd")
    passing &= np.isnan(in_window) | (in_window >= filters.min_window_usd)
    if filters.max_spread_pp < 100:
        passing &= _of(moves, rows, "spread_pp") <= filters.max_spread_pp
    if filters.hide_settling:
        passing &= ~_of(moves, rows, "is_settling")
    if filters.venues:
        passing &= np.isin(moves.venue_of, _numbers(moves.venues, filters.venues))
    if filters.categories:
        passing &= np.isin(_category_of(moves), _numbers(moves.categories, filters.categories))
    return _shown(moves, rows, _best(moves, rows, np.flatnonzero(passing), filters.limit))


def coverage(moves: Moves, window: str) -> Coverage | None:
    """How far back a window's history reaches; None when there is none yet."""
    rows = moves.windows.get(window)
    if rows is None:
        return None
    known = _versions(moves, rows) > NEVER
    return Coverage(
        coverage_s=int(_of(moves, rows, "coverage_s").max(initial=0, where=known)),
        markets=int(known.sum()),
        covered=int((known & ~np.isnan(_of(moves, rows, "move_pp"))).sum()),
    )


def categories(moves: Moves, windows: Collection[str], threshold_pp: float, min_volume_usd: float) -> pd.DataFrame:
    """Each category in each of the windows, columns as declared for `categories.sql`; its median is exact."""
    names = sorted(moves.windows.keys() & windows)
    newest_us = _newest_minute_us(moves, names)
    tokens_of = _tokens_by_category(moves)
    told: list[dict[str, Any]] = []
    for name in names:
        rows = moves.windows[name]
        counted = _on_board(moves, rows, newest_us) & _traded(moves, rows, min_volume_usd)
        counted &= ~_of(moves, rows, "is_settling")
        of_window = [
            {"window": name, "category": category, **_of_category(rows, at, threshold_pp)}
            for category, tokens in tokens_of.items()
            if len(at := tokens[counted[tokens]])
        ]
        told += sorted(of_window, key=lambda row: -row["mean_abs_pp"])
    return _frame("categories", {column: [row[column] for row in told] for column in COLUMNS["categories"]})


def _tokens_by_category(moves: Moves) -> dict[str, Array]:
    """The tokens of each category, in their order. Small arrays, one after another, stay in a processor's cache."""
    category_of = _category_of(moves)
    in_order = np.argsort(category_of, kind="stable")
    names = moves.categories.names
    begins = np.searchsorted(category_of[in_order], np.arange(len(names) + 1))
    return {name: in_order[begins[number] : begins[number + 1]] for number, name in enumerate(names)}


def _of_category(rows: NewestRows, at: Array, threshold_pp: float) -> dict[str, Any]:
    """One category in one window.

    Args:
        at: its rows; at least one.
    """
    move, money = rows["move_pp"][at], rows["window_volume_usd"][at]
    size, is_told = np.abs(move), ~np.isnan(money)
    return {
        "markets": len(at),
        "movers": np.count_nonzero(size >= threshold_pp),
        "movers_up": np.count_nonzero(move >= threshold_pp),
        "movers_down": np.count_nonzero(move <= -threshold_pp),
        "mean_abs_pp": size.sum() / len(at),
        "median_abs_pp": _median(size),
        "net_pp": move.sum() / len(at),
        "window_volume_usd": money[is_told].sum() if is_told.any() else np.nan,
    }


def _median(values: Array) -> Any:
    """Of at least one number, none of them NaN: what `np.median` spends half of its time to look for."""
    middle = len(values) // 2
    parted = np.partition(values, middle)
    return parted[middle] if len(values) % 2 else (parted[:middle].max() + parted[middle]) / 2


def _versions(moves: Moves, rows: NewestRows) -> Array:
    return rows.version[: len(moves.tokens)]


def _of(moves: Moves, rows: NewestRows, column: str) -> Array:
    return rows[column][: len(moves.tokens)]


def _newest_minute_us(moves: Moves, windows: Collection[str]) -> int:
    newest_us = max(
        (int(_versions(moves, moves.windows[name]).max(initial=NEVER)) for name in windows if name in moves.windows),
        default=NEVER,
    )
    return newest_us - newest_us % _MINUTE_US


def _on_board(moves: Moves, rows: NewestRows, newest_us: int) -> Array:
    """Which tokens' rows are on the board as of a minute. A token without a row is not."""
    return _of(moves, rows, "shown_until_us") >= newest_us


def _traded(moves: Moves, rows: NewestRows, min_volume_usd: float) -> Array:
    volume = _of(moves, rows, "volume_24h_usd")
    return (volume >= min_volume_usd) if min_volume_usd > 0 else (volume >= min_volume_usd) | np.isnan(volume)


def _category_of(moves: Moves) -> Array:
    """The category's number of each token, -1 while its market is not told of."""
    facts = moves.facts
    return np.where(facts.version > NEVER, facts["category"], -1)[moves.market_of]


def _numbers(numbers: Numbers, names: Sequence[str]) -> Array:
    found = numbers.known(names)
    return found[found >= 0]


def _best(moves: Moves, rows: NewestRows, at: Array, limit: int) -> list[int]:
    """The first of the rows `at`: by score, then size of the move, then token."""
    score, size = rows["score"], np.abs(rows["move_pp"])
    at = _highest(at, score[at], limit)
    if len(at) > limit:  # equal scores are common where nothing is traded
        last = score[at] == score[at].min()
        above, equal = at[~last], at[last]
        at = np.append(above, _highest(equal, size[equal], limit - len(above)))
    names = moves.tokens.names
    return sorted(at.tolist(), key=lambda key: (-score[key], -size[key], names[key]))[:limit]


def _highest(keys: Array, ranks: Array, limit: int) -> Array:
    """The keys of the `limit` highest ranks, and those that are equal to the last of them."""
    if len(keys) <= limit:
        return keys
    kept: Array = keys[ranks >= np.partition(ranks, -limit)[-limit]]
    return kept


def _shown(moves: Moves, rows: NewestRows, keys: Sequence[int]) -> pd.DataFrame:
    markets = moves.market_of[keys]
    told = moves.facts.version[markets] > NEVER
    titles, numbers, names = moves.facts["title"][markets], moves.facts["category"][markets], moves.categories.names
    columns = {name: rows[name][keys] for name in COLUMNS["board"] if name in rows}
    return _frame(
        "board",
        {
            **columns,
            "market_id": [moves.markets.names[market] for market in markets],
            "token_id": [moves.tokens.names[key] for key in keys],
            "title": [title if is_told else "" for title, is_told in zip(titles, told, strict=True)],
            "venue": [moves.venues.names[number] for number in moves.venue_of[keys]],
            "category": [names[number] if is_told else "" for number, is_told in zip(numbers, told, strict=True)],
            "ts": pd.to_datetime(rows.version[keys], unit="us", utc=True),
        },
    )


def _frame(query: str, columns: Mapping[str, Sequence[Any] | Array | pd.DatetimeIndex]) -> pd.DataFrame:
    """The columns declared for a query, in their order and types; without columns no rows.

    Numbers go in as arrays: pandas compares the index of each series with that of all others.
    """
    return pd.DataFrame(
        {
            name: np.asarray(values, dtype) if dtype in _PLAIN else pd.Series(values, dtype=dtype)
            for name, dtype in COLUMNS[query].items()
            for values in [columns.get(name, [])]
        },
        copy=False,
    )

"""Answers from the moves in memory: the same, row for row, as `board.sql`, `coverage.sql` and `categories.sql` give.

What is on the board, and until when, is told by the store (`on_board`, `fresh_s`); it counts to the newest minute of the
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
    category_of = _category_of(moves)
    by_category = np.argsort(category_of, kind="stable")[np.count_nonzero(category_of < 0) :]
    told: dict[str, list[Any]] = {column: [] for column in COLUMNS["categories"]}
    for name in names:
        rows = moves.windows[name]
        counted = _on_board(moves, rows, newest_us) & _traded(moves, rows, min_volume_usd)
        counted &= ~_of(moves, rows, "is_settling")
        at = by_category[counted[by_category]]
        if len(at):
            columns = _by_category(rows, at, category_of[at], threshold_pp)
            order = np.argsort(-columns["mean_abs_pp"], kind="stable")
            columns["category"] = np.array(moves.categories.names, object)[columns["category"]]
            told["window"] += [name] * len(order)
            for column, values in columns.items():
                told[column] += values[order].tolist()
    return _frame("categories", told)


def _by_category(rows: NewestRows, at: Array, category: Array, threshold_pp: float) -> dict[str, Array]:
    """Counts of one window, an element a category, which is told by its number.

    Args:
        at: which rows, in the order of their categories; at least one.
        category: of each of these.
    """
    begins = np.append(0, np.flatnonzero(category[1:] != category[:-1]) + 1)
    move, money = rows["move_pp"][at], rows["window_volume_usd"][at]
    size, sums = np.abs(move), np.add.reduceat
    count = np.diff(begins, append=len(at))
    is_told = ~np.isnan(money)
    has_money = sums(is_told, begins, dtype=np.int64) > 0
    return {
        "category": category[begins],
        "markets": count,
        "movers": sums(size >= threshold_pp, begins, dtype=np.int64),
        "movers_up": sums(move >= threshold_pp, begins, dtype=np.int64),
        "movers_down": sums(move <= -threshold_pp, begins, dtype=np.int64),
        "mean_abs_pp": sums(size, begins) / count,
        "median_abs_pp": np.array([_median(group) for group in np.split(size, begins[1:])]),
        "net_pp": sums(move, begins) / count,
        "window_volume_usd": np.where(has_money, sums(np.where(is_told, money, 0.0), begins), np.nan),
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


def _frame(query: str, columns: Mapping[str, object]) -> pd.DataFrame:
    """The columns declared for a query, in their order and types; without columns no rows."""
    return pd.DataFrame({name: pd.Series(columns.get(name, []), dtype=dtype) for name, dtype in COLUMNS[query].items()})

"""The questions the pages ask, as typed functions.

Answers are shared by all sessions for a moment (`st.cache_data`), so that twenty viewers cost as much as one. The
board, its coverage and the categories are answered from memory (`dashboard.board`); by the store, in the same words,
until that is filled and whenever it is not as of now. Categories and the feed's state are asked for ahead. Prices are
probabilities 0..1, moves percentage points, money US dollars, times UTC. Each raises `StoreUnavailableError` when the
store cannot answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ParamSpec, TypeVar

import pandas as pd
import streamlit as st

from dashboard import bars
from dashboard.board import ranking
from dashboard.board.follow import Followed
from dashboard.board.kept import Kept
from dashboard.board.ranking import BoardFilters, Coverage
from dashboard.columns import COLUMNS
from dashboard.store import Store

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class AlertFilters:
    """Which episodes a reader wants. Empty means all."""

    venues: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    windows: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    hide_acked: bool = False
    limit: int = 100
    alert_id: str = ""


@dataclass(frozen=True, slots=True)
class Watched:
    """Of the markets that are open: how many are known, have a fresh price, have a move over a window."""

    open: int
    fresh: int
    moved: int


def _shared(ttl_s: float) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Caches per store and arguments; one session computes while the others wait for it."""
    return st.cache_data(ttl=ttl_s, max_entries=200, show_spinner=False, hash_funcs={Store: lambda s: s.address})


def _ask(store: Store, query: str, **parameters: Any) -> pd.DataFrame:
    return store.rows(query, COLUMNS[query], **parameters)


@st.cache_resource(
    show_spinner=False, hash_funcs={Store: lambda s: s.address}, on_release=lambda followed: followed.close()
)
def _followed(store: Store) -> Followed:
    return Followed(store)


@_shared(1.5)
def board(store: Store, window: str, filters: BoardFilters) -> pd.DataFrame:
    """The ranked board of a window now."""
    known = _followed(store).answer(lambda moves: ranking.board(moves, window, filters))
    if known is not None:
        return known
    more = {"hide_settling": filters.hide_settling, "min_window_usd": filters.min_window_usd}
    return _ask(store, "board", window=window, **_board_parameters(filters), **more)


@_shared(5)
def board_so_far(store: Store, window_s: int, filters: BoardFilters) -> pd.DataFrame:
    """The moves since prices came, at most over a window, for which no market has the history yet."""
    return _ask(store, "board_so_far", window_s=window_s, **_board_parameters(filters))


@_shared(60)
def board_as_of(store: Store, window: str, as_of: datetime, filters: BoardFilters) -> pd.DataFrame:
    """The ranked board of a window as it was at a minute."""
    return _ask(store, "board_as_of", window=window, as_of=as_of, **_board_parameters(filters))


def _board_parameters(filters: BoardFilters) -> dict[str, Any]:
    """What every board can be filtered by. Only a window's own moves tell settlements and dollars inside the window."""
    return {
        "venues": list(filters.venues),
        "categories": list(filters.categories),
        "min_volume_usd": filters.min_volume_usd,
        "max_spread_pp": filters.max_spread_pp,
        "limit": filters.limit,
    }


@_shared(10)
def cache_span(store: Store, window: str) -> tuple[datetime, datetime] | None:
    """First and last minute for which boards are kept; None when there are none."""
    frame = _ask(store, "cache_span", window=window)
    if frame.empty or pd.isna(frame["first_ts"].iloc[0]):
        return None
    return frame["first_ts"].iloc[0].to_pydatetime(), frame["last_ts"].iloc[0].to_pydatetime()


@_shared(4)
def coverage(store: Store, window: str) -> Coverage | None:
    """How far back a window's history reaches; None when there is none yet."""
    known = _followed(store).answer(lambda moves: ranking.coverage(moves, window))
    if known is not None:
        return known
    told = _ask(store, "coverage", window=window).itertuples(index=False, name=None)
    return next((Coverage(*counts) for counts in told), None)


@_shared(15)
def watched(store: Store, window: str, fresh_s: int) -> Watched:
    """How many open markets are known, have a price of the last seconds, and a move over a window."""
    return Watched(*_ask(store, "watched", window=window, fresh_s=fresh_s).iloc[0])


@_shared(10)
def sparklines(
    store: Store, token_ids: tuple[str, ...], until: datetime, span_s: int, step_s: int
) -> Mapping[str, list[float]]:
    """Closing prices of tokens in even steps, by token."""
    if not token_ids:
        return {}
    frame = _ask(store, "sparklines", token_ids=list(token_ids), until=until, span_s=span_s, step_s=step_s)
    return {str(token): list(prices) for token, prices in zip(frame["token_id"], frame["prices"], strict=True)}


@st.cache_resource(show_spinner=False, hash_funcs={Store: lambda s: s.address}, on_release=lambda kept: kept.close())
def _kept_feed(store: Store) -> Kept[pd.DataFrame]:
    return Kept("feed", lambda: _ask(store, "feed"))


@_shared(1)
def feed(store: Store) -> pd.DataFrame:
    """The state of each venue's feed."""
    return _kept_feed(store).answer()


@_shared(30)
def filter_choices(store: Store) -> pd.DataFrame:
    """Venues and categories with open markets."""
    return _ask(store, "filters")


@st.cache_resource(
    max_entries=8, show_spinner=False, hash_funcs={Store: lambda s: s.address}, on_release=lambda kept: kept.close()
)
def _kept_categories(
    store: Store, windows: tuple[str, ...], threshold_pp: float, min_volume_usd: float
) -> Kept[pd.DataFrame]:
    followed = _followed(store)

    def ask() -> pd.DataFrame:
        known = followed.answer(lambda moves: ranking.categories(moves, windows, threshold_pp, min_volume_usd))
        if known is not None:
            return known
        parameters = {"threshold_pp": threshold_pp, "min_volume_usd": min_volume_usd, "windows": list(windows)}
        return _ask(store, "categories", **parameters)

    return Kept("categories", ask)


@_shared(1)
def categories(store: Store, windows: tuple[str, ...], threshold_pp: float, min_volume_usd: float) -> pd.DataFrame:
    """Each category in each of the windows."""
    return _kept_categories(store, windows, threshold_pp, min_volume_usd).answer()


@_shared(10)
def category_history(store: Store, window: str, span_s: int, step_s: int, min_volume_usd: float) -> pd.DataFrame:
    """Mean size of the ranked moves of each category over time."""
    parameters = {"window": window, "span_s": span_s, "step_s": step_s, "min_volume_usd": min_volume_usd}
    return _ask(store, "category_history", **parameters)


@_shared(10)
def search(store: Store, text: str, window: str, limit: int = 50) -> pd.DataFrame:
    """Markets whose title, event or id contains a text, largest first."""
    return _ask(store, "search", text=text, window=window, limit=limit)


@_shared(4)
def market(store: Store, market_id: str) -> Any:
    """Everything slow about one market, a row; None when unknown."""
    frame = _ask(store, "market", market_id=market_id)
    return None if frame.empty else frame.iloc[0]


@_shared(1.5)
def market_moves(store: Store, token_id: str) -> pd.DataFrame:
    """One market's newest move over every window."""
    return _ask(store, "market_moves", token_id=token_id)


@_shared(4)
def market_bars(store: Store, token_id: str, until: datetime, span_s: int, step_s: int) -> pd.DataFrame:
    """One token's bars."""
    return bars.market_bars(store, token_id, until, span_s, step_s)


@_shared(4)
def market_band(store: Store, token_id: str, until: datetime, span_s: int, step_s: int) -> pd.DataFrame:
    """One token's best bid and ask over time."""
    return _ask(store, "market_band", token_id=token_id, until=until, span_s=span_s, step_s=step_s)


@_shared(2)
def market_ticks(store: Store, token_id: str, until: datetime, limit: int = 30) -> pd.DataFrame:
    """The last ticks of one token, newest first."""
    return _ask(store, "market_ticks", token_id=token_id, until=until, limit=limit)


@_shared(4)
def market_alerts(store: Store, market_id: str, until: datetime, span_s: int) -> pd.DataFrame:
    """One market's alert episodes inside a span."""
    return _ask(store, "market_alerts", market_id=market_id, until=until, span_s=span_s)


@_shared(10)
def feed_gaps(store: Store, venue: str, until: datetime, span_s: int) -> pd.DataFrame:
    """Gaps of one venue's feed inside a span; `ended_at` is NaT while open."""
    return _ask(store, "feed_gaps", venue=venue, until=until, span_s=span_s)


@_shared(4)
def siblings(store: Store, event_key: str, window: str, limit: int = 60) -> pd.DataFrame:
    """All markets of one event, likeliest first."""
    return _ask(store, "siblings", event_key=event_key, window=window, limit=limit)


@_shared(2)
def same_event(store: Store, market_id: str) -> pd.DataFrame:
    """Confirmed pairs of one market: the other market, the newest quotes of both, when they came, who moves first."""
    return _ask(store, "same_event", market_id=market_id)


@_shared(2)
def episodes(store: Store, filters: AlertFilters) -> pd.DataFrame:
    """Alert episodes, open ones on top."""
    parameters = {
        "venues": list(filters.venues),
        "categories": list(filters.categories),
        "windows": list(filters.windows),
        "kinds": list(filters.kinds),
        "hide_acked": filters.hide_acked,
        "limit": filters.limit,
        "alert_id": filters.alert_id,
    }
    return _ask(store, "episodes", **parameters)


def acknowledge(store: Store, alert_id: str, who: str, note: str) -> None:
    """Marks an episode as seen, for everybody."""
    store.insert("alert_acks", {"alert_id": alert_id, "acked_by": who, "note": note})
    episodes.clear()  # type: ignore[attr-defined]


@_shared(300)
def track_record(store: Store) -> pd.DataFrame:
    """How often alerts of the rules in force were right, by stage, severity and seconds after they were told."""
    return _ask(store, "track_record")

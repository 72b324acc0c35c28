"""Top Movers: the ranked board of one window, live or as it was at an earlier minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import streamlit as st

from dashboard import data, formats, zone
from dashboard.board.ranking import BoardFilters, Coverage
from dashboard.context import WAITING, Context, calm, choose_market, follow_choice, remembered
from dashboard.data import Watched
from dashboard.store import StoreUnavailableError
from dashboard.views import controls, tables

_SHOWN = "board_market_ids"
_TABLE = "board"
_MINUTE = "movers_as_of"
_SO_FAR_S = 900
"""History that short is read price by price: the first minutes after the first start, or after a long absence."""


def render(context: Context) -> None:
    """The page."""
    st.header("Top movers", anchor=False)
    with st.container(horizontal=True, vertical_alignment="center"):
        window = controls.window(context, key="movers_window")
        with st.popover("Filters", icon=":material/tune:"):
            filters = _filters(context)
        with st.popover("Look back", icon=":material/history:"):
            as_of = _as_of(context, window)
    if as_of is None:
        _live_board(context, window, filters)
    else:
        with calm():
            _board_as_of(context, window, filters, as_of)


def _filters(context: Context) -> BoardFilters:
    venues = controls.venues(context, key="movers_venues")
    categories = controls.categories(context, key="movers_categories")
    volume = st.number_input(
        "Traded in 24 hours, at least ($)",
        min_value=0,
        value=int(context.rules.min_volume_24h),
        step=1000,
        key=remembered("movers_volume"),
        bind="query-params",
        persist_state="session",
    )
    in_window = st.number_input(
        "Traded inside the window, at least ($)",
        min_value=0,
        value=int(context.rules.min_window_usd),
        step=100,
        key=remembered("movers_window_usd"),
        bind="query-params",
        persist_state="session",
        help="Where the venue tells it. A price can move without money; that is seldom news.",
    )
    spread = st.number_input(
        "Spread, at most (pp; 100 = any)",
        min_value=0.5,
        max_value=100.0,
        value=float(context.rules.max_spread_pp),
        step=0.5,
        key=remembered("movers_spread"),
        bind="query-params",
        persist_state="session",
    )
    settling = st.toggle(
        "Hide settling markets",
        value=True,
        key=remembered("movers_settling"),
        bind="query-params",
        persist_state="session",
        help="A price that runs to 0 or 100 % as its market ends is no news.",
    )
    limit = st.select_slider(
        "Rows",
        (10, 25, 50, 100),
        value=25,
        key=remembered("movers_limit"),
        bind="query-params",
        persist_state="session",
    )
    return BoardFilters(venues, categories, float(volume), float(in_window), float(spread), settling, int(limit))


def _as_of(context: Context, window: str) -> datetime | None:
    """The minute to look back to; None for now."""
    back = st.toggle(
        "Show an earlier minute", key=remembered("movers_back"), bind="query-params", persist_state="session"
    )
    if not back:
        st.caption("Off: the board is live.")
        st.query_params.pop(_MINUTE, None)
        return None
    kept = _kept(context, window)
    if kept is None:
        st.caption(f"No {window} boards are kept yet.")
        return None
    first, last = kept
    shown_by = zone.chosen()
    st.caption(f"Boards are kept from {shown_by.clock(first, date=True)} to {shown_by.at(last, date=True)}.")
    asked, until = _in_the_address() or last - timedelta(minutes=15), last + timedelta(minutes=1)
    chosen = st.datetime_input(
        f"Minute ({shown_by.name})",
        value=shown_by.wall(min(max(first, asked), until)),
        min_value=shown_by.wall(first),
        max_value=shown_by.wall(until),
        step=timedelta(minutes=5),
        format="YYYY-MM-DD",
        key=f"{_MINUTE}_{shown_by.ahead_min}",
        required=True,
    )
    as_of = shown_by.moment(chosen)
    st.query_params[_MINUTE] = f"{as_of:%Y-%m-%dT%H:%M}"
    return as_of


def _in_the_address() -> datetime | None:
    """The minute that the address asks for. It is told there in UTC, so that readers of two zones share it."""
    try:
        return datetime.fromisoformat(st.query_params.get(_MINUTE, "")).replace(tzinfo=UTC)
    except ValueError:
        return None


def _kept(context: Context, window: str) -> tuple[datetime, datetime] | None:
    try:
        return data.cache_span(context.store, window)
    except StoreUnavailableError:
        return None  # the page says so where the rows would be


@st.fragment(run_every=2)
def _live_board(context: Context, window: str, filters: BoardFilters) -> None:
    follow_choice(None)
    with calm():
        known = data.coverage(context.store, window)
        begins = known is not None and known.covered == 0 and known.coverage_s <= _SO_FAR_S
        if begins:
            frame = data.board_so_far(context.store, context.windows[window], filters)
        else:
            frame = data.board(context.store, window, filters)
        _say_coverage(context, window, known, frame)
        if not frame.empty:
            _table(context, window, frame, datetime.now(tz=UTC))


def _board_as_of(context: Context, window: str, filters: BoardFilters, as_of: datetime) -> None:
    frame = data.board_as_of(context.store, window, as_of, filters)
    if frame.empty:
        st.info(f"No mover passed these filters at {zone.chosen().at(as_of, date=True)}.", icon=":material/history:")
        return
    minute = zone.chosen().at(frame["ts"].max(), date=True)
    st.caption(f":material/history: The {window} board as it was at **{minute}**. Turn off *Look back* for now.")
    _table(context, window, frame)


def _say_coverage(context: Context, window: str, known: Coverage | None, frame: pd.DataFrame) -> None:
    """One line above the board: what is missing, or how to read it."""
    if known is None:
        st.info("No market has ticked yet. The board fills as soon as prices arrive.", icon=WAITING)
    elif known.covered == 0:
        so_far = "" if frame.empty else f" Until then: the moves over {formats.span(known.coverage_s)} so far."
        st.info(controls.not_covered(context, window, known) + so_far, icon=WAITING)
    elif frame.empty:
        st.info(f"No market moved in the last {window} within these filters.", icon=":material/filter_alt:")
    else:
        ranked_by = tables.RANKED_BY[context.rules.score]
        watched = _say_watched(data.watched(context.store, window, tables.OLD_S), window)
        st.caption(f"Ranked by {ranked_by}. Click a row to open its market. {watched}")


def _say_watched(watched: Watched, window: str) -> str:
    """What stands behind the board. An ended market has its last price for ever, and says nothing of it."""
    fresh = f"{watched.fresh} of them have a price of the last {formats.span(tables.OLD_S)}"
    return f"{watched.open} open markets are watched: {fresh}, {watched.moved} a move over {window}."


def _table(context: Context, window: str, frame: pd.DataFrame, now: datetime | None = None) -> None:
    window_s = context.windows[window]
    span_s = min(86_400, max(3600, window_s * 4))
    until = tables.end_of_minute(frame["ts"].max().to_pydatetime())
    lines = data.sparklines(context.store, tuple(frame["token_id"]), until, span_s, max(60, span_s // 60))
    st.dataframe(
        tables.board(frame, lines, now),
        key=_TABLE,
        alt=f"Top movers over {window}",
        hide_index=True,
        height="content",
        column_config=tables.board_columns(window, span_s, context.rules.score),
        on_select=_clicked,
        selection_mode="single-cell",
        placeholder=formats.DASH,
    )
    st.session_state[_SHOWN] = list(frame["market_id"])


def _clicked() -> None:
    """Opens the market whose row was clicked: a row of the last drawing."""
    row = tables.clicked_row(_TABLE)
    shown = st.session_state.get(_SHOWN, [])
    if row is not None and row < len(shown):
        choose_market(shown[row])

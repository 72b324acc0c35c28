"""The choices that several pages offer in the same words. Each is part of the address, so that it can be shared."""

from __future__ import annotations

from typing import get_args

import streamlit as st

from dashboard import data, formats, zone
from dashboard.board.ranking import Coverage
from dashboard.context import Context, remembered
from dashboard.store import StoreUnavailableError
from schemas.words import Category


def not_covered(context: Context, window: str, known: Coverage) -> str:
    """Why a window has no rows yet: 24h board: history covers 2 h 05 m so far."""
    covered, needed = formats.span(known.coverage_s), formats.span(context.windows[window])
    return f"{window} board: history covers {covered} so far; it fills once there are {needed}."


def window(context: Context, key: str, default: str | None = None) -> str:
    """Which window; its name."""
    names = list(context.windows)
    chosen = st.segmented_control(
        "Window",
        names,
        default=default or names[0],
        required=True,
        key=remembered(key),
        label_visibility="collapsed",
        bind="query-params",
        persist_state="session",
    )
    return chosen or names[0]


def times() -> None:
    """By whose clock: behind one small button, whose name is the zone of every time on the page."""
    own = zone.own()
    with st.popover(zone.chosen().name, icon=":material/schedule:", type="tertiary", key="times"):
        st.toggle("Times in UTC", key=zone.KEY, bind="query-params", persist_state="session")
        st.caption(f"Off: as your browser's clock shows them, {own.name}.")


_LOG_OUT = '<a class="log-out" href="/logout">Log out</a>'


def log_out(context: Context) -> None:
    """A way out where there was a way in."""
    if context.login == "password":
        st.html(_LOG_OUT, width="content")
    elif context.login == "oidc":
        st.button("Log out", on_click=st.logout, type="tertiary")


def venues(context: Context, key: str) -> tuple[str, ...]:
    """Which venues; none chosen means all."""
    return _some("Venue", "All venues", _known(context, "venue"), key, formats.VENUE_NAMES)


def categories(context: Context, key: str) -> tuple[str, ...]:
    """Which categories; none chosen means all."""
    known = _known(context, "category")
    return _some("Category", "All categories", known, key, {name: formats.category(name) for name in known})


def _some(label: str, placeholder: str, options: list[str], key: str, names: dict[str, str]) -> tuple[str, ...]:
    chosen = st.multiselect(
        label,
        options,
        format_func=lambda name: names.get(name, name),
        placeholder=placeholder,
        key=remembered(key),
        bind="query-params",
        persist_state="session",
    )
    return tuple(chosen)


def _known(context: Context, column: str) -> list[str]:
    try:
        return sorted(set(data.filter_choices(context.store)[column]) - {""})
    except StoreUnavailableError:
        # The page says so where the rows would be. What the address asks for is to be known all the same, or Streamlit
        # strikes it out.
        return sorted({"venue": formats.VENUE_NAMES, "category": get_args(Category)}[column])

"""Alerts: the episodes, open ones on top; acknowledge one with a note."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import urljoin

import pandas as pd
import streamlit as st

from dashboard import data, formats, zone
from dashboard.context import (
    Context,
    alert_address,
    calm,
    choose_alert,
    choose_market,
    chosen_alert,
    follow_choice,
    remembered,
)
from dashboard.data import AlertFilters
from dashboard.views import controls, tables, track_record
from kernel.settings import RuleSettings
from schemas.words import ENDED_STATES, AlertKind, Factor

_SHOWN, _DRAWING, _NAME = "alerts_listed", "alerts_drawing", "alerts_name"
_NAME_LENGTH, _NOTE_LENGTH = 60, 500
_KINDS: dict[AlertKind, str] = {"move": "Moves", "settlement": "Settlements", "across_gap": "Across a gap"}


def render(context: Context) -> None:
    """The page."""
    st.header("Alerts", anchor=False)
    with st.container(horizontal=True, vertical_alignment="center"):
        filters = _filters(context)
        button = st.container(width="content")
    line = st.container()
    chosen = chosen_alert()
    if chosen is not None:
        _panel(context, filters, chosen)
    _list(context, filters, chosen)
    # Last, since it is counted from all grades there are: with a year of them the store thinks for a second or two.
    track_record.render(context, button, line)


def _filters(context: Context) -> AlertFilters:
    kind = st.segmented_control(
        "Kind",
        list(_KINDS),
        default="move",
        format_func=_KINDS.__getitem__,
        key=remembered("alerts_kind"),
        label_visibility="collapsed",
        bind="query-params",
        persist_state="session",
    )
    with st.popover("Filters", icon=":material/tune:"):
        venues = controls.venues(context, key="alerts_venues")
        categories = controls.categories(context, key="alerts_categories")
        windows = st.multiselect(
            "Window",
            list(context.windows),
            placeholder="All windows",
            key=remembered("alerts_windows"),
            bind="query-params",
            persist_state="session",
        )
        hide_acked = st.toggle(
            "Hide what somebody has seen", key=remembered("alerts_hide"), bind="query-params", persist_state="session"
        )
        limit = st.select_slider(
            "Rows",
            (25, 100, 300),
            value=100,
            key=remembered("alerts_limit"),
            bind="query-params",
            persist_state="session",
        )
    kinds = (kind,) if kind else ()
    return AlertFilters(venues, categories, tuple(windows), kinds, hide_acked, int(limit))


@st.fragment(run_every=5)
def _list(context: Context, filters: AlertFilters, drawn: str | None) -> None:
    follow_choice(None, drawn)
    with calm():
        frame = data.episodes(context.store, filters)
        if frame.empty:
            st.info(
                f"No alert within these filters yet. {_when_one_opens(context.rules)}",
                icon=":material/notifications_off:",
            )
            return
        is_open = int((~frame["state"].isin(ENDED_STATES)).sum())
        first = f"The first {filters.limit} (more: Filters, Rows): " if len(frame) == filters.limit else ""
        st.caption(
            f"{first}{is_open} open, {len(frame) - is_open} closed. Click one to mark it as seen or to open its market."
        )
        st.dataframe(
            tables.episodes(frame, datetime.now(tz=UTC), zone.chosen()),
            key=_table_key(),
            alt="Alerts, open ones on top",
            hide_index=True,
            height="content",
            column_config=tables.episode_columns(zone.chosen()),
            on_select=_clicked,
            selection_mode="single-cell",
            placeholder=formats.DASH,
        )
        st.session_state[_SHOWN] = list(frame["alert_id"])


def _when_one_opens(rules: RuleSettings) -> str:
    if rules.alert_rules:
        return "One opens when a market moves as your own rules say."
    volume = formats.escape(formats.money(rules.min_volume_24h))
    return (
        f"One opens when a market in which {volume} were traded in 24 hours moves {rules.alert_threshold_pp:g} pp "
        "within a window."
    )


def _table_key() -> str:
    return f"episodes_{st.session_state.get(_DRAWING, 0)}"


def _clicked() -> None:
    """Chooses the episode whose row was clicked. The next table is a new one, in which nothing is selected."""
    row = tables.clicked_row(_table_key())
    shown = st.session_state.get(_SHOWN, [])
    if row is not None and row < len(shown):
        choose_alert(shown[row])
        st.session_state[_DRAWING] = st.session_state.get(_DRAWING, 0) + 1


def _no_longer() -> None:
    choose_alert(None)


@st.dialog("Alert", width="medium", on_dismiss=_no_longer)
def _panel(context: Context, filters: AlertFilters, alert_id: str) -> None:
    """The chosen episode and what can be done with it; whether or not it passes the filters of the list.

    Over the list, so that it is seen from wherever the click was; outside the refresh, so that typing is undisturbed.
    """
    with calm():
        listed = data.episodes(context.store, filters)
        rows = listed[listed["alert_id"] == alert_id]
        if rows.empty:
            rows = _stored(context, alert_id)
        if rows.empty:
            _until_stored(context, alert_id)
        else:
            _about(context, rows.iloc[0])


def _stored(context: Context, alert_id: str) -> pd.DataFrame:
    return data.episodes(context.store, AlertFilters(alert_id=alert_id, limit=1))


@st.fragment(run_every=2)
def _until_stored(context: Context, alert_id: str) -> None:
    """Says that an alert is not known, until it is: a pop-up comes from the topic, and may be faster than the store."""
    with calm():
        if not _stored(context, alert_id).empty:
            st.rerun()
        st.info(
            f"No alert {formats.escape(alert_id)} is known here. One that is too new to be stored appears by itself; "
            "alerts are forgotten after a year.",
            icon=":material/notifications_off:",
        )


def _about(context: Context, episode: pd.Series) -> None:
    st.markdown(f"**{formats.escape(episode['title'] or episode['market_id'])}**  \n{_sentence(episode)}")
    with st.form("acknowledge", border=False, enter_to_submit=True):
        left, right = st.columns([1, 2])
        who = left.text_input("Your name", value=st.session_state.get(_NAME, ""), max_chars=_NAME_LENGTH)
        note = right.text_input("Note", value=episode["note"] or "", max_chars=_NOTE_LENGTH)
        with st.container(horizontal=True):
            done = st.form_submit_button("Mark as seen", type="primary", icon=":material/check:")
            detail = st.form_submit_button("Open market", icon=":material/candlestick_chart:")
    st.caption("The address of this alert")
    st.code(urljoin(st.context.url or "", alert_address(episode["alert_id"])), language=None, wrap_lines=True)
    if detail:
        _no_longer()
        choose_market(episode["market_id"])
        st.rerun()
    if done and not who.strip():
        st.warning("A name is needed, so that others know who has seen it.")
    elif done:
        data.acknowledge(context.store, episode["alert_id"], who.strip(), note.strip())
        st.session_state[_NAME] = who.strip()
        _no_longer()
        st.rerun()


_FACTORS: dict[Factor, str] = {
    "standing": "how much still stands",
    "two_sided": "quotes on both sides",
    "dollars": "money in the window",
    "trades": "number of trades",
    "unusual": "size beside the usual steps",
    "basis": "price made of a quote",
    "continuous": "unbroken feed",
    "lifecycle": "far from its end",
    "siblings": "the rest of its event",
    "other_venue": "the other venue",
}
"""What speaks for an episode or against it: each reads after both words."""


def _sentence(episode: pd.Series) -> str:
    shown_by = zone.chosen()
    opened = shown_by.at(episode["opened_at"], date=True)
    text = f"{formats.points(episode['peak_move_pp'])} over {episode['window']} at its peak, detected {opened}"
    if episode["state"] in ENDED_STATES:
        why = f" ({tables.why_closed(episode['close_reason'])})" if episode["close_reason"] else ""
        text += f", {episode['state']} {shown_by.at(episode['ts'], date=True)}{why}"
    if graded := tables.kept(episode):
        text += f", kept: {graded}"
    text += f". Seen by {formats.escape(episode['acked_by'])}." if episode["is_acked"] else "."
    if episode["story_markets"] > 1:
        text += (
            f"  \nOne of {episode['story_markets']} markets of {formats.escape(episode['story'])} that moved together."
        )
    if episode["reason"]:
        text += f"  \n{formats.escape(episode['reason'])}"
    for label, factors in (("For", episode["factors_for"]), ("Against", episode["factors_against"])):
        if len(factors):
            text += f"  \n{label}: {', '.join(_factor(factor, episode['other_after_s']) for factor in factors)}"
    return text


def _factor(factor: Factor, other_after_s: float | None) -> str:
    """A factor in words. `other_after_s`: how much later the other venue went along, if it did."""
    words = _FACTORS.get(factor, factor)
    if factor != "other_venue" or pd.isna(other_after_s):
        return words
    return f"{words} ({formats.span(abs(other_after_s))} {'later' if other_after_s >= 0 else 'before'})"

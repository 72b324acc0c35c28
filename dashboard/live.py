"""The strip that every page carries: how fresh each venue's data is, and pop-ups for new alerts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

import pandas as pd
import streamlit as st

from dashboard import data, formats, toasts, zone
from dashboard.context import Context, alert_address, calm, opened_alert
from dashboard.views import tables
from dashboard.zone import UTC_ZONE, Zone
from schemas.units import datetime_from_micros, window_label

_SEEN, _SHOWN, _TURN = "alerts_seen", "alerts_shown", "strip_turn"
_CATCHING_UP_S = 180
_OLD_NEWS_S = 600
_LATE_S = 120
"""A pop-up whose move is older tells its time."""


@dataclass(frozen=True, slots=True)
class VenueLine:
    """One venue in the strip: a colour (green, orange, red, gray) and a few words."""

    colour: str
    text: str


def venue_line(row: pd.Series, now: datetime, sweep_interval_s: float, shown_by: Zone = UTC_ZONE) -> VenueLine:
    """What to say of one venue's feed. Age counts from when we received the newest tick."""
    if formats.is_missing(row["newest_received"]):
        return VenueLine("gray", "no data yet")
    age_s = (now - row["newest_received"]).total_seconds()
    behind_s = (now - row["newest_ts"]).total_seconds()
    age = f"{max(0.0, age_s):.0f} s old" if age_s < 60 else f"{formats.span(age_s)} old"
    silent = age_s > max(2 * sweep_interval_s + 30, 90)
    if row["in_gap"]:
        since = shown_by.at(row["gap_started"])
        if silent or row["state"] == "disconnected":
            return VenueLine("red", f"feed gap since {since}, newest data {age}")
        # A first look at the venue, a gap that is being made good, or one connection's: some markets are shown.
        return VenueLine("orange", f"not every market shown since {since}, newest data {age}")
    if row["state"] == "disconnected":
        return VenueLine("red", f"disconnected, newest data {age}")
    if silent:
        return VenueLine("red", f"silent, newest data {age}")
    if row["state"] == "degraded":
        return VenueLine("orange", f"degraded ({row['detail']}), newest data {age}")
    if behind_s - age_s > _CATCHING_UP_S:
        at = shown_by.at(row["newest_ts"])
        return VenueLine("orange", f"catching up, at {at} ({formats.span(behind_s)} back)")
    stale = int(row["markets_stale"])
    extra = f", {stale} of {int(row['markets_tracked'])} markets stale" if stale else ""
    return VenueLine("orange" if stale else "green", f"data {age}{extra}")


@st.fragment(run_every=2)
def strip(context: Context, wanted: toasts.Wanted = toasts.ALL) -> None:
    """Draws the strip and pops up what is new and wanted."""
    # Under another name each time the browser begins anew to wait for us; else it calls the page old (`app._STYLE`).
    turn = st.session_state[_TURN] = 1 - st.session_state.get(_TURN, 0)
    with st.container(key=f"heard-{turn}"), calm():
        _status(context)
    _pop_up(context, wanted)


def _status(context: Context) -> None:
    now = datetime.now(tz=UTC)
    feed = data.feed(context.store)
    parts = []
    for _, row in feed.iterrows():
        line = venue_line(row, now, context.sweep_interval_s, zone.chosen())
        parts.append(f":{line.colour}[●]&nbsp;**{formats.venue(row['venue'])}** {formats.escape(line.text)}")
    if not parts:
        parts.append(":gray[●]&nbsp;Waiting for the first data")
    if context.alerts.state == "away":
        parts.append(":orange[●]&nbsp;**Alerts** pop-ups paused, Kafka does not answer")
    st.markdown("&emsp;".join(parts))


def _pop_up(context: Context, wanted: toasts.Wanted) -> None:
    start = st.session_state.setdefault(_SEEN, context.alerts.newest())
    if opened_alert() is not None:
        # Streamlit (1.67) draws a fragment's pop-up in the place of an open dialog. They wait until it is closed.
        return
    told, st.session_state[_SEEN] = context.alerts.since(start)
    alerts = [alert for alert in told if wanted.takes(alert)]
    if not alerts:
        return
    now = datetime.now(tz=UTC)
    newest_s = (now - datetime_from_micros(max(alert.ts_event_us for alert in alerts))).total_seconds()
    # While a demo or a backlog catches up, hours pass in a minute: one pop-up at a time is enough.
    limit = 1 if newest_s > _OLD_NEWS_S else 3
    plan = toasts.plan(alerts, st.session_state.setdefault(_SHOWN, {}), limit)
    for toast in plan.toasts:
        hidden = plan.hidden if toast is plan.toasts[-1] else 0
        st.toast(toast_text(toast, hidden, now, zone.chosen()), icon=_icon(toast), duration="long")


def _icon(toast: toasts.Toast) -> str:
    return ":material/trending_up:" if toast.alert.direction == "up" else ":material/trending_down:"


def toast_text(toast: toasts.Toast, hidden: int, now: datetime, shown_by: Zone = UTC_ZONE) -> str:
    """What a pop-up says, in Markdown; its move opens the alert, its title the market, each in a tab of its own.

    One that is late tells from when it is, and one whose episode has ended meanwhile that it has.
    """
    alert = toast.alert
    price = formats.percent(None if alert.price_ppm is None else alert.price_ppm / 1e6)
    move = formats.points(toasts.size_pp(alert))
    title = formats.escape(alert.title or alert.market_id)
    grew = ", still growing" if alert.state == "escalated" else ""
    windows = f" (and {toast.more_windows} longer)" if toast.more_windows else ""
    page = f"/market_detail?market={quote(alert.market_id, safe='')}"
    others = "" if not toast.more_markets else f", and {toast.more_markets} more of {formats.escape(alert.event_title)}"
    what = f"[**{move}** in {window_label(alert.window_s)}]({alert_address(alert.alert_id)}){windows} to {price}{grew}"
    text = f"{what}  \n[{title}]({page}){others}"
    text += "".join(f"  \n{line}" for line in _late(toast, now, shown_by))
    return f"{text}  \n:gray[and {hidden} more, see Alerts]" if hidden else text


def _late(toast: toasts.Toast, now: datetime, shown_by: Zone) -> list[str]:
    """What a pop-up says besides when it tells of what is no longer so."""
    lines = []
    moment, ended = datetime_from_micros(toast.alert.ts_event_us), toast.ended
    if (now - moment).total_seconds() >= _LATE_S:
        lines.append(f":gray[Told at {shown_by.at(moment)}, {formats.ago(moment, now)}]")
    if ended is not None:
        why = f" ({tables.why_closed(ended.close_reason)})" if ended.close_reason else ""
        at = shown_by.at(datetime_from_micros(ended.ts_event_us))
        lines.append(f"**Over since:** {ended.state} at {at}{why}")
    return lines

"""Market Detail: one market's facts, price, moves, siblings and last ticks."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import quote

import pandas as pd
import streamlit as st

from dashboard import charts, data, formats, zone
from dashboard.context import WAITING, Context, calm, choose_market, chosen_market, follow_choice, remembered
from dashboard.views import tables
from dashboard.zone import Zone
from schemas.words import NoMove

_LAST = "detail_market"
_SIBLINGS = "detail_siblings"

_METRIC_WIDTH = 132
_OF_AN_ADDRESS = "%/:?=&#+,;@~!"
"""Stays as it is in a link: no space, bracket or quote, with which it would end."""
_FOUND = 50
_RANGES = {"1 h": (3600, 60), "6 h": (21_600, 60), "24 h": (86_400, 300), "7 d": (604_800, 1800)}
"""Name of a range: its length and the width of its bars, seconds."""


def render(context: Context, back_to: str | None = None) -> None:
    """The page; or, with `back_to`, the market in place of the rows of the page of that name."""
    if back_to is None:
        with calm():
            _search(context)
    else:
        back = f"Back to {back_to}"
        st.button(back, icon=":material/arrow_back:", type="tertiary", on_click=choose_market, args=(None,))
    market_id = chosen_market() or st.session_state.get(_LAST)
    if not market_id:
        st.info("Search for a market above, or click one on the Top Movers page.", icon=":material/search:")
        return
    with calm():
        market = data.market(context.store, market_id)
        if market is None:
            st.info(f"No market {formats.escape(market_id)} is known here.", icon=":material/search_off:")
            return
        st.session_state[_LAST] = market_id
        choose_market(market_id)
        _header(market)
        tokens = market["token_ids"]
        token_id = tokens[0] if len(tokens) else f"{market_id}:YES"
        with st.container(horizontal=True, vertical_alignment="center"):
            span = st.segmented_control(
                "Range",
                list(_RANGES),
                default="6 h",
                required=True,
                key=remembered("detail_range"),
                label_visibility="collapsed",
                bind="query-params",
                persist_state="session",
            )
            candles = st.toggle(
                "Candles", key=remembered("detail_candles"), bind="query-params", persist_state="session"
            )
        _live(context, market, token_id, span or "6 h", candles)
        _for_programs(market, token_id)


def _search(context: Context) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input("Find a market", placeholder="Words of its title, or its id", key="detail_search")
        if not text.strip():
            return
        found = data.search(context.store, text.strip(), context.widest_window, _FOUND)
        if found.empty:
            st.caption(f"No title contains “{formats.escape(text.strip())}”.")
            return
        rows = found[["market_id", "title", "venue", "status"]].itertuples(index=False, name=None)
        titles = {
            key: f"{title or key}{tables.not_open(status)}  ·  {formats.venue(venue)}"
            for key, title, venue, status in rows
        }
        key = f"detail_found_{text.strip()}"
        st.selectbox(
            f"The {_FOUND} largest found; more words find fewer" if len(found) == _FOUND else f"{len(found)} found",
            list(titles),
            index=None,
            format_func=lambda market_id: titles.get(market_id, market_id),
            placeholder="Choose one",
            key=key,
            on_change=lambda: choose_market(st.session_state[key]),
        )


def _header(market: Any) -> None:
    st.header(formats.escape(market["title"] or market["market_id"]), anchor=False)
    now = datetime.now(tz=UTC)
    closes = None if formats.is_missing(market["close_ts"]) else (market["close_ts"] - now).total_seconds()
    facts = [
        f"**{formats.venue(market['venue'])}**",
        formats.category(market["category"]),
        str(market["status"]) + (f", result {formats.escape(market['result'])}" if market["result"] else ""),
        _end(market["close_ts"], closes),
        "outcomes " + " / ".join(formats.escape(outcome) for outcome in market["outcomes"]),
    ]
    if market["url"]:
        facts.append(f"[Open on {formats.venue(market['venue'])}]({quote(market['url'], safe=_OF_AN_ADDRESS)})")
    st.markdown(" &nbsp;·&nbsp; ".join(facts))


def _end(close_ts: datetime | None, closes_s: float | None) -> str:
    if closes_s is None:
        return "end not known"
    day = zone.chosen().day(close_ts)
    return f"ends {formats.ends_in(closes_s)} ({day})" if closes_s > 0 else f"expected end is past ({day})"


@st.fragment(run_every=5)
def _live(context: Context, market: Any, token_id: str, span: str, candles: bool) -> None:
    follow_choice(market["market_id"])
    with calm():
        moves = data.market_moves(context.store, token_id)
        if moves.empty:
            st.info("No price of this market has arrived yet.", icon=WAITING)
            return
        _numbers(context, market, moves)
        newest = moves["ts"].max().to_pydatetime()
        _chart(context, market, token_id, newest, span, candles)
        _same_event(context, market)
        left, right = st.columns(2, gap="medium")
        with left:
            _siblings(context, market)
        with right:
            _ticks(context, token_id, newest)


def _numbers(context: Context, market: Any, moves: pd.DataFrame) -> None:
    newest: Any = moves.sort_values("ts").iloc[-1]
    outcomes = market["outcomes"] if len(market["outcomes"]) == 2 else ("Yes", "No")
    labels = [formats.escape(outcome) for outcome in outcomes]
    price = newest["price_now"]
    with st.container(horizontal=True, gap="small"):
        st.metric(labels[0], formats.percent(price), border=True, width=_METRIC_WIDTH, height="stretch")
        st.metric(
            labels[1],
            formats.percent(1 - price),
            border=True,
            width=_METRIC_WIDTH,
            height="stretch",
            help="1 − the other side",
        )
        by_window = {row["window"]: row for _, row in moves.iterrows()}
        for name, window_s in context.windows.items():
            _move_metric(name, window_s, by_window.get(name))
        st.metric(
            "24h volume", formats.money(newest["volume_24h_usd"]), border=True, width=_METRIC_WIDTH, height="stretch"
        )
        st.metric("Spread", formats.spread(newest["spread_pp"]), border=True, width=_METRIC_WIDTH, height="stretch")
    st.caption(about_the_price(newest, bool(moves["is_settling"].any()), datetime.now(tz=UTC), zone.chosen()))


def about_the_price(newest: Any, is_settling: bool, now: datetime, shown_by: Zone) -> str:
    """What has to be known of a market's price: from when it is, and what it is when it is no middle of a quote."""
    age = formats.ago(newest["ts"], now)
    notes = [f"Price of {shown_by.at(newest['ts'], seconds=True)}, {age}."]
    if newest["price_basis"] == "last":
        notes.append("It is the last trade's, which may be older: the quote is too wide for a middle, or one-sided.")
    if is_settling:
        notes.append(":material/flag: The price runs to its end as the market ends: settling.")
    return " ".join(notes)


_NO_MOVE: dict[NoMove, str] = {
    "in_gap": "The feed was silent at the start of this window: nobody knows the price then.",
    "no_price": "The market had no price at the start of this window.",
    "basis_changed": "Then and now are not alike: one is the middle of the quote, the other the last trade.",
    "no_price_now": "The market has no price now.",
}


def _why_no_move(move: Any) -> str:
    """Why a window has no move, in words."""
    if move is not None and move["no_move"] in _NO_MOVE:
        return _NO_MOVE[move["no_move"]]
    return f"History covers {formats.span(0 if move is None else int(move['coverage_s']))}"


def _move_metric(name: str, window_s: int, move: Any) -> None:
    if move is None or formats.is_missing(move["move_pp"]):
        st.metric(
            f"Move {name}",
            formats.DASH,
            border=True,
            width=_METRIC_WIDTH,
            height="stretch",
            help=_why_no_move(move),
        )
        return
    gap = "The feed had a gap in this window." if move["across_gap"] else None
    st.metric(
        f"Move {name}",
        formats.points(move["move_pp"]),
        delta=f"from {formats.percent(move['price_then'])}",
        delta_color="green" if move["move_pp"] > 0 else "red" if move["move_pp"] < 0 else "off",
        delta_arrow="up" if move["move_pp"] > 0 else "down" if move["move_pp"] < 0 else "off",
        border=True,
        width=_METRIC_WIDTH,
        height="stretch",
        help=gap,
    )


def _chart(context: Context, market: Any, token_id: str, newest: datetime, span: str, candles: bool) -> None:
    span_s, step_s = _RANGES[span]
    until = tables.end_of_minute(newest)
    series = charts.MarketSeries(
        bars=data.market_bars(context.store, token_id, until, span_s, step_s),
        band=data.market_band(context.store, token_id, until, span_s, step_s),
        alerts=data.market_alerts(context.store, market["market_id"], until, span_s),
        gaps=data.feed_gaps(context.store, market["venue"], until, span_s),
        step_s=step_s,
        until=until,
        shown_by=zone.chosen(),
    )
    if series.bars.empty:
        st.info(f"No bar in the last {span} yet.", icon=WAITING)
        return
    named = f"Price of the market over the last {span}, with its bid and ask and its alerts"
    st.plotly_chart(charts.price(series, candles=candles), key="detail_price", config=charts.CONFIG, alt=named)
    notes = [
        f"Times in {series.shown_by.name}, one {'candle' if candles else 'point'} for each {formats.span(step_s)}."
    ]
    if not series.gaps.empty:
        notes.append("Grey: a gap of the feed, in which not every market was seen.")
    st.caption(" ".join(notes))


def _same_event(context: Context, market: Any) -> None:
    """The other venue's quotes beside this one's. Bids and asks and their age, never a difference: it would read as
    money."""
    now = datetime.now(tz=UTC)
    for _, pair in data.same_event(context.store, market["market_id"]).iterrows():
        st.markdown("**The same event on the other venue**")
        key = f"same_event_{market['market_id']}_{pair['market_id']}"
        st.dataframe(
            tables.same_event(pair, market["venue"], now),
            hide_index=True,
            height="content",
            placeholder=formats.DASH,
            key=key,
            alt="This market and the same event on the other venue",
            on_select=partial(_other_clicked, key, pair["market_id"]),
            selection_mode="single-cell",
        )
        st.caption(" ".join((*_pair_facts(pair, market["venue"]), _NO_PROFIT)))


def _other_clicked(key: str, market_id: str) -> None:
    if tables.clicked_row(key) == 1:
        choose_market(market_id)


_NO_PROFIT = (
    "The quotes came at different times, and fees, sizes and the rules of settlement differ: where they stand apart, "
    "nothing says that money is to be had."
)


def _pair_facts(pair: Any, this_venue: str) -> list[str]:
    """What is known of a pair, in sentences."""
    note = f" ({formats.escape(pair['note'])})" if pair["note"] else ""
    alike = "" if formats.is_missing(pair["confidence"]) else f"; the titles are {pair['confidence']:.0%} alike"
    facts = [f"Confirmed by a person{note}{alike}."]
    hours = f"{pair['looked_back_h']:g} hours before {zone.chosen().at(pair['looked_at'], date=True)}"
    steps, answered, after_s = pair["steps"], pair["answered"], pair["other_after_s"]
    if not steps:
        return [*facts, f"Who moves first is not known: neither took a step in the {hours}."]
    if formats.is_missing(after_s):
        return [*facts, f"Who moves first is not known: none of {steps} steps in the {hours} was answered."]
    here, there = formats.venue(this_venue), formats.venue(pair["venue"])
    first, second = (here, there) if after_s >= 0 else (there, here)
    who = "Both moved at once" if not after_s else f"{second} moved {abs(after_s):.1f} s after {first}"
    return [*facts, f"{who}: the median of {answered} answered of {steps} steps in the {hours}."]


def _siblings(context: Context, market: Any) -> None:
    if not market["event_key"]:
        st.markdown("**Same event** :gray[this market stands alone]")
        return
    frame = data.siblings(context.store, market["event_key"], context.widest_window)
    st.markdown(f"**Same event:** {formats.escape(market['event_title'])}")
    key = f"siblings_{market['market_id']}"
    st.dataframe(
        tables.siblings(frame, context.widest_window),
        hide_index=True,
        height="content",
        placeholder=formats.DASH,
        key=key,
        alt="Markets of the same event",
        column_config={"Market": st.column_config.TextColumn(width=tables.SIBLING_TITLE_PX)},
        on_select=lambda: _sibling_clicked(key),
        selection_mode="single-cell",
    )
    st.session_state[_SIBLINGS] = list(frame["market_id"])
    if market["mutually_exclusive"]:
        priced = frame["price_now"].notna()
        total = formats.percent(frame["price_now"].sum())
        which = "the Yes prices add" if priced.all() else f"the {int(priced.sum())} Yes prices that are known add"
        st.caption(f"Exactly one resolves Yes; {which} up to **{total}**. Click one to open it.")


def _sibling_clicked(key: str) -> None:
    row = tables.clicked_row(key)
    shown = st.session_state.get(_SIBLINGS, [])
    if row is not None and row < len(shown):
        choose_market(shown[row])


def _ticks(context: Context, token_id: str, newest: datetime) -> None:
    shown_by = zone.chosen()
    st.markdown(f"**Last ticks** :gray[newest first, times in {shown_by.name}]")
    frame = data.market_ticks(context.store, token_id, tables.end_of_minute(newest))
    if frame.empty:
        st.caption("None in the last day.")
        return
    st.dataframe(
        tables.ticks(frame, shown_by),
        hide_index=True,
        height=320,
        placeholder=formats.DASH,
        key="ticks",
        alt="Last ticks, newest first",
        column_config=tables.tick_columns(),
    )


def _for_programs(market: Any, token_id: str) -> None:
    with st.expander("For programs: id and SQL", icon=":material/code:"):
        st.caption("Market id")
        st.code(market["market_id"], language=None)
        st.caption("The last hour of its ticks, for `movers sql` or any ClickHouse client")
        quoted = token_id.replace("\\", "\\\\").replace("'", "\\'")
        st.code(
            f"SELECT ts, price, bid, ask, volume_24h_usd, flags\nFROM snapshots\n"
            f"WHERE token_id = '{quoted}' AND ts > now() - INTERVAL 1 HOUR\nORDER BY ts DESC",
            language="sql",
        )

"""Frames made ready for the eye: words, signs and colours instead of columns of a database. Sorting stays by value."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pandas as pd
import streamlit as st
from pandas.io.formats.style import Styler

from dashboard import charts, formats
from dashboard.zone import UTC_ZONE, Zone
from schemas.grades import horizon_label
from schemas.words import CloseReason, EpisodeState, ScoreName

Columns = dict[str, Any]

INKS = {"light": ("#15803d", "#c8232c", "#2563eb"), "dark": (charts.UP, charts.DOWN, charts.ACCENT)}
"""By Streamlit's theme: letters need more contrast than bars and lines, 4.5 to 1 (WCAG 2.2, 1.4.3)."""

_BOARD_TITLE_PX, _EPISODE_TITLE_PX, _EPISODE_NOTES_PX, SIBLING_TITLE_PX = 318, 330, 180, 270


def end_of_minute(moment: datetime) -> datetime:
    """The next full minute: charts that end there are the same for a minute, so their answers are shared."""
    return moment.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)


def clicked_row(key: str) -> int | None:
    """The row of a table with `selection_mode="single-cell"` that the reader has clicked; None when none."""
    state = st.session_state.get(key)
    cells = state["selection"]["cells"] if state else []
    return int(cells[0][0]) if cells else None


def board(frame: pd.DataFrame, lines: Mapping[str, list[float]], now: datetime | None = None) -> Styler:
    """Top movers, one row a market. Move and price stand first, so that a phone shows them without scrolling.

    Args:
        lines: closing prices by token, without the minute that is not over; the price of the row is added.
        now: what an old price is told by; None on a board of the past.
    """
    rows = pd.DataFrame(
        {
            "#": range(1, len(frame) + 1),
            "Move": frame["move_pp"],
            "Now": frame["price_now"],
            "Market": _titles(frame),
            "Trend": [[*lines.get(str(row.token_id), []), row.price_now] for row in frame.itertuples()],
            "From": frame["price_then"],
            "24h volume": frame["volume_24h_usd"],
            "In window": frame["window_volume_usd"],
            "Spread": frame["spread_pp"],
            "Ends": frame["seconds_to_close"],
            "Venue": frame["venue"].map(formats.venue),
            "Category": frame["category"].map(formats.category),
            "Score": frame["score"],
            "Notes": [_notes(row, now) for row in frame.itertuples()],
        }
    )
    return _styled(
        rows,
        {
            "Move": formats.arrow,
            "Market": lambda title: fit(title, _BOARD_TITLE_PX),
            "Now": formats.percent,
            "From": formats.percent,
            "24h volume": formats.money,
            "In window": formats.money,
            "Spread": formats.spread,
            "Ends": formats.ends_in,
            "Score": "{:.0f}",
        },
    )


RANKED_BY: Mapping[ScoreName, str] = {
    "plain": "size of the move × log of the 24-hour volume",
    "signal": "size of the move, less where little was paid, it is usual for its market, wide or gone again",
}
"""What each score says, in a reader's words."""


def board_columns(window: str, span_s: int, score: ScoreName) -> Columns:
    """How the board's columns look."""
    c = st.column_config
    return {
        "#": c.NumberColumn(width=34, alignment="right"),
        "Move": c.NumberColumn(width=92, help=f"Percentage points over {window}"),
        "Now": c.NumberColumn(width=64, help="Probability of Yes now"),
        "Market": c.TextColumn(width=_BOARD_TITLE_PX),
        "Trend": c.LineChartColumn(width=100, help=f"Price over the last {formats.span(span_s)}", color=charts.ACCENT),
        "From": c.NumberColumn(width=64, help=f"Probability of Yes {window} before"),
        "24h volume": c.NumberColumn("24h vol.", width=70, help="Traded in 24 hours, US dollars"),
        "In window": c.NumberColumn(f"In {window}", width=66, help=f"Traded in the last {window}, US dollars"),
        "Spread": c.NumberColumn(width=64, help="Ask minus bid"),
        "Ends": c.NumberColumn(width=80, help="Expected end of the market"),
        "Venue": c.TextColumn(width=88),
        "Category": c.TextColumn(width=106),
        "Score": c.NumberColumn(width=54, help=RANKED_BY[score].capitalize()),
        "Notes": c.TextColumn(width=100),
    }


_CELL_PADDING_PX = 16
_LETTER_PX = {3.5: " ijlI.,:;'’!|", 5.0: 'frt()[]-/?"“”°', 11.0: "mwMW%@&…"}
_WIDTH_PX = {letter: width_px for width_px, letters in _LETTER_PX.items() for letter in letters}


def fit(text: str, width_px: int) -> str:
    """The text as it fits into a column, cut with an ellipsis: a table of Streamlit's cuts without one.

    Letters are taken a little wide, at the table's 14 px. Sorting, search and the saved file have the whole text.
    """
    left_px: float = width_px - _CELL_PADDING_PX
    for at, letter in enumerate(text):
        left_px -= _letter_px(letter)
        if left_px < 0:
            return text[: max(0, at - 2)].rstrip() + "…"
    return text


def _letter_px(letter: str) -> float:
    if letter.isascii() or letter in _WIDTH_PX:
        return _WIDTH_PX.get(letter, 8.0 if letter.isupper() else 6.6)
    if unicodedata.combining(letter) or letter in "\u2060\u200d\ufe0f":
        return 0.0
    return 15.0 if unicodedata.east_asian_width(letter) in "WF" else 8.0


def _titles(frame: pd.DataFrame) -> pd.Series:
    return frame["title"].where(frame["title"] != "", frame["market_id"]).map(formats.cell)


OLD_S = 120
"""A price older than that is said to be: its venue is silent, or looks at the market seldom."""


def _notes(row: Any, now: datetime | None) -> str:
    notes = ["across a gap"] * bool(row.across_gap) + ["settling"] * bool(row.is_settling)
    age_s = 0.0 if now is None else (now - row.ts).total_seconds()
    return ", ".join(notes + [f"{formats.span(age_s)} old"] * (age_s > OLD_S))


_STATES: dict[EpisodeState, str] = {
    "detected": "● detected",
    "confirmed": "● confirmed",
    "escalated": "● growing",
    "reverted": "reverted",
    "closed": "closed",
}


_WHY_CLOSED: dict[CloseReason, str] = {
    "market_ended": "market ended",
    "price_lost": "price lost",
    "rolled_off": "window over",
    "reversed": "turned round",
    "faded": "faded",
    "rule_removed": "rule removed",
    "superseded": "a move without a gap came",
}


def why_closed(reason: str) -> str:
    """Why an episode is over, in a reader's words; nothing of one that is not."""
    return _WHY_CLOSED.get(cast("CloseReason", reason), reason.replace("_", " "))


def kept(episode: Any) -> str:
    """The latest grade of an episode, a row of `data.episodes`: 80 % after 1h. Nothing while there is none."""
    if not episode.graded_after_s:
        return ""
    after = horizon_label(int(episode.graded_after_s))
    return f"turned, after {after}" if episode.kept < 0 else f"{episode.kept * 100:.0f} % after {after}"


def episodes(frame: pd.DataFrame, now: datetime, shown_by: Zone = UTC_ZONE) -> Styler:
    """Alert episodes."""
    rows = pd.DataFrame(
        {
            "State": frame["state"].map(_STATES),
            "Peak": frame["peak_move_pp"],
            "Market": _titles(frame),
            "Kept": [kept(row) for row in frame.itertuples()],
            "Windows": frame["windows"].map(", ".join),
            "Severity": frame["severity"],
            "Price": frame["price_now"],
            "Move": frame["move_pp"],
            "Opened": frame["opened_at"],
            "Last change": frame["ts"],
            "Why closed": frame["close_reason"].fillna("").map(why_closed),
            "Notes": [_episode_notes(row) for row in frame.itertuples()],
            "Seen by": [_seen(row) for row in frame.itertuples()],
            "Venue": frame["venue"].map(formats.venue),
            "Category": frame["category"].map(formats.category),
        }
    )
    styler = _styled(
        rows,
        {
            "Peak": formats.arrow,
            "Market": lambda title: fit(title, _EPISODE_TITLE_PX),
            "Notes": lambda notes: fit(notes, _EPISODE_NOTES_PX),
            "Price": formats.percent,
            "Move": formats.points,
            "Opened": lambda moment: shown_by.clock(moment, date=(now - moment) > timedelta(hours=20)),
            "Last change": lambda moment: formats.ago(moment, now),
        },
        signed=("Peak", "Move"),
    )
    _, _, is_open = _inks()
    return styler.map(lambda state: f"color: {is_open}" if state.startswith("●") else "", subset=["State"])


def episode_columns(shown_by: Zone = UTC_ZONE) -> Columns:
    """How the columns of alerts look."""
    c = st.column_config
    return {
        "State": c.TextColumn(width=92),
        "Peak": c.NumberColumn(width=92, help="Largest move of the episode, percentage points"),
        "Market": c.TextColumn(width=_EPISODE_TITLE_PX),
        "Kept": c.TextColumn(
            width=112,
            help="How much of the move still stood so long after it was told; graded five times in a day",
        ),
        "Windows": c.TextColumn(width=86, help="Windows that said the same when it was detected"),
        "Severity": c.TextColumn(width=70),
        "Price": c.NumberColumn(width=64, help="Probability of Yes at the last change, not now"),
        "Move": c.NumberColumn(width=72, help="The move at the last change, not now"),
        "Opened": c.Column(f"Opened ({shown_by.name})", width=128),
        "Last change": c.Column(width=96),
        "Why closed": c.TextColumn(width=98),
        "Notes": c.TextColumn(
            width=_EPISODE_NOTES_PX, help="Also: how many markets of one event moved within a quarter of an hour"
        ),
        "Seen by": c.TextColumn(width=120),
        "Venue": c.TextColumn(width=88),
        "Category": c.TextColumn(width=106),
    }


def _episode_notes(row: Any) -> str:
    notes = ["settlement"] * (row.kind == "settlement") + ["across a gap"] * bool(row.across_gap)
    if row.story_markets > 1:
        notes.append(f"1 of {row.story_markets} markets of {row.story}")
    return ", ".join(notes)


def _seen(row: Any) -> str:
    if not row.is_acked:
        return ""
    return formats.cell(f"{row.acked_by}: {row.note}" if row.note else str(row.acked_by))


def not_open(status: str) -> str:
    """What stands after the title of a market that does not trade: its price is its last."""
    return "" if status in ("open", "") else f" ({status})"


def siblings(frame: pd.DataFrame, window: str) -> Styler:
    """Markets of one event."""
    titles = _titles(frame)
    begins = _beginning(list(titles))
    rows = pd.DataFrame(
        {
            "Market": titles + frame["status"].map(not_open),
            "Now": frame["price_now"],
            f"Move {window}": frame["move_pp"],
            "24h volume": frame["volume_24h_usd"],
        }
    )
    kinds: dict[str, Callable[[Any], str]] = {
        "Market": lambda title: fit(f"…{title[begins:]}" if begins else title, SIBLING_TITLE_PX),
        "Now": formats.percent,
        f"Move {window}": formats.arrow,
        "24h volume": formats.money,
    }
    return _styled(rows, kinds, signed=(f"Move {window}",))


_SHORT = 12


def _beginning(titles: list[str]) -> int:
    """How many letters all titles of an event begin with, to a whole word: what differs is read first, and not cut off.

    Nought where that saves little, or where it leaves nothing of a title.
    """
    if len(titles) < 2:
        return 0
    first, last = min(titles), max(titles)  # all others begin as these two do
    alike = next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    shared = first[:alike].rpartition(" ")[0]
    return len(shared) + 1 if len(shared) >= _SHORT else 0


def same_event(pair: Any, this_venue: str, now: datetime) -> Styler:
    """One confirmed pair, a row of `data.same_event`: both quotes, this market's first, and how old each is."""
    rows = pd.DataFrame(
        {
            "Venue": [formats.venue(this_venue), formats.venue(pair["venue"])],
            "Market": ["this one", formats.cell(pair["title"] or pair["market_id"])],
            "Bid": [pair["this_bid"], pair["bid"]],
            "Ask": [pair["this_ask"], pair["ask"]],
            "Quote came": [formats.ago(pair["this_received"], now), formats.ago(pair["received"], now)],
        }
    )
    return _styled(rows, {"Bid": formats.percent, "Ask": formats.percent}, signed=())


def ticks(frame: pd.DataFrame, shown_by: Zone = UTC_ZONE) -> Styler:
    """The last ticks of a market."""
    rows = pd.DataFrame(
        {
            "Time": [shown_by.clock(moment, seconds=True) for moment in frame["ts"]],
            "Price": frame["price"],
            "Bid": frame["bid"],
            "Ask": frame["ask"],
            "Last": frame["last"],
            "Basis": frame["price_basis"],
            "Source": frame["source"],
            "Flags": [", ".join(flags) for flags in frame["flags"]],
            "Delay": (frame["ts_received"] - frame["ts"]).dt.total_seconds(),
        }
    )
    kinds: dict[str, Callable[[Any], str] | str] = dict.fromkeys(("Price", "Bid", "Ask", "Last"), formats.percent)
    return _styled(rows, {**kinds, "Delay": "{:.1f} s"}, signed=())


def tick_columns() -> Columns:
    """How the columns of ticks look."""
    c = st.column_config
    prices: Columns = {name: c.NumberColumn(width=58) for name in ("Price", "Bid", "Ask", "Last")}
    return prices | {
        "Time": c.TextColumn(width=66),
        "Basis": c.TextColumn(width=50, help="mid: between bid and ask; last: the last trade"),
        "Source": c.TextColumn(width=58),
        "Flags": c.TextColumn(width=92),
        "Delay": c.NumberColumn(width=54, help="From the venue's clock to ours"),
    }


def categories(frame: pd.DataFrame, threshold_pp: float) -> Styler:
    """Categories in one window."""
    rows = pd.DataFrame(
        {
            "Category": frame["category"].map(formats.category),
            "Mean move": frame["mean_abs_pp"],
            "Median": frame["median_abs_pp"],
            "Net": frame["net_pp"],
            f"Over {threshold_pp:g} pp": frame["movers"],
            "Up": frame["movers_up"],
            "Down": frame["movers_down"],
            "Markets": frame["markets"],
            "Volume": frame["window_volume_usd"],
        }
    )
    kinds = {"Mean move": formats.spread, "Median": formats.spread, "Net": formats.arrow, "Volume": formats.money}
    return _styled(rows, kinds, signed=("Net",))


def category_columns(window: str, threshold_pp: float) -> Columns:
    """How the columns of categories look."""
    c = st.column_config
    over = f"Over {threshold_pp:g} pp"
    return {
        "Category": c.TextColumn(width=106),
        "Mean move": c.NumberColumn(help="Mean size of the moves, up or down"),
        "Median": c.NumberColumn(help="Half of the markets moved less than this"),
        "Net": c.NumberColumn(help="Mean of the moves, ups less downs"),
        over: c.NumberColumn(help=f"Markets that moved {threshold_pp:g} pp or more"),
        "Up": c.NumberColumn(help=f"Of these: up in {window}"),
        "Down": c.NumberColumn(help=f"Of these: down in {window}"),
        "Markets": c.NumberColumn(help="Markets of the category that passed the filters, moved or not"),
        "Volume": c.NumberColumn(f"Traded in {window}", help="US dollars, where the venue tells"),
    }


def _styled(
    rows: pd.DataFrame, kinds: Mapping[str, Callable[[Any], str] | str], signed: tuple[str, ...] = ("Move",)
) -> Styler:
    styler = rows.style.format(dict(kinds), na_rep=formats.DASH)
    return styler.map(_colour, subset=list(signed)) if signed else styler


def _colour(value: object) -> str:
    if formats.is_missing(value) or not isinstance(value, float) or round(value, 1) == 0:
        return ""
    up, down, _ = _inks()
    return f"color: {up if value > 0 else down}"


def _inks() -> tuple[str, str, str]:
    """Colours of letters that tell up, down and open, readable on the reader's theme."""
    return INKS[st.context.theme.type or "light"]

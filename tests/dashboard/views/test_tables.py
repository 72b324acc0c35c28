"""What a reader sees in the cells: words, signs and colours for values; sorting stays by value."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, cast, get_args

import pandas as pd
import pytest
import streamlit as st
from hypothesis import given
from hypothesis import strategies as hyp

from dashboard import formats
from dashboard.columns import COLUMNS
from dashboard.views import tables
from schemas.words import CloseReason, EpisodeState, ScoreName

NOW = datetime(2026, 11, 23, 18, 42, 30, tzinfo=UTC)
NAN = float("nan")
MOVER: dict[str, Any] = {
    "market_id": "KALSHI:A",
    "token_id": "KALSHI:A:YES",
    "title": "Will it?",
    "venue": "kalshi",
    "category": "science_tech",
    "price_now": 0.625,
    "price_then": 0.7,
    "move_pp": -7.5,
    "score": 81.6,
    "volume_24h_usd": 56_000.0,
    "window_volume_usd": NAN,
    "spread_pp": 1.0,
    "seconds_to_close": 7500.0,
    "is_settling": False,
    "across_gap": False,
    "ts": NOW,
}
EPISODE: dict[str, Any] = {
    "state": "confirmed",
    "peak_move_pp": 9.0,
    "title": "Will it?",
    "market_id": "KALSHI:A",
    "windows": ["5m", "1h"],
    "severity": "high",
    "price_now": 0.5,
    "move_pp": NAN,
    "opened_at": NOW - timedelta(hours=2),
    "ts": NOW - timedelta(minutes=4),
    "close_reason": None,
    "kind": "move",
    "across_gap": False,
    "story": "",
    "story_markets": 1,
    "is_acked": False,
    "acked_by": "",
    "note": "",
    "venue": "kalshi",
    "category": "",
    "kept": NAN,
    "graded_after_s": 0,
}


def shown(styler: Any) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Text and style of each cell, by column, as the page would have them."""
    made = styler._compute()._translate(False, False)
    styles = {
        selector: ";".join(f"{name}:{value}" for name, value in entry["props"])
        for entry in made["cellstyle"]
        for selector in entry["selectors"]
    }
    names = list(styler.data.columns)
    texts, looks = [], []
    for row in made["body"]:
        cells = [cell for cell in row if cell["type"] == "td"]
        texts.append({name: str(cell["display_value"]) for name, cell in zip(names, cells, strict=True)})
        looks.append({name: styles.get(cell["id"], "") for name, cell in zip(names, cells, strict=True)})
    return texts, looks


def columns(styler: Any) -> set[str]:
    """Names of the columns of a table."""
    return set(styler.data.columns)


def board(*rows: dict[str, Any], lines: dict[str, list[float]] | None = None) -> Any:
    return tables.board(pd.DataFrame([MOVER | row for row in rows]), lines or {})


def episodes(**change: Any) -> tuple[dict[str, str], dict[str, str]]:
    texts, looks = shown(tables.episodes(pd.DataFrame([EPISODE | change]), NOW))
    return texts[0], looks[0]


def test_a_mover_reads_as_words_with_dashes_for_what_is_not_known() -> None:
    (text,), _ = shown(board({}, lines={"KALSHI:A:YES": [0.7, 0.625]}))

    assert text | {"Market": "", "Trend": ""} == {
        "#": "1",
        "Move": "▼ −7.5 pp",
        "Now": "62.5 %",
        "Market": "",
        "Trend": "",
        "From": "70.0 %",
        "24h volume": "$56.0k",
        "In window": "–",
        "Spread": "1.0 pp",
        "Ends": "in 2 h 05 m",
        "Venue": "Kalshi",
        "Category": "Science & tech",
        "Score": "82",
        "Notes": "",
    }


def test_a_trend_ends_at_the_price_beside_it() -> None:
    """Bars come once their minute is over: a market that fell within it showed a fall beside a line that went up."""
    data = board({"price_now": 0.5}, {"token_id": "OTHER", "price_now": 0.6}, lines={"KALSHI:A:YES": [0.7, 0.75]}).data

    assert list(data["Trend"]) == [[0.7, 0.75, 0.5], [0.6]]


@pytest.mark.parametrize(
    ("age_s", "now", "notes"),
    [(120, NOW, ""), (130, NOW, "2 min old"), (7500, NOW, "2 h 05 m old"), (7500, None, "")],
)
def test_an_old_price_says_its_age_but_not_on_a_board_of_the_past(age_s: int, now: datetime | None, notes: str) -> None:
    frame = pd.DataFrame([MOVER | {"ts": NOW - timedelta(seconds=age_s)}])

    (text,), _ = shown(tables.board(frame, {}, now))

    assert text["Notes"] == notes


def test_a_market_of_the_event_that_no_longer_trades_says_so() -> None:
    row = {"market_id": "KALSHI:A", "title": "Will it?", "price_now": 0.5, "move_pp": 1.0, "volume_24h_usd": 5.0}
    frame = pd.DataFrame([row | {"status": "open"}, row | {"status": "settled", "title": ""}])

    drawn: Any = tables.siblings(frame, "1h")

    assert list(drawn.data["Market"]) == ["Will it?", "KALSHI:A (settled)"]


def test_markets_of_an_event_are_told_apart_where_their_titles_differ() -> None:
    row = {"market_id": "KALSHI:A", "status": "open", "price_now": 0.5, "move_pp": 1.0, "volume_24h_usd": 5.0}
    begin = "Will the high temperature in Chicago be"
    titles = [f"{begin} 79-80° on December 1?", f"{begin} 81-82° on December 1?"]
    frame = pd.DataFrame([row | {"title": title} for title in titles])
    frame.loc[1, "status"] = "settled"

    drawn: Any = tables.siblings(frame, "1h")

    texts, _ = shown(drawn)
    assert [text["Market"] for text in texts] == ["…79-80° on December 1?", "…81-82° on December 1? (settled)"]
    assert next(iter(drawn.data["Market"])) == titles[0]


def test_titles_that_begin_alike_by_a_word_or_stand_alone_are_shown_from_their_beginning() -> None:
    row = {"market_id": "KALSHI:A", "status": "open", "price_now": 0.5, "move_pp": 1.0, "volume_24h_usd": 5.0}

    alone, _ = shown(tables.siblings(pd.DataFrame([row | {"title": "Will it rain in Denver on December 1?"}]), "1h"))
    two = [row | {"title": title} for title in ("Will Adams win?", "Will Baker win?")]
    alike, _ = shown(tables.siblings(pd.DataFrame(two), "1h"))

    assert [text["Market"] for text in (*alone, *alike)] == [
        "Will it rain in Denver on December 1?",
        "Will Adams win?",
        "Will Baker win?",
    ]


@pytest.mark.parametrize(
    "titles",
    [("/a title that begins with a slash", "a title that does not"), ("Will this be the same?",) * 2, ("", "Will it?")],
)
def test_any_titles_of_an_event_are_drawn(titles: tuple[str, ...]) -> None:
    row = {"market_id": "KALSHI:A", "status": "open", "price_now": 0.5, "move_pp": 1.0, "volume_24h_usd": 5.0}

    texts, _ = shown(tables.siblings(pd.DataFrame([row | {"title": title} for title in titles]), "1h"))

    assert all(text["Market"] for text in texts)


def test_cells_are_words_but_the_column_is_sorted_by_value() -> None:
    data = board({"move_pp": -7.5}, {"move_pp": 12.0}, {"move_pp": 9.0}).data

    assert data["Move"].dtype == "float64"
    assert list(data.sort_values("Move")["#"]) == [1, 3, 2]


def test_only_moves_are_coloured_up_and_down_and_never_a_zero() -> None:
    moves = (3.0, -3.0, 0.0, NAN, -0.04)
    _, looks = shown(board(*({"move_pp": move} for move in moves)))

    assert [look["Move"].removeprefix("color:") for look in looks] == [*tables.INKS["light"][:2], "", "", ""]
    assert {style for look in looks for name, style in look.items() if name != "Move"} == {""}


@pytest.mark.parametrize(
    ("gap", "settling", "notes"),
    [(True, True, "across a gap, settling"), (False, True, "settling"), (True, False, "across a gap")],
)
def test_notes_say_what_is_odd_about_a_move(gap: bool, settling: bool, notes: str) -> None:
    (text,), _ = shown(board({"across_gap": gap, "is_settling": settling}))

    assert text["Notes"] == notes


def test_a_market_without_a_title_goes_by_its_id_and_no_title_is_a_formula() -> None:
    data = board({"title": ""}, {"title": "=HYPERLINK(1)"}, {"title": "a=b"}).data

    assert list(data["Market"]) == ["KALSHI:A", "\u2060=HYPERLINK(1)", "a=b"]


@pytest.mark.parametrize("query", ["board", "episodes", "siblings", "market_ticks", "categories"])
def test_a_table_of_nothing_is_drawn_too(query: str) -> None:
    frame = pd.DataFrame({name: pd.Series(dtype=dtype) for name, dtype in COLUMNS[query].items()})
    drawn = {
        "board": lambda: tables.board(frame, {}),
        "episodes": lambda: tables.episodes(frame, NOW),
        "siblings": lambda: tables.siblings(frame, "1h"),
        "market_ticks": lambda: tables.ticks(frame),
        "categories": lambda: tables.categories(frame, 6.0),
    }[query]()

    assert shown(drawn) == ([], [])


@pytest.mark.parametrize("state", get_args(EpisodeState))
def test_every_state_of_an_episode_has_a_word_and_the_open_ones_a_dot(state: str) -> None:
    text, look = episodes(state=state)

    is_open = state in ("detected", "confirmed", "escalated")
    assert text["State"].startswith("● ") is is_open
    assert bool(look["State"]) is is_open
    assert len(text["State"]) > 5


def test_an_episode_of_another_day_is_dated_and_a_young_one_has_its_minute_only() -> None:
    assert episodes()[0]["Opened"] == "16:42"
    assert episodes(opened_at=NOW - timedelta(hours=21))[0]["Opened"] == "22 Nov 21:42"
    assert episodes()[0]["Last change"] == "4 min ago"


@pytest.mark.parametrize(
    ("change", "column", "text"),
    [
        ({"close_reason": "market_ended"}, "Why closed", "market ended"),
        ({"close_reason": None}, "Why closed", ""),
        ({"kind": "settlement", "across_gap": True}, "Notes", "settlement, across a gap"),
        ({"story": "Fed", "story_markets": 4}, "Notes", "1 of 4 markets of Fed"),
        ({"story": "Fed", "story_markets": 1}, "Notes", ""),
        ({"is_acked": True, "acked_by": "Ada"}, "Seen by", "Ada"),
        ({"is_acked": True, "acked_by": "Ada", "note": "known"}, "Seen by", "Ada: known"),
        ({"is_acked": False, "acked_by": "Ada", "note": "old"}, "Seen by", ""),
        ({"windows": []}, "Windows", ""),
        ({}, "Windows", "5m, 1h"),
        ({}, "Category", "Not known yet"),
        ({}, "Move", "–"),
        ({}, "Price", "50.0 %"),
        ({}, "Kept", ""),
        ({"kept": 0.8, "graded_after_s": 60}, "Kept", "80 % after 1m"),
        ({"kept": 1.25, "graded_after_s": 86_400}, "Kept", "125 % after 24h"),
        ({"kept": -0.1, "graded_after_s": 3600}, "Kept", "turned, after 1h"),
    ],
)
def test_a_cell_of_an_episode_says(change: dict[str, Any], column: str, text: str) -> None:
    assert episodes(**change)[0][column] == text


@pytest.mark.parametrize("reason", get_args(CloseReason))
def test_every_reason_to_close_reads_as_words(reason: str) -> None:
    assert re.fullmatch("[a-z ]+", episodes(close_reason=reason)[0]["Why closed"])
    assert episodes(close_reason=reason)[0]["Why closed"] != "rolled off"


def test_a_tick_shows_how_long_it_was_on_its_way() -> None:
    tick = {
        "ts": pd.Timestamp(NOW),
        "ts_received": pd.Timestamp(NOW) + pd.Timedelta(milliseconds=1250),
        "price": 0.5,
        "bid": NAN,
        "ask": 0.51,
        "last": 0.0035,
        "price_basis": "mid",
        "source": "hot",
        "flags": ["wide", "stale"],
    }

    (text,), _ = shown(tables.ticks(pd.DataFrame([tick])))

    assert (text["Time"], text["Delay"], text["Flags"]) == ("18:42:30", "1.2 s", "wide, stale")
    assert (text["Bid"], text["Ask"], text["Last"]) == ("–", "51.0 %", "0.35 %")


def test_columns_that_are_configured_are_columns_that_there_are() -> None:
    """A column that was renamed in one place only would lose its width and its explanation in silence."""
    empty = {name: pd.DataFrame({c: pd.Series(dtype=d) for c, d in COLUMNS[name].items()}) for name in COLUMNS}

    assert set(tables.board_columns("1h", 3600, "plain")) == columns(tables.board(empty["board"], {}))
    assert set(tables.episode_columns()) == columns(tables.episodes(empty["episodes"], NOW))
    assert set(tables.category_columns("1h", 6.5)) == columns(tables.categories(empty["categories"], 6.5))
    assert set(tables.tick_columns()) == columns(tables.ticks(empty["market_ticks"]))


def test_the_board_says_by_which_score_it_is_ranked() -> None:
    said = {score: tables.board_columns("1h", 3600, score)["Score"]["help"] for score in get_args(ScoreName)}

    assert "log of the 24-hour volume" in said["plain"]
    assert "little was paid" in said["signal"]


@given(hyp.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)), hyp.integers(-14, 14))  # noqa: DTZ001
def test_moments_of_a_minute_share_its_end_wherever_the_reader_is(moment: datetime, hours: int) -> None:
    utc = moment.replace(tzinfo=UTC)

    end = tables.end_of_minute(utc.astimezone(timezone(timedelta(hours=hours))))

    assert timedelta(0) < end - utc <= timedelta(minutes=1)
    assert (end.second, end.microsecond, end.tzinfo) == (0, 0, UTC)
    assert tables.end_of_minute(end - timedelta(microseconds=1)) == end


@pytest.mark.parametrize(
    ("state", "row"),
    [
        (None, None),
        ({"selection": {"cells": []}}, None),
        ({"selection": {"cells": [(3, "Market")]}}, 3),
        ({"selection": {"cells": [(0, "#")]}}, 0),
    ],
)
def test_the_first_row_can_be_clicked_as_well_as_none(
    monkeypatch: pytest.MonkeyPatch, state: Any, row: int | None
) -> None:
    monkeypatch.setattr(st, "session_state", {} if state is None else {"board": state})

    assert tables.clicked_row("board") == row


def test_the_lists_that_name_columns_leave_no_dash_where_there_is_a_value() -> None:
    (text,), _ = shown(board({"window_volume_usd": 0.0, "seconds_to_close": -5.0}))

    assert (text["In window"], text["Ends"]) == ("$0", "past")
    assert formats.DASH not in text.values()


LONG = "Will more than 84 flights be delayed in New York on December 1, counted by the FAA?"


def test_a_title_that_does_not_fit_its_cell_ends_with_an_ellipsis_and_is_kept_whole_for_search_and_the_file() -> None:
    frame = pd.DataFrame([MOVER | {"title": LONG}, MOVER])
    table = tables.board(frame, {})

    long, short = (row["Market"] for row in shown(table)[0])

    assert long.endswith("…")
    assert 40 < len(long) < 55
    assert LONG.startswith(long.removesuffix("…"))
    assert short == "Will it?"
    assert cast("Any", table).data["Market"].iloc[0] == LONG


@pytest.mark.parametrize("text", ["W" * 60, "will " * 60, "東京" * 40, "🔥" * 60, "e\u0301" * 80, "a\u200db" * 90])
def test_a_cut_text_is_never_longer_than_what_was_left_of_it_and_loses_nothing_when_there_is_room(text: str) -> None:
    assert tables.fit(text, 300).endswith("…")
    assert len(tables.fit(text, 300)) < len(text)
    assert tables.fit(text, 10_000) == text
    assert tables.fit("", 300) == ""


def test_what_a_person_has_written_is_no_formula_in_the_saved_file() -> None:
    table = tables.episodes(pd.DataFrame([EPISODE | {"is_acked": True, "acked_by": "=1+1", "note": "x"}]), NOW)

    assert cast("Any", table).data["Seen by"].iloc[0] == "\u2060=1+1: x"


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize(("theme", "ground"), [("light", "#ffffff"), ("dark", "#191816")])
def test_coloured_letters_are_readable_on_both_themes(theme: str, ground: str) -> None:
    for ink in tables.INKS[theme]:
        lighter, darker = sorted((_luminance(ink), _luminance(ground)), reverse=True)

        assert (lighter + 0.05) / (darker + 0.05) >= 4.5

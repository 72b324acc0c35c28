"""What commands print: text of venues stays text, programs get whole lines of JSON, secrets stay secret."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from kernel.errors import UserError
from kernel.settings import KafkaSettings, ProcessSettings, RuleSettings, Settings
from movers import console
from schemas.units import PPM
from tests.sinks.events import NOON_US, an_alert

Capture = pytest.CaptureFixture[str]


def printed(capsys: Capture, rows: Sequence[dict[str, Any]], *, as_json: bool = False) -> str:
    console.print_rows(rows, as_json=as_json)
    return capsys.readouterr().out


@pytest.mark.parametrize(
    "text",
    ["Who wins [final]?", "a [/b] c", "[red]x[/red]", "[link=http://evil]x[/link]", ":smiley:", r"\[x]", "50% [a-z]"],
)
def test_text_of_a_venue_is_no_markup(capsys: Capture, text: str) -> None:
    assert text in printed(capsys, [{"title": text}])


@pytest.mark.parametrize("text", ["\x1b[2Jgone", "\x1b]0;title\x07", "\x9b2J", "a\rb"])
def test_text_of_a_venue_does_not_command_the_terminal(capsys: Capture, text: str) -> None:
    shown = printed(capsys, [{"title": text}]) + console._alert_line(an_alert(title=text), as_json=False)

    assert not set(shown) & set("\x1b\x07\x9b\r")


def test_lines_of_a_statement_stay_lines(capsys: Capture) -> None:
    assert "CREATE TABLE x" in printed(capsys, [{"statement": "CREATE TABLE x\n(y UInt8)"}]).splitlines()[1]


def test_an_alert_stays_one_line_whatever_its_title() -> None:
    assert len(console._alert_line(an_alert(title="two\nlines"), as_json=False).splitlines()) == 1


def test_a_column_named_like_markup_is_shown_as_it_is(capsys: Capture) -> None:
    """`movers query` may name columns in any way, `arr[1]` among them."""
    assert "arr[a]" in printed(capsys, [{"arr[a]": 1}])


def test_a_long_cell_is_never_cut_when_a_program_reads(capsys: Capture) -> None:
    text = "word " * 200

    lines = printed(capsys, [{"title": text.strip(), "n": 1}]).splitlines()

    assert len(lines) == 2
    assert text.strip() in lines[1]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (0.5, "0.5"),
        (0.1 + 0.2, "0.3"),
        (12.0, "12"),
        (-0.125, "-0.125"),
        (1000.4, "1,000"),
        (-25_000.6, "-25,001"),
        (100_000, "100000"),
        (Decimal("0.4300"), "0.4300"),
        (datetime(2026, 11, 21, 12, 0, 0, 5, tzinfo=UTC), "2026-11-21 12:00:00"),
        ("", ""),
        (b"02b0f6a41ca485e4293d9919", "02b0f6a41ca485e4293d9919"),
        ([b"02b0", b"42cf"], "['02b0', '42cf']"),
        (b"\xff\x1b[2J", "\ufffd\ufffd[2J"),
    ],
)
def test_a_cell_is_short_and_exact_enough(value: object, shown: str) -> None:
    assert console._cell(value) == shown


def test_a_moment_in_json_tells_its_offset_and_one_without_is_the_stores_utc(capsys: Capture) -> None:
    berlin = datetime(2026, 11, 21, 13, tzinfo=timezone(timedelta(hours=1)))

    console.print_rows([{"ts": berlin.astimezone(UTC).replace(tzinfo=None), "berlin": berlin}], as_json=True)

    assert json.loads(capsys.readouterr().out) == {
        "ts": "2026-11-21T12:00:00+00:00",
        "berlin": "2026-11-21T13:00:00+01:00",
    }


def test_no_rows_are_said_beside_the_output_and_not_in_it(capsys: Capture) -> None:
    console.print_rows([], as_json=False)

    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "no rows\n")


def test_each_row_is_one_line_of_json_that_any_parser_reads(capsys: Capture) -> None:
    row = {
        "price": Decimal("0.43"),
        "at": datetime(2026, 11, 21, 12, tzinfo=UTC),
        "body": b"\xffx",
        "tags": ("a", "b"),
        "id": UUID(int=7),
        "title": "two\nlines",
        "none": None,
    }

    (first, second) = printed(capsys, [row, row], as_json=True).splitlines()

    assert first == second
    assert json.loads(first) == {
        "price": 0.43,
        "at": "2026-11-21T12:00:00+00:00",
        "body": "\N{REPLACEMENT CHARACTER}x",
        "tags": ["a", "b"],
        "id": "00000000-0000-0000-0000-000000000007",
        "title": "two\nlines",
        "none": None,
    }


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_json_does_not_know_is_null(capsys: Capture, value: float) -> None:
    """NaN is what a store answers for 0 / 0; a strict parser refuses the whole line."""
    (line,) = printed(capsys, [{"share": value, "shares": [value, 1.5]}], as_json=True).splitlines()

    def refuse(word: str) -> None:
        raise AssertionError(word)

    assert json.loads(line, parse_constant=refuse) == {"share": None, "shares": [None, 1.5]}


def test_nothing_is_asked_for_a_window_that_is_not_kept() -> None:
    with pytest.raises(UserError, match=r"unknown window 2h; known: 5m, .*24h"):
        console.top_movers(Settings({}), "2h", 10)


def test_a_secret_is_never_shown_and_its_absence_is() -> None:
    settings = Settings({"SCHEMA_REGISTRY_PASSWORD": "hunter2"})

    rows = {row["name"]: row["value"] for row in console.settings_rows(settings, [KafkaSettings, ProcessSettings])}

    assert rows["SCHEMA_REGISTRY_PASSWORD"] == "********"
    assert not any("hunter2" in str(value) for value in rows.values())
    assert rows["SCHEMA_REGISTRY_CA_FILE"] == ""


def test_a_list_is_shown_as_it_is_written_in_the_environment() -> None:
    rows = {row["name"]: row["value"] for row in console.settings_rows(Settings({}), [RuleSettings])}

    assert rows["WINDOWS"] == ",".join(map(str, Settings({}).rules.windows))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "12:00:00  detected   +15.0 pp in 15m  to  60.0 %  Will it rain?"),
        ({"title": "", "market_id": "M"}, "12:00:00  detected   +15.0 pp in 15m  to  60.0 %  M"),
        ({"price_ppm": None}, "12:00:00  detected   +15.0 pp in 15m  to       –  Will it rain?"),
        (
            {"state": "closed", "move_pp": None, "peak_move_pp": -20.0, "price_ppm": PPM},
            "12:00:00  closed     -20.0 pp in 15m  to 100.0 %  Will it rain?",
        ),
        ({"kind": "across_gap"}, "12:00:00  detected   +15.0 pp in 15m  to  60.0 %  Will it rain? (across gap)"),
    ],
)
def test_an_alert_is_one_line(changes: dict[str, Any], says: str) -> None:
    assert console._alert_line(an_alert(**changes), as_json=False) == says


def test_an_alert_for_programs_has_every_field() -> None:
    told = json.loads(console._alert_line(an_alert(windows_s=(900, 3600)), as_json=True))

    assert (told["ts_event_us"], told["windows_s"], told["peak_move_pp"]) == (NOON_US, [900, 3600], 15.0)

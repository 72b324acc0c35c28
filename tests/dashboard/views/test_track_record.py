from __future__ import annotations

import pandas as pd

from dashboard.views.track_record import line, table


def record(*rows: tuple[str, str, int, int, int]) -> pd.DataFrame:
    """Rows of stage, severity, seconds after, cases, held."""
    names = ("stage", "severity", "horizon_s", "cases", "held")
    return pd.DataFrame([{"rule": "default", "turned": 0, **dict(zip(names, row, strict=True))} for row in rows])


def test_the_line_tells_confirmed_moves_of_all_severities_together() -> None:
    rows = [("confirmed", "high", 300, 60, 50), ("confirmed", "low", 300, 40, 30), ("reverted", "low", 300, 90, 0)]

    assert line(record(*rows)) == "Of 100 confirmed moves half or more still stood in 80% (71% to 87%) after 5m."


def test_the_line_leaves_out_what_has_too_few_cases() -> None:
    rows = [("confirmed", "low", 60, 100, 80), ("confirmed", "low", 86_400, 29, 29)]

    assert line(record(*rows)) == "Of 100 confirmed moves half or more still stood in 80% (71% to 87%) after 1m."


def test_the_line_does_not_count_for_a_later_horizon_what_was_graded_at_an_earlier_one_only() -> None:
    rows = [("confirmed", "low", 60, 100, 80), ("confirmed", "low", 3600, 40, 30)]

    assert line(record(*rows)).startswith("Of up to 100 confirmed moves half or more still stood in 80% ")


def test_under_thirty_cases_the_line_tells_no_share() -> None:
    assert line(record(("confirmed", "low", 60, 1, 1))).startswith("1 confirmed move graded so far; ")
    assert line(record(("reverted", "low", 60, 50, 1))).startswith("0 confirmed moves graded so far; ")


def test_the_table_has_a_row_a_stage_and_severity_and_a_column_a_horizon() -> None:
    rows = [("confirmed", "high", 60, 100, 80), ("confirmed", "high", 300, 29, 29), ("reverted", "low", 60, 40, 0)]

    shown = table(record(*rows))

    assert list(shown) == ["Stage", "Severity", "Alerts", "After 1m", "After 5m", "After 15m", "After 1h", "After 24h"]
    assert shown.to_numpy().tolist() == [
        ["confirmed", "high", 100, "80% (71% to 87%)", "too few", "", "", ""],
        ["reverted", "low", 40, "0% (0% to 9%)", "", "", "", ""],
    ]


def test_the_table_names_rules_where_there_are_several() -> None:
    one, other = record(("confirmed", "low", 60, 1, 1)), record(("confirmed", "low", 60, 2, 1))

    assert list(table(pd.concat([one, other.assign(rule="mine")]))["Rule"]) == ["default", "mine"]

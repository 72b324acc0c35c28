from __future__ import annotations

from typing import Any

import pytest

from movers.track_record import table

ROW: dict[str, Any] = {
    "rule": "default",
    "rule_version": "2-abc",
    "severity": "high",
    "stage": "confirmed",
    "horizon_s": 60,
    "cases": 100,
    "held": 80,
    "turned": 5,
}


def test_a_share_is_told_with_its_interval() -> None:
    (row,) = table([ROW])

    assert (row["after"], row["cases"]) == ("1m", 100)
    assert (row["kept"], row["reversed"]) == ("80% (71% to 87%)", "5% (2% to 11%)")


@pytest.mark.parametrize(("cases", "shown"), [(29, False), (30, True)])
def test_under_thirty_cases_no_percentage_is_shown(cases: int, shown: bool) -> None:
    (row,) = table([{**ROW, "cases": cases, "held": cases, "turned": 0}])

    assert ("%" in row["kept"]) is shown
    assert ("%" in row["reversed"]) is shown
    assert row["cases"] == cases


def test_of_no_alerts_there_is_nothing_to_say() -> None:
    assert table([]) == []

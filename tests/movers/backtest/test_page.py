"""The page of a backtest stands alone, shows the busiest markets, and takes nothing of a venue for markup."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from kernel.errors import UserError
from movers.backtest import page
from movers.backtest.page import MARKETS_SHOWN, write
from movers.backtest.run import Outcome
from processors.backtest import Record
from schemas.units import US_PER_S

AT_US = 1_790_000_000 * US_PER_S
SUMMARY: dict[str, Any] = {
    "ticks": 1234,
    "days": 0.5,
    "warm_up_s": 5400,
    "alerts": {"detected": 3, "confirmed": 1},
    "alerts_a_day": {"detected": 6.0, "confirmed": 2.0},
    "assumed": ["a <book> of 0.0001"],
    "rules_without_markets": [],
    "rules_without_dollars": [],
    "kept": {},
}


@pytest.fixture(autouse=True)
def _without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its four megabytes hold every word there is."""
    monkeypatch.setattr(page, "get_plotlyjs", lambda: "/* plotly */")


def episode(market: str = "M", **changes: Any) -> Record:
    values: dict[str, Any] = {
        "alert_id": market,
        "market_id": market,
        "rule": "default",
        "rule_version": "1",
        "windows_s": (300, 3600),
        "direction": "up",
        "kind": "move",
        "move_pp": 12.34,
        "from_ppm": 400_000,
        "price_ppm": 523_400,
        "onset_us": None,
        "told_us": AT_US,
        "detected_us": AT_US,
        "severity": "low",
        "reasons": ["detected: first", "closed: last"],
    }
    return Record(**{**values, **changes})


def written(folder: Path, *records: Record) -> str:
    prices = {record.market_id: ([AT_US, AT_US + US_PER_S], [0.4, 0.52]) for record in records}
    write(Outcome(records=list(records), summary=SUMMARY, took_s=0.25, prices=prices), folder / "page.html")
    return (folder / "page.html").read_text("utf-8")


def test_an_alert_is_a_row_with_its_last_reason(tmp_path: Path) -> None:
    text = written(tmp_path, episode())

    row = text[text.rindex("<tr><td>") :]
    assert re.findall(r"<td>([^<]*)", row) == [
        "2026-09-21 14:13:20",
        "M",
        "default",
        "5m, 1h",
        "+12.3 pp",
        "detected",
        "closed: last",
    ]


@pytest.mark.parametrize(
    ("changes", "stage"),
    [
        ({}, "detected"),
        ({"reverted_us": AT_US}, "reverted"),
        ({"confirmed_us": AT_US}, "confirmed"),
        ({"confirmed_us": AT_US, "reverted_us": AT_US}, "confirmed"),
        ({"closed_us": AT_US}, "detected"),
        ({"across_gap": True}, "detected, across a gap"),
    ],
)
def test_a_row_tells_how_far_the_alert_came(tmp_path: Path, changes: dict[str, Any], stage: str) -> None:
    assert f"<td>{stage}<td>closed: last" in written(tmp_path, episode(**changes))


def test_nothing_of_a_venue_or_a_rule_is_markup(tmp_path: Path) -> None:
    attack = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"

    text = written(tmp_path, episode(attack, rule=attack, reasons=[attack, attack]))

    # Inside a chart's script the library writes `<` as an escape; elsewhere it is an entity.
    assert "<script>alert" not in text
    assert "<img" not in text
    assert "a &lt;book&gt; of 0.0001" in text


def test_the_busiest_markets_are_drawn_and_every_alert_is_listed(tmp_path: Path) -> None:
    busy = [episode("BUSY"), episode("BUSY")]
    others = [episode(f"other-{number:02d}") for number in range(MARKETS_SHOWN + 5)]

    text = written(tmp_path, *others, *busy)

    drawn = re.findall(r'"title":\{"text":"([^"]*)"', text)
    assert drawn == ["BUSY", *(f"other-{number:02d}" for number in range(MARKETS_SHOWN - 1))]
    assert text.count("<tr><td>") == len(others) + len(busy)


def test_a_run_without_alerts_is_a_page_with_its_summary(tmp_path: Path) -> None:
    text = written(tmp_path)

    assert "<li>1,234 ticks of 0.50 days in 0.2 s" in text
    assert "<li>the 1.5 hours before --from filled the histories" in text
    assert "<tr><td>" not in text


def test_a_page_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot write .*: No such file or directory$"):
        written(tmp_path / "none")

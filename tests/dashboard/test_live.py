"""The words of the freshness strip."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from dashboard.live import VenueLine, toast_text, venue_line
from dashboard.toasts import Toast
from dashboard.zone import UTC_ZONE, Zone
from schemas.units import datetime_from_micros
from tests.dashboard.test_toasts import BASE

_NOW = datetime(2026, 11, 23, 18, 42, tzinfo=UTC)


def _row(received_s: float | None = 2.0, behind_s: float | None = None, **changes: Any) -> pd.Series:
    newest = None if received_s is None else _NOW - timedelta(seconds=received_s)
    ts = newest if behind_s is None else _NOW - timedelta(seconds=behind_s)
    row: dict[str, Any] = {
        "venue": "kalshi",
        "newest_ts": pd.NaT if ts is None else ts,
        "newest_received": pd.NaT if newest is None else newest,
        "state": "connected",
        "detail": "",
        "markets_tracked": 100,
        "markets_stale": 0,
        "in_gap": False,
        "gap_started": pd.NaT,
    }
    return pd.Series(row | changes)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (_row(2), VenueLine("green", "data 2 s old")),
        (_row(-1), VenueLine("green", "data 0 s old")),
        (_row(80), VenueLine("green", "data 1 min old")),
        (_row(400), VenueLine("red", "silent, newest data 6 min old")),
        (_row(None), VenueLine("gray", "no data yet")),
        (_row(2, behind_s=4320), VenueLine("orange", "catching up, at 17:30 UTC (1 h 12 m back)")),
        (
            _row(2, state="degraded", detail="slow answers"),
            VenueLine("orange", "degraded (slow answers), newest data 2 s old"),
        ),
        (_row(2, state="disconnected"), VenueLine("red", "disconnected, newest data 2 s old")),
        (
            _row(300, in_gap=True, gap_started=_NOW - timedelta(minutes=5)),
            VenueLine("red", "feed gap since 18:37 UTC, newest data 5 min old"),
        ),
        (
            _row(2, in_gap=True, gap_started=_NOW - timedelta(minutes=5)),
            VenueLine("orange", "not every market shown since 18:37 UTC, newest data 2 s old"),
        ),
        (
            _row(2, in_gap=True, state="disconnected", gap_started=_NOW - timedelta(minutes=5)),
            VenueLine("red", "feed gap since 18:37 UTC, newest data 2 s old"),
        ),
        (_row(2, markets_stale=7), VenueLine("orange", "data 2 s old, 7 of 100 markets stale")),
    ],
)
def test_venue_line(row: pd.Series, expected: VenueLine) -> None:
    assert venue_line(row, _NOW, sweep_interval_s=60) == expected


def test_a_venue_line_tells_times_by_the_readers_clock() -> None:
    row = _row(300, in_gap=True, gap_started=_NOW - timedelta(minutes=5))

    assert venue_line(row, _NOW, 60, Zone(330)).text.startswith("feed gap since 00:07 UTC+5:30,")


_SOON_AFTER = datetime_from_micros(BASE.ts_event_us) + timedelta(seconds=20)


def test_a_pop_up_that_is_minutes_late_tells_its_time_by_the_readers_clock() -> None:
    late = _SOON_AFTER + timedelta(minutes=7)
    moment = datetime_from_micros(BASE.ts_event_us)

    text = toast_text(Toast(BASE, more_windows=0), 0, late, Zone(60))

    assert text.splitlines()[-1] == f":gray[Told at {Zone(60).clock(moment)} UTC+1, 7 min ago]"


def test_a_pop_up_whose_episode_has_ended_meanwhile_says_so_and_why() -> None:
    gone = replace(BASE, state="closed", close_reason="reversed", ts_event_us=BASE.ts_event_us + 10_000_000)

    text = toast_text(Toast(BASE, more_windows=0, ended=gone), 0, _SOON_AFTER)

    at = UTC_ZONE.clock(datetime_from_micros(gone.ts_event_us))
    assert text.splitlines()[-1] == f"**Over since:** closed at {at} UTC (turned round)"


def test_a_pop_up_leads_to_its_market_and_no_title_or_id_breaks_out_of_the_link() -> None:
    alert = replace(BASE, title="[Fed](x) $5", market_id="KALSHI:A)&b=c")

    text = toast_text(Toast(alert, more_windows=2), hidden=3, now=_SOON_AFTER)

    assert text.splitlines() == [
        f"[**+12.0 pp** in 5m](/alerts?alert={alert.alert_id}) (and 2 longer) to 40.0 %  ",
        r"[\[Fed\]\(x\) \$5](/market_detail?market=KALSHI%3AA%29%26b%3Dc)  ",
        ":gray[and 3 more, see Alerts]",
    ]


def test_a_pop_up_says_how_many_markets_of_its_event_go_along() -> None:
    text = toast_text(Toast(replace(BASE, event_title="*The* vote"), more_windows=0, more_markets=19), 0, _SOON_AFTER)

    assert text.endswith(r"?market=KALSHI%3AA), and 19 more of \*The\* vote")

"""Figures: holes stay holes, and the axis holds every price."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from dashboard import charts
from dashboard.zone import Zone

_T0 = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def _bars(minutes: list[int]) -> pd.DataFrame:
    prices = [0.4 + at / 1000 for at in minutes]
    moments = pd.to_datetime([_T0 + timedelta(minutes=at) for at in minutes])
    return pd.DataFrame({"ts": moments, "open": prices, "high": prices, "low": prices, "close": prices})


def _series(bars: pd.DataFrame, alerts: pd.DataFrame | None = None) -> charts.MarketSeries:
    band = pd.DataFrame({"ts": bars["ts"], "bid": bars["close"] - 0.005, "ask": bars["close"] + 0.005})
    none = pd.DataFrame({"opened_at": [], "window": [], "direction": [], "peak_move_pp": []})
    gaps = pd.DataFrame({"started_at": [], "ended_at": []})
    return charts.MarketSeries(bars, band, none if alerts is None else alerts, gaps, 60)


@pytest.mark.parametrize(
    ("minutes", "holes"),
    [
        ([0, 1, 2, 3, 4], 0),
        ([0, 1, 2, 12, 13], 1),
        ([0, 1, 2, 3, 5, 6], 0),  # a single missed minute is no hole
        ([0, 15, 30, 45, 60], 0),  # a market looked at every quarter of an hour
        ([0, 15, 30, 120, 135, 150], 1),
        ([0], 0),
        ([], 0),
    ],
)
def test_break_gaps_puts_one_empty_row_in_each_hole(minutes: list[int], holes: int) -> None:
    frame = charts.break_gaps(_bars(minutes), 60)

    assert int(frame["close"].isna().sum()) == holes
    assert len(frame) == len(minutes) + holes
    assert frame["ts"].is_monotonic_increasing


def test_line_is_not_drawn_across_a_hole_nor_is_the_band() -> None:
    figure = charts.price(_series(_bars([0, 1, 2, 30, 31, 32])), candles=False)

    line = next(trace for trace in figure.data if trace.name == "Price")
    bands = [trace for trace in figure.data if trace.name == "Bid to ask"]
    assert line.connectgaps is False
    assert pd.isna(pd.Series(line.y)).sum() == 1
    assert len(bands) == 2


def test_known_feed_gap_breaks_the_line_even_when_short() -> None:
    series = _series(_bars([0, 1, 2, 5, 6, 7]))  # three minutes are no hole by themselves
    gap = {"started_at": [_T0 + timedelta(minutes=3)], "ended_at": [_T0 + timedelta(minutes=4)]}
    gaps = pd.DataFrame({name: pd.to_datetime(moments) for name, moments in gap.items()})

    with_gap = charts.price(replace(series, gaps=gaps), candles=False)

    broken = [
        int(pd.Series(trace.y).isna().sum())
        for f in (charts.price(series, candles=False), with_gap)
        for trace in f.data
        if trace.name == "Price"
    ]
    assert broken == [0, 1]


@pytest.mark.parametrize("ended_min", [None, 33])
def test_a_feed_gap_in_which_no_bar_is_missing_breaks_nothing(ended_min: int | None) -> None:
    """A chart of half-hour bars once had no line at all, since each bar had some short gap beside it."""
    series = replace(_series(_bars([0, 30, 60, 90])), step_s=1800, gaps=_gap(32, ended_min))

    line = _line(charts.price(series, candles=False))

    assert not pd.Series(line.y).isna().any()


def _line(figure: Any) -> Any:
    return next(trace for trace in figure.data if trace.name == "Price")


def test_a_bar_between_two_holes_is_a_dot() -> None:
    figure = charts.price(_series(_bars([0, 1, 2, 30, 60, 61])), candles=False)

    line, dots = (trace for trace in figure.data if trace.name == "Price")
    assert (line.mode, dots.mode) == ("lines", "markers")
    assert list(dots.y) == pytest.approx([43.0])
    assert list(pd.to_datetime(dots.x, utc=True)) == [_T0 + timedelta(minutes=31)]


def test_a_close_is_drawn_when_it_was_known_and_not_beyond_what_is_known() -> None:
    """At the beginning of its half hour it would stand before the move, and before the alert that told of it."""
    half_hours = replace(_series(_bars([0, 30, 60])), step_s=1800, until=_T0 + timedelta(minutes=70))

    figure = charts.price(half_hours, candles=False)

    drawn = {name: next(trace for trace in figure.data if trace.name == name) for name in ("Price", "Bid to ask")}
    for trace in drawn.values():
        assert [moment - _T0 for moment in pd.to_datetime(trace.x, utc=True)] == [
            timedelta(minutes=at) for at in (30, 60, 70)
        ]


def test_a_candle_lies_over_its_own_step() -> None:
    candles = _line(charts.price(replace(_series(_bars([0, 30])), step_s=1800), candles=True))

    assert (candles.xperiod, candles.xperiodalignment) == (1_800_000, "middle")


def test_alert_marker_stands_at_the_price_of_its_moment() -> None:
    opened = pd.Timestamp(_T0) + pd.Timedelta(minutes=2, seconds=20)
    alerts = pd.DataFrame(
        {"opened_at": [opened, opened], "window": ["5m", "1h"], "direction": ["up", "up"], "peak_move_pp": [11.0, 12.0]}
    )

    figure = charts.price(_series(_bars([0, 1, 2, 3]), alerts), candles=True)

    marker = next(trace for trace in figure.data if trace.name == "Alert up")
    assert list(marker.y) == pytest.approx([40.2])
    assert list(marker.customdata) == ["5m, 1h"]
    assert list(marker.text) == ["+12.0 pp"]


@pytest.mark.parametrize(("low", "high"), [(0.4, 0.4), (0.0, 1.0), (0.01, 0.02), (0.3, 0.7)])
def test_axis_holds_every_price_and_stays_within_certainty(low: float, high: float) -> None:
    bars = _bars([0, 1])
    bars["low"], bars["high"] = low, high
    series = charts.MarketSeries(bars, bars.assign(bid=low, ask=high), bars.head(0), bars.head(0), 60)

    bottom, top = charts.price_range(series)

    assert 0 <= bottom <= low * 100 <= high * 100 <= top <= 100
    assert top - bottom >= 3


def _gap(started_min: int, ended_min: int | None) -> pd.DataFrame:
    started = [_T0 + timedelta(minutes=started_min)]
    ended = [None if ended_min is None else _T0 + timedelta(minutes=ended_min)]
    moments = "datetime64[us, UTC]"
    return pd.DataFrame({"started_at": pd.Series(started, dtype=moments), "ended_at": pd.Series(ended, dtype=moments)})


def test_an_open_gap_is_shaded_up_to_the_newest_bar() -> None:
    figure = charts.price(replace(_series(_bars([0, 1, 2, 9])), gaps=_gap(3, None)), candles=False)

    (shade,) = figure.layout.shapes
    assert [pd.Timestamp(end, tz="UTC") - _T0 for end in (shade.x0, shade.x1)] == [
        timedelta(minutes=3),
        timedelta(minutes=9),
    ]


@pytest.mark.parametrize("candles", [True, False])
@pytest.mark.parametrize("gaps", [_gap(3, 5), _gap(3, None)], ids=["closed", "open"])
def test_a_market_without_any_price_is_drawn_too(candles: bool, gaps: pd.DataFrame) -> None:
    series = _series(_bars([]).assign(ts=pd.to_datetime([], utc=True)))

    figure = charts.price(replace(series, gaps=gaps), candles=candles)

    assert tuple(figure.layout.yaxis.range) == (0.0, 100.0)


def test_alerts_from_before_the_first_bar_are_not_drawn() -> None:
    opened = pd.Timestamp(_T0)
    alerts = pd.DataFrame(
        {
            "opened_at": [opened, opened + pd.Timedelta(minutes=6)],
            "window": ["5m", "5m"],
            "direction": ["up", "down"],
            "peak_move_pp": [9.0, 7.0],
        }
    )

    figure = charts.price(_series(_bars([5, 6, 7]), alerts), candles=False)

    assert [trace.name for trace in figure.data if trace.name and trace.name.startswith("Alert")] == ["Alert down"]


@pytest.mark.parametrize(("minutes", "form"), [([0, 36 * 60], "%H:%M"), ([0, 36 * 60 + 1], "%d %b")])
def test_an_axis_of_more_than_a_day_and_a_half_names_days(minutes: list[int], form: str) -> None:
    assert charts.price(_series(_bars(minutes)), candles=True).layout.xaxis.tickformat == form


def test_a_category_is_coloured_by_its_net_and_grey_when_it_went_nowhere() -> None:
    frame = pd.DataFrame(
        {
            "category": ["sports", "crypto", "world"],
            "mean_abs_pp": [3.0, 1.0, 2.0],
            "net_pp": [0.051, -0.051, 0.05],
            "movers_up": 1,
            "movers_down": 0,
            "markets": 9,
        }
    )

    (bars,) = charts.category_bars(frame).data

    assert list(bars.y) == ["Crypto", "World", "Sports"]
    assert list(bars.marker.color) == [charts.DOWN, charts.FLAT, charts.UP]
    assert list(bars.text) == ["▼ 1.0 pp (9)", "2.0 pp (9)", "▲ 3.0 pp (9)"]


def test_the_heat_map_has_the_windows_in_their_own_order_and_no_number_where_there_is_none() -> None:
    frame = pd.DataFrame(
        {
            "category": ["sports", "sports", "crypto"],
            "window": ["24h", "5m", "5m"],
            "mean_abs_pp": [4.0, 1.0, 2.0],
        }
    )

    heat, texts = charts.category_heat(frame, ["5m", "15m", "24h"]).data

    assert list(heat.x) == ["in 5m", "in 24h"]
    assert list(heat.y) == ["Sports", "Crypto"]
    assert list(texts.text) == ["1.0", "4.0", "2.0", ""]


def test_the_heat_map_stands_in_the_order_of_the_window_that_is_looked_at() -> None:
    """Beside the bars of that window, category by category."""
    frame = pd.DataFrame(
        {
            "category": ["sports", "crypto", "sports", "crypto", "world"],
            "window": ["5m", "5m", "1h", "1h", "5m"],
            "mean_abs_pp": [4.0, 1.0, 2.0, 3.0, 9.0],
        }
    )

    heat, texts = charts.category_heat(frame, ["5m", "1h"], "1h", "#123456").data

    assert list(heat.y) == ["World", "Sports", "Crypto"]  # from the foot
    assert texts.textfont.color == "#123456"


def test_a_mean_says_of_how_many_markets() -> None:
    counts = {"movers_up": [1], "movers_down": [0], "markets": [12]}
    frame = pd.DataFrame({"category": ["sports"], "mean_abs_pp": [2.0], "net_pp": [1.0], **counts})

    (bars,) = charts.category_bars(frame).data

    assert list(bars.text) == ["▲ 2.0 pp (12)"]


def test_the_busiest_categories_are_drawn_and_the_others_wait_in_the_legend() -> None:
    moments = pd.to_datetime([_T0, _T0 + timedelta(minutes=1)] * 3)
    names = ["sports"] * 2 + ["crypto"] * 2 + ["world"] * 2
    frame = pd.DataFrame({"ts": moments, "category": names, "mean_abs_pp": [1.0, 1.0, 5.0, 3.0, 2.0, 2.0]})

    figure = charts.category_lines(frame, shown=2)

    assert [(trace.name, trace.visible) for trace in figure.data] == [
        ("Crypto", True),
        ("World", True),
        ("Sports", "legendonly"),
    ]


@pytest.mark.parametrize("candles", [False, True])
def test_a_chart_is_drawn_by_the_readers_clock_and_says_whose(candles: bool) -> None:
    """In India and Nepal an hour begins between two of UTC."""
    alert = {"opened_at": [_T0 + timedelta(minutes=40)], "window": ["5m"], "direction": ["up"], "peak_move_pp": [7.0]}
    series = replace(_series(_bars([0, 30, 60]), pd.DataFrame(alert)), step_s=1800, gaps=_gap(32, 40))

    utc = charts.price(series, candles=candles)
    nepal = charts.price(replace(series, shown_by=Zone(345)), candles=candles)

    for before, after in zip(utc.data, nepal.data, strict=True):
        assert list(pd.Series(after.x) - pd.Series(before.x)) == [timedelta(minutes=345)] * len(before.x)
        assert "UTC<" not in (after.hovertemplate or "")
        assert (before.hovertemplate is None) or ("UTC+5:45" in after.hovertemplate)
    assert nepal.layout.shapes[0].x0 - utc.layout.shapes[0].x0 == timedelta(minutes=345)
    assert not candles or _line(nepal).xperiod0 == _line(nepal).x[0]


def test_lines_of_categories_are_drawn_by_the_readers_clock() -> None:
    moments = pd.to_datetime([_T0, _T0 + timedelta(minutes=1)])
    frame = pd.DataFrame({"ts": moments, "category": "crypto", "mean_abs_pp": [1.0, 2.0]})

    figure = charts.category_lines(frame, shown_by=Zone(-300))

    assert pd.Timestamp(figure.data[0].x[0]) == pd.Timestamp("2026-11-23 07:00")
    assert figure.layout.xaxis.hoverformat.endswith(" UTC−5")

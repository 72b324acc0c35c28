"""Figures, made of frames and nothing else. Transparent, so that the light and the dark theme both fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from dashboard import formats
from dashboard.zone import UTC_ZONE, Zone
from schemas.words import Direction

UP, DOWN, FLAT, ACCENT = "#16a34a", "#e5484d", "#8b949e", "#3b82f6"
_BAND = "rgba(59,130,246,0.16)"
_GAP = "rgba(139,148,158,0.18)"
_GRID = "rgba(139,148,158,0.22)"

PALETTE = ("#3b82f6", "#f59e0b", "#16a34a", "#a855f7", "#e5484d", "#06b6d4", "#ec4899", "#84cc16", "#f97316", "#6366f1")

CONFIG = {"displayModeBar": False, "scrollZoom": False}
"""Plotly's own settings for every chart of ours."""


@dataclass(frozen=True, slots=True)
class MarketSeries:
    """What a price chart shows. Prices 0..1, times UTC, all frames oldest first and possibly empty.

    A row of `bars` or `band` is stamped with the beginning of its step. Nothing is known after `until`.
    """

    bars: pd.DataFrame
    band: pd.DataFrame
    alerts: pd.DataFrame
    gaps: pd.DataFrame
    step_s: int
    until: datetime | None = None
    shown_by: Zone = UTC_ZONE


def _on_the_wall(series: MarketSeries) -> MarketSeries:
    """The same with the times that a clock of the zone shows: Plotly draws times as they are written."""
    zone = series.shown_by

    def walls(frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
        return frame.assign(**{name: zone.walls(frame[name]) for name in columns})

    return replace(
        series,
        bars=walls(series.bars, "ts"),
        band=walls(series.band, "ts"),
        alerts=walls(series.alerts, "opened_at"),
        gaps=walls(series.gaps, "started_at", "ended_at"),
        until=None if series.until is None else zone.wall(series.until),
    )


def break_gaps(frame: pd.DataFrame, step_s: int, gaps: pd.DataFrame | None = None) -> pd.DataFrame:
    """The frame with an empty row wherever time is missing, so that no line is drawn across a hole.

    A hole is more than three times the usual distance of two rows (markets differ in how often they are looked at),
    and at least three steps; or, however short, a missing step in one of the feed's known `gaps`. A gap that no step
    fell into is no hole: the market was seen in each, before it or after.
    """
    if len(frame) < 2:
        return frame
    distances_s = frame["ts"].diff().dt.total_seconds()
    is_hole = distances_s > max(3 * step_s, 3 * float(distances_s.median()))
    missing_from, missing_until = frame["ts"].shift() + pd.Timedelta(seconds=step_s), frame["ts"]
    for begun, ended in () if gaps is None else zip(gaps["started_at"], gaps["ended_at"], strict=True):
        is_over = not formats.is_missing(ended)
        is_hole |= (missing_from < missing_until) & (begun < missing_until) & (not is_over or ended > missing_from)
    holes = frame.loc[is_hole, "ts"] - pd.Timedelta(seconds=step_s / 2)
    rows = frame.set_index("ts")
    return rows.reindex(rows.index.union(pd.DatetimeIndex(holes))).rename_axis("ts").reset_index()


def _at_ends(series: MarketSeries, frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with its holes, each row at the end of its step: what closes a step was not known at its beginning."""
    frame = break_gaps(frame, series.step_s, series.gaps)
    ends = frame["ts"] + pd.Timedelta(seconds=series.step_s)
    return frame.assign(ts=ends if series.until is None else ends.where(ends <= series.until, series.until))


def price(series: MarketSeries, *, candles: bool) -> go.Figure:
    """Price of one market in per cent: line with the bid-ask band, or candles; alerts marked, feed gaps shaded."""
    series, figure = _on_the_wall(series), go.Figure()
    _add_band(figure, _at_ends(series, series.band))
    if candles:
        _add_candles(figure, series.bars, series.step_s)
    else:
        _add_line(figure, _at_ends(series, series.bars), series.shown_by)
    _add_alerts(figure, series)
    newest = series.until or series.bars["ts"].max()
    for _, gap in series.gaps.iterrows():
        end = gap["ended_at"] if not formats.is_missing(gap["ended_at"]) else newest
        figure.add_vrect(x0=gap["started_at"], x1=end, fillcolor=_GAP, line_width=0, layer="below")
    low, high = price_range(series)
    figure.update_yaxes(ticksuffix=" %", range=[low, high], fixedrange=True)
    long = bool(len(series.bars)) and series.bars["ts"].iloc[-1] - series.bars["ts"].iloc[0] > pd.Timedelta(hours=36)
    figure.update_xaxes(rangeslider_visible=False, fixedrange=True, tickformat="%d %b" if long else "%H:%M")
    return _styled(figure, height=380)


def price_range(series: MarketSeries) -> tuple[float, float]:
    """Lowest and highest per cent to show: all prices with some air, at least six points, never beyond 0 and 100."""
    parts = [series.bars["low"], series.bars["high"], series.band["bid"], series.band["ask"]]
    values = pd.concat([part for part in parts if not part.empty] or [pd.Series([0.0, 1.0])]) * 100
    low, high = float(values.min()), float(values.max())
    air = max((high - low) * 0.12, (6 - (high - low)) / 2, 0.5)
    return max(0.0, low - air), min(100.0, high + air)


def _add_band(figure: go.Figure, band: pd.DataFrame) -> None:
    """Bid to ask as an area; a separate area for each stretch without a hole (Plotly fills across holes)."""
    stretches = band["bid"].isna().cumsum()
    for number, (_, part) in enumerate(band.dropna().groupby(stretches)):
        shared = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "legendgroup": "band"}
        figure.add_scatter(x=part["ts"], y=part["ask"] * 100, showlegend=False, **shared)
        figure.add_scatter(
            x=part["ts"],
            y=part["bid"] * 100,
            fill="tonexty",
            fillcolor=_BAND,
            name="Bid to ask",
            showlegend=number == 0,
            **shared,
        )


def _add_line(figure: go.Figure, bars: pd.DataFrame, shown_by: Zone) -> None:
    """The closing prices; one between two holes as a dot, since a line needs two."""
    hover = f"%{{x|%d %b %H:%M}} {shown_by.name}<br><b>%{{y:.1f}} %</b><extra></extra>"
    shared = {"name": "Price", "hovertemplate": hover}
    line = {"color": ACCENT, "width": 2}
    figure.add_scatter(x=bars["ts"], y=bars["close"] * 100, mode="lines", connectgaps=False, line=line, **shared)
    empty = bars["close"].isna()
    alone = bars[~empty & empty.shift(fill_value=True) & empty.shift(-1, fill_value=True)]
    if len(alone):
        dot = {"color": ACCENT, "size": 5}
        figure.add_scatter(
            x=alone["ts"], y=alone["close"] * 100, mode="markers", marker=dot, showlegend=False, **shared
        )


def _add_candles(figure: go.Figure, bars: pd.DataFrame, step_s: int) -> None:
    figure.add_candlestick(
        x=bars["ts"],
        # Over its own step, not around its beginning; a step begins at a full hour of UTC, not of every zone.
        xperiod=step_s * 1000,
        xperiod0=None if bars.empty else bars["ts"].iloc[0],
        xperiodalignment="middle",
        open=bars["open"] * 100,
        high=bars["high"] * 100,
        low=bars["low"] * 100,
        close=bars["close"] * 100,
        increasing={"line": {"color": UP, "width": 1}, "fillcolor": UP},
        decreasing={"line": {"color": DOWN, "width": 1}, "fillcolor": DOWN},
        name="Price",
    )


def _add_alerts(figure: go.Figure, series: MarketSeries) -> None:
    """A triangle at the price of the moment for each instant an alert opened; windows of one instant share it."""
    if series.alerts.empty or series.bars.empty:
        return
    bars = series.bars.sort_values("ts")
    alerts = series.alerts[series.alerts["opened_at"] >= bars["ts"].iloc[0]]
    marks: dict[Direction, tuple[str, str]] = {"up": ("triangle-up", UP), "down": ("triangle-down", DOWN)}
    for direction, (symbol, colour) in marks.items():
        some = (
            alerts[alerts["direction"] == direction]
            .groupby("opened_at", as_index=False)
            .agg(
                windows=("window", lambda names: ", ".join(names)),
                peak_move_pp=("peak_move_pp", lambda moves: max(moves, key=abs)),
            )
        )
        if some.empty:
            continue
        at = pd.merge_asof(some.sort_values("opened_at"), bars, left_on="opened_at", right_on="ts")
        figure.add_scatter(
            x=at["opened_at"],
            y=at["close"] * 100,
            mode="markers",
            marker={"symbol": symbol, "size": 13, "color": colour, "line": {"color": "white", "width": 1}},
            name=f"Alert {direction}",
            text=at["peak_move_pp"].map(formats.points),
            customdata=at["windows"],
            hovertemplate="Alert: %{text} at its peak, in %{customdata}<br>"
            f"%{{x|%d %b %H:%M}} {series.shown_by.name}<extra></extra>",
        )


def category_bars(frame: pd.DataFrame) -> go.Figure:
    """Mean size of the moves of each category and of how many, coloured by which way they went on balance."""
    frame = frame.sort_values("mean_abs_pp")
    colours = [UP if net > 0.05 else DOWN if net < -0.05 else FLAT for net in frame["net_pp"]]
    columns = ["movers_up", "movers_down", "markets", "net_pp"]
    hover = [
        f"{up} up, {down} down of {markets} markets<br>net {formats.points(net_pp)}"
        for up, down, markets, net_pp in frame[columns].itertuples(index=False, name=None)
    ]
    signs = ["▲ " if colour == UP else "▼ " if colour == DOWN else "" for colour in colours]
    sizes = (signs, frame["mean_abs_pp"], frame["markets"])
    figure = go.Figure(
        go.Bar(
            x=frame["mean_abs_pp"],
            y=[formats.category(name) for name in frame["category"]],
            orientation="h",
            marker={"color": colours, "cornerradius": 3},
            # A mean of two markets says little. The sign is for who does not see the colour.
            text=[f"{sign}{size:.1f} pp ({count})" for sign, size, count in zip(*sizes, strict=True)],
            textposition="outside",
            cliponaxis=False,
            customdata=hover,
            hovertemplate="<b>%{y}</b><br>mean move %{x:.1f} pp<br>%{customdata}<extra></extra>",
        )
    )
    most = float(frame["mean_abs_pp"].max()) if len(frame) else 1.0
    figure.update_xaxes(range=[0, max(most * 1.38, 0.5)], showticklabels=False, showgrid=False, fixedrange=True)
    figure.update_yaxes(showgrid=False, fixedrange=True)
    return _styled(figure, height=max(180, 34 * len(frame) + 30), hover="closest")


def category_heat(
    frame: pd.DataFrame, windows: Sequence[str], first: str | None = None, ink: str | None = None
) -> go.Figure:
    """Categories by windows: the mean size of the moves, darker for more.

    Args:
        first: the window whose largest stands on top; the shortest unless told.
        ink: colour of the numbers; the theme's grey unless told, which is faint on the darkest.
    """
    table = frame.pivot_table(index="category", columns="window", values="mean_abs_pp")
    table = table.reindex(columns=[name for name in windows if name in table.columns])
    by = first if first in table.columns else table.columns[0]
    table = table.sort_values(str(by), ascending=True, na_position="first")
    names = [formats.category(str(name)) for name in table.index]
    columns = [f"in {name}" for name in table.columns]
    figure = go.Figure(
        go.Heatmap(
            z=table.to_numpy(),
            x=columns,
            y=names,
            colorscale=[[0, "rgba(59,130,246,0.05)"], [1, "rgba(59,130,246,0.65)"]],
            showscale=False,
            xgap=2,
            ygap=2,
            hovertemplate="<b>%{y}</b> %{x}<br>mean move %{z:.1f} pp<extra></extra>",
        )
    )
    # Numbers as a trace of their own take the theme's colour; the heat map's own are unreadable on a dark page.
    cells: list[tuple[str, str, Any]] = [
        (column, name, table.iat[y, x]) for y, name in enumerate(names) for x, column in enumerate(columns)
    ]
    texts = ["" if formats.is_missing(value) else f"{float(value):.1f}" for _, _, value in cells]
    at_x, at_y = [column for column, _, _ in cells], [name for _, name, _ in cells]
    font = {"color": ink} if ink else None
    figure.add_scatter(x=at_x, y=at_y, text=texts, mode="text", textfont=font, hoverinfo="skip", showlegend=False)
    figure.update_xaxes(side="top", fixedrange=True, showgrid=False)
    figure.update_yaxes(fixedrange=True, showgrid=False)
    return _styled(figure, height=max(180, 34 * len(table) + 50), hover="closest")


def category_lines(frame: pd.DataFrame, shown: int = 5, shown_by: Zone = UTC_ZONE) -> go.Figure:
    """Movement of categories over time; the `shown` busiest are drawn, the others wait in the legend."""
    frame, figure = frame.assign(ts=shown_by.walls(frame["ts"])), go.Figure()
    busiest = frame.groupby("category")["mean_abs_pp"].mean().sort_values(ascending=False).index
    for number, name in enumerate(busiest):
        part = frame[frame["category"] == name].sort_values("ts")
        step_s = float(part["ts"].diff().dt.total_seconds().median()) if len(part) > 1 else 60.0
        part = break_gaps(part, round(step_s))
        figure.add_scatter(
            x=part["ts"],
            y=part["mean_abs_pp"],
            mode="lines",
            connectgaps=False,
            line={"width": 2, "color": PALETTE[number % len(PALETTE)]},
            name=formats.category(str(name)),
            visible=True if number < shown else "legendonly",
            hovertemplate="%{y:.1f} pp",
        )
    figure.update_yaxes(ticksuffix=" pp", rangemode="tozero", fixedrange=True)
    long = frame["ts"].max() - frame["ts"].min() > pd.Timedelta(hours=36)
    figure.update_xaxes(
        fixedrange=True, hoverformat=f"%d %b %H:%M {shown_by.name}", tickformat="%d %b" if long else "%H:%M"
    )
    return _styled(figure, height=360, hover="x unified")


def _styled(figure: go.Figure, *, height: int, hover: str = "x") -> go.Figure:
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        hovermode=hover,
        dragmode=False,
        # The reader's own choices (a hidden line) outlive a refresh.
        uirevision="keep",
        legend={"orientation": "h", "y": -0.12, "x": 0, "title": None},
    )
    figure.update_xaxes(gridcolor=_GRID, zeroline=False, automargin=True)
    figure.update_yaxes(gridcolor=_GRID, zeroline=False, automargin=True)
    return figure

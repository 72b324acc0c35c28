"""A backtest as one page of HTML that needs nothing else: the alerts in a table, and the price around them."""

from __future__ import annotations

import html
from pathlib import Path

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from kernel.errors import UserError
from movers.backtest.run import Outcome, lines
from processors.backtest import Record
from schemas.units import datetime_from_micros, window_label
from schemas.words import EpisodeState

MARKETS_SHOWN = 20
_COLOURS: dict[EpisodeState, str] = {"confirmed": "#1a7f37", "reverted": "#9a6700", "detected": "#57606a"}


def write(outcome: Outcome, path: Path) -> None:
    """Writes the page.

    Raises:
        UserError: the file cannot be written.
    """
    by_market: dict[str, list[Record]] = {}
    for record in outcome.records:
        by_market.setdefault(record.market_id, []).append(record)
    busiest = sorted(by_market, key=lambda name: (-len(by_market[name]), name))[:MARKETS_SHOWN]
    charts = [_chart(name, *outcome.prices[name], by_market[name]) for name in busiest]
    summary = "".join(f"<li>{html.escape(line)}</li>" for line in lines(outcome))
    body = "\n".join(chart.to_html(full_html=False, include_plotlyjs=False) for chart in charts)
    text = f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Backtest</title>
<style>body{{font:15px system-ui;max-width:1100px;margin:2em auto;padding:0 1em}}table{{border-collapse:collapse;
width:100%}}td,th{{border-bottom:1px solid #ddd;padding:.3em .5em;text-align:left;vertical-align:top}}</style>
<script>{get_plotlyjs()}</script><h1>Backtest</h1><ul>{summary}</ul>{body}
<table><tr><th>Detected (UTC)<th>Market<th>Rule<th>Windows<th>Move<th>Stage<th>Why</tr>{_rows(outcome)}</table></html>
"""
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error


def _chart(name: str, times_us: list[int], prices: list[float], records: list[Record]) -> go.Figure:
    figure = go.Figure()
    moments = [datetime_from_micros(at) for at in times_us]
    figure.add_scatter(x=moments, y=[p * 100 for p in prices], mode="lines", line={"shape": "hv"}, name="price, %")
    for stage, colour in _COLOURS.items():
        of_stage = [r for r in records if _stage(r) == stage]
        if of_stage:
            figure.add_scatter(
                x=[datetime_from_micros(r.detected_us) for r in of_stage],
                y=[r.price_ppm / 10_000 for r in of_stage],
                mode="markers",
                marker={
                    "color": colour,
                    "size": 11,
                    "symbol": ["triangle-up" if r.direction == "up" else "triangle-down" for r in of_stage],
                },
                text=[html.escape(r.reasons[0]) for r in of_stage],
                name=stage,
            )
    figure.update_layout(title=html.escape(name), height=320, margin={"t": 40, "b": 20, "l": 40, "r": 20})
    return figure


def _stage(record: Record) -> EpisodeState:
    if record.confirmed_us is not None:
        return "confirmed"
    return "reverted" if record.reverted_us is not None else "detected"


def _rows(outcome: Outcome) -> str:
    return "".join(
        f"<tr><td>{datetime_from_micros(r.detected_us):%Y-%m-%d %H:%M:%S}<td>{html.escape(r.market_id)}"
        f"<td>{html.escape(r.rule)}<td>{', '.join(window_label(w) for w in r.windows_s)}<td>{r.move_pp:+.1f} pp"
        f"<td>{_stage(r)}{', across a gap' if r.across_gap else ''}<td>{html.escape(r.reasons[-1])}</tr>"
        for r in outcome.records
    )

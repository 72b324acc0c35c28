"""`movers pairs …`: candidates, verdicts, and what confirmed pairs do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from movers.invocation import command_settings
from movers.options import JsonFlag

app = typer.Typer(help="The same event on two venues.", no_args_is_help=True)

PairsFile = Annotated[Path, typer.Option("--file", metavar="FILE", help="Where verdicts on pairs stand (CSV).")]
HoursOption = Annotated[float, typer.Option(min=0.1, max=336, help="How far back to look.")]
NoteOption = Annotated[str, typer.Option(help="Why.")]


@app.command("suggest", epilog="Example: movers pairs suggest --least 0.85")
def suggest(
    file: PairsFile = Path("pairs.csv"),
    least: Annotated[float, typer.Option(min=0, max=1, help="Confidence that a candidate needs.")] = 0.75,
    as_json: JsonFlag = False,
) -> None:
    """Show open markets of two venues that may be the same event; they may still settle differently."""
    from movers import console
    from movers.pairs import stored

    console.print_rows(stored.suggested(command_settings(), file, least), as_json=as_json)


@app.command("confirm", epilog="Example: movers pairs confirm POLY:0x12… KALSHI:KXFED-26DEC-H0")
def confirm(a: str, b: str, file: PairsFile = Path("pairs.csv"), note: NoteOption = "") -> None:
    """Note that two markets are the same event."""
    from movers.pairs import stored

    stored.say(file, "confirmed", a, b, note)


@app.command("refuse", epilog="Example: movers pairs refuse POLY:0x12… KALSHI:KXFED-26DEC-H0 --note 'other rules'")
def refuse(a: str, b: str, file: PairsFile = Path("pairs.csv"), note: NoteOption = "") -> None:
    """Note that two markets are not the same event."""
    from movers.pairs import stored

    stored.say(file, "refused", a, b, note)


@app.command("show", epilog="Example: movers pairs show --hours 24 --json")
def show(file: PairsFile = Path("pairs.csv"), hours: HoursOption = 24.0, as_json: JsonFlag = False) -> None:
    """Show confirmed pairs: both quotes with their age, how far apart, who moves first. No claim of a free profit."""
    from movers import console
    from movers.pairs import stored

    console.print_rows(stored.shown(command_settings(), file, hours), as_json=as_json)


@app.command("publish", epilog="Example: movers pairs publish --hours 72")
def publish(file: PairsFile = Path("pairs.csv"), hours: HoursOption = 24.0) -> None:
    """Write the verdicts, and who moves first, into the store, where the dashboard finds them."""
    from movers.pairs import published

    confirmed, over = published.publish(command_settings(), file, hours)
    typer.echo(f"{confirmed} confirmed pairs published, {over} that were published before are over", err=True)


@app.command("alerts", epilog="Example: movers pairs alerts --hours 6")
def alerts(file: PairsFile = Path("pairs.csv"), hours: HoursOption = 24.0, as_json: JsonFlag = False) -> None:
    """Show alerts of confirmed pairs, and whether the other venue went along."""
    from movers import console
    from movers.pairs import stored

    console.print_rows(stored.alerts(command_settings(), file, hours), as_json=as_json)


@app.command("moves", epilog="Example: movers pairs moves --window 15m --json")
def moves(
    window: Annotated[str, typer.Option(help="5m, 15m, 1h or 24h.")] = "1h",
    as_json: JsonFlag = False,
) -> None:
    """Show how far the markets of published pairs have moved apart over a window, the furthest first."""
    from movers import console
    from movers.pairs import published

    console.print_rows(published.moves(command_settings(), window), as_json=as_json)

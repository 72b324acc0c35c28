"""Options that several commands take, and how their words are read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from kernel.errors import UserError

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]
ForOption = Annotated[float | None, typer.Option("--for", metavar="SECONDS", help="Stop by itself after so long.")]
ReportOption = Annotated[Path | None, typer.Option("--report", metavar="FILE", help="Write a report of the run.")]
VerboseFlag = Annotated[bool, typer.Option("--verbose", help="Show every log line, not only warnings.")]
PortOption = Annotated[int | None, typer.Option("--port", help="Port of the dashboard.")]


def duration_s(option: str, text: str) -> float:
    """Seconds that a duration like 90s, 10m, 2h or 1d lasts.

    Raises:
        UserError: it is none.
    """
    found = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if found is None:
        raise UserError(f"{option} wants a duration like 90s, 10m, 2h or 1d, not {text!r}")
    return int(found[1]) * {"s": 1, "m": 60, "h": 3_600, "d": 86_400}[found[2]]

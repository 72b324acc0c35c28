"""Benchmarks: each module measures one thing and prints a table with ratios; `python -m bench` runs them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
"""Where the JSON goes; not in git."""


def write(path: Path, result: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> str:
    """Writes a result as JSON; returns its text."""
    text = json.dumps(result, indent=2, default=float)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", "utf-8")
    return text

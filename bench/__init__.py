"""Benchmarks: each module measures one thing and prints a table with ratios; `python -m bench` runs them."""

from pathlib import Path

RESULTS = Path(__file__).parent / "results"
"""Where the JSON goes; not in git."""

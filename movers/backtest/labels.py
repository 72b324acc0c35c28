"""Labelled jumps, as a file tells them.

A labels file is JSON lines (or one JSON list) or CSV. Each label has `market` and an instant (`ts_us`, or `ts` in epoch
seconds or ISO 8601); optionally `direction` (up, down), or `price_before` and `price_after` that tell it. What the
simulator writes with `--truth` is such a file. So is a list of what was looked at (`docs/data/looked_at.csv`): where
there is `seen`, only rows that say *real* are labels. A label that stands twice counts once.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, cast

from kernel.errors import UserError
from movers.backtest.csv_rows import instant_us
from schemas.words import Direction


@dataclass(frozen=True, slots=True)
class Label:
    """One jump that was there. `size_pp` and `direction` None: not told."""

    market_id: str
    ts_us: int
    direction: Direction | None
    size_pp: float | None


def read_labels(path: Path) -> list[Label]:
    """The labels of a file.

    Raises:
        UserError: it cannot be read, or a line is no label; names file and line.
    """
    try:
        text = path.read_text("utf-8-sig")
        rows = _rows(text)
        labels = []
        for number, row in enumerate(rows, start=1):
            try:
                label = _label(row)
            except (KeyError, ValueError, TypeError, OverflowError) as error:
                what = f"no {error}" if isinstance(error, KeyError) else str(error)
                raise UserError(f"labels {path}, row {number}: {what}") from error
            if label is not None:
                labels.append(label)
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"labels {path}: {error}") from error
    return list(dict.fromkeys(labels))


def _rows(text: str) -> list[Any]:
    start = text.lstrip()[:1]
    if start == "[":
        return list(json.loads(text))
    if start == "{":
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    reader = csv.DictReader(io.StringIO(text))
    rows = list(reader)
    if not rows and "market" not in (reader.fieldnames or ()):
        raise ValueError("no column market")
    return rows


def _label(row: Any) -> Label | None:
    """None for a line of truth without a price on one side, which nobody could see, and for what was not *real*."""
    if not isinstance(row, Mapping):
        raise TypeError(f"no label: {row!r:.40}")
    if row.get("seen") not in (None, "", "real"):
        return None
    market = row["market"]
    if market in (None, ""):
        raise ValueError("no market")
    ts_us = int(row["ts_us"]) if row.get("ts_us") not in (None, "") else instant_us(str(row["ts"]))
    word = row.get("direction") or None
    if word not in (None, "up", "down"):
        raise ValueError(f"direction {word!r}: up or down")
    direction = cast("Direction | None", word)
    size_pp: float | None = None
    if "price_before" in row and "price_after" in row:
        if row["price_before"] in (None, "") or row["price_after"] in (None, ""):
            return None
        change_pp = (float(row["price_after"]) - float(row["price_before"])) * 100
        if not isfinite(change_pp):
            raise ValueError(f"prices {row['price_before']} and {row['price_after']}: numbers")
        size_pp, direction = abs(change_pp), direction or ("up" if change_pp > 0 else "down")
    return Label(str(market), ts_us, direction, size_pp)

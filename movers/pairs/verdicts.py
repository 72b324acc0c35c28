"""What people said of candidates: a CSV file `verdict,market_a,market_b,note`, to be kept under version control."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from kernel.errors import UserError

Verdict = Literal["confirmed", "refused"]
VERDICTS = get_args(Verdict)

_COLUMNS = ("verdict", "market_a", "market_b", "note")

Key = tuple[str, str]
"""Two markets' ids, the smaller first."""


@dataclass(frozen=True, slots=True)
class Said:
    """One verdict and why."""

    verdict: Verdict
    note: str


def key_of(a: str, b: str) -> Key:
    """The key of two markets, in whatever order."""
    return (a, b) if a < b else (b, a)


def read(path: Path) -> dict[Key, Said]:
    """Every pair's last verdict; none where the file is not there yet.

    Raises:
        UserError: it cannot be read, or a line is none; names file and line.
    """
    if not path.exists():
        return {}
    found: dict[Key, Said] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for number, row in enumerate(csv.DictReader(file), start=1):
                verdict, a, b = row.get("verdict"), row.get("market_a"), row.get("market_b")
                if verdict not in VERDICTS or not a or not b or a == b:
                    raise ValueError(f"row {number}: wants {', '.join(_COLUMNS)}; a verdict is {' or '.join(VERDICTS)}")
                found[key_of(a, b)] = Said("confirmed" if verdict == "confirmed" else "refused", row.get("note") or "")
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"pairs {path}: {error}") from error
    return found


def confirmed(said: Mapping[Key, Said]) -> list[Key]:
    """The pairs that are one event, in their order."""
    return [pair for pair, one in sorted(said.items()) if one.verdict == "confirmed"]


def write(path: Path, verdicts: Mapping[Key, Said]) -> None:
    """Writes all verdicts, in order of the pairs.

    Raises:
        UserError: it cannot be written.
    """
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(_COLUMNS)
            rows.writerows((said.verdict, *pair, said.note) for pair, said in sorted(verdicts.items()))
    except OSError as error:
        raise UserError(f"pairs {path}: {error.strerror}") from error

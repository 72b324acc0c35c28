"""The reviewed lines of each payload: what mappers and frame readers make of it. Kept in `<venue>/expected/*.json`.

After a wanted change: `python -m tests.producers.reviewed` writes the files anew; then read the difference.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.payloads import present


def _file(venue: str, payload: Path) -> Path:
    return Path(__file__).parent / venue / "expected" / f"{payload.stem}.json"


def reviewed(venue: str, payload: Path) -> list[str]:
    """The reviewed lines of a payload."""
    lines: list[str] = json.loads(_file(venue, payload).read_text("utf-8"))
    return lines


def _write(venue: str, names: Sequence[str], lines_of: Callable[[Path], list[str]]) -> None:
    for payload in present(venue, names):
        text = json.dumps(lines_of(payload), indent=1, ensure_ascii=False)
        _file(venue, payload).write_text(text + "\n", "utf-8")


def main() -> None:
    """Writes the files of all payloads that are at hand anew."""
    from tests.producers.kalshi import fixtures as kalshi
    from tests.producers.kalshi import test_frames as kalshi_frames
    from tests.producers.polymarket import fixtures as polymarket
    from tests.producers.polymarket import test_frames as polymarket_frames

    _write("kalshi", kalshi.NAMES, kalshi.lines_of)
    _write("kalshi", kalshi_frames.NAMES, kalshi_frames.lines_of)
    _write("polymarket", polymarket.NAMES, polymarket.lines_of)
    _write("polymarket", polymarket_frames.NAMES, polymarket_frames.lines_of)


if __name__ == "__main__":
    main()

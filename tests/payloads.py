"""Where venues' payloads are: pages made up here, one row for each trap, and recorded ones where they are at hand.

Made ones stand in `tests/producers/<venue>/payloads`; recorded ones in `../shared/fixtures/<venue>`, beside the
checkout, which not every clone has. Tests over payloads run over all that are there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

_TESTS = Path(__file__).resolve().parent
RECORDED = _TESTS.parents[1] / "shared" / "fixtures"
HAS_RECORDED = RECORDED.is_dir()


def made(venue: str) -> Path:
    """Folder of the payloads that are made up here."""
    return _TESTS / "producers" / venue / "payloads"


def folders(venue: str) -> list[Path]:
    """Folders with payloads of a venue: the made ones first."""
    return [made(venue), *([RECORDED / venue] if HAS_RECORDED else [])]


def present(venue: str, names: Sequence[str]) -> list[Path]:
    """The files of these names that are at hand."""
    return [folder / name for folder in folders(venue) for name in names if (folder / name).is_file()]


def file_name(path: Path) -> str:
    """How a parametrised test calls a payload."""
    return path.name

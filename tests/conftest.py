"""Fixtures that several test folders share."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import settings

from tests.payloads import HAS_RECORDED, RECORDED

# A busy machine is no fault of an example. The same examples every time: what stands is judged by what it is, not by
# luck; `--hypothesis-profile random` looks for new ones.
settings.register_profile("random", deadline=None)
settings.register_profile("seeded", deadline=None, derandomize=True)
settings.load_profile("seeded")

REPO = Path(__file__).resolve().parent.parent

LONGEST_FIRST = (
    "e2e/test_recording",
    "producers/test_http_ledger",
    "chaos",
    "producers",
    "e2e",
    "processors",
    "movers",
    "sinks",
    "examples",
    "ops",
    "browser",
    "dashboard",
)
"""How paths begin of what takes minutes, so that one that computes runs beside one that waits. All else takes seconds,
and fills what is left at the end of a run."""


@pytest.fixture(scope="session")
def repo_dir() -> Path:
    """The checkout's root."""
    return REPO


def pytest_report_header() -> str:
    """Says whether the larger second pass, over recorded payloads, is possible here."""
    if HAS_RECORDED:
        return f"payloads: those made up here, and the recorded ones in {RECORDED.parent}"
    return "payloads: those made up here; no ../shared beside the checkout, so none that were recorded"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Side by side, no long file begins when all the others are done; what shares a folder's servers stays together."""
    if hasattr(config, "workerinput"):  # one of pytest-xdist's workers
        items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    path = item.nodeid.removeprefix("tests/")
    return next((turn for turn, begin in enumerate(LONGEST_FIRST) if path.startswith(begin)), len(LONGEST_FIRST))


@pytest.fixture(autouse=True)
def _logs_as_they_were() -> Iterator[None]:
    """A command run inside the test's process sets up its logs; the next test must not inherit its level."""
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.configure(**before)
    structlog.contextvars.clear_contextvars()
    root.handlers[:] = handlers
    root.setLevel(level)

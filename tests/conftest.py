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


@pytest.fixture(scope="session")
def repo_dir() -> Path:
    """The checkout's root."""
    return REPO


def pytest_report_header() -> str:
    """Says whether the larger second pass, over recorded payloads, is possible here."""
    if HAS_RECORDED:
        return f"payloads: those made up here, and the recorded ones in {RECORDED.parent}"
    return "payloads: those made up here; no ../shared beside the checkout, so none that were recorded"


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

"""Fixtures that several test folders share."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

REPO = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repo_dir() -> Path:
    """The checkout's root."""
    return REPO


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Real payloads and recordings kept beside the checkout; tests that need them are skipped where they are absent."""
    path = REPO.parent / "shared"
    if not (path / "fixtures").is_dir():
        pytest.skip("no ../shared beside the checkout: real fixtures and recordings are not available here")
    return path


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

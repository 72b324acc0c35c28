"""Fixtures that several test folders share."""

from __future__ import annotations

from pathlib import Path

import pytest

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

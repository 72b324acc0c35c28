"""Fixtures of the board's tests."""

from __future__ import annotations

import pytest

from tests.dashboard.fixtures import database
from tests.stack.processes import stack_dir, warehouse

__all__ = ["Clock", "clock", "database", "stack_dir", "warehouse"]


class Clock:
    """Seconds that pass when told."""

    now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()

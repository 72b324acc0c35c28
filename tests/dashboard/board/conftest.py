"""Fixtures of the board's tests."""

from __future__ import annotations

from tests.dashboard.fixtures import database
from tests.stack.processes import stack_dir, warehouse

__all__ = ["database", "stack_dir", "warehouse"]

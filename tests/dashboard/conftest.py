"""Fixtures of the dashboard's tests."""

from __future__ import annotations

from tests.dashboard.fixtures import app_environment, begun, database, empty, seeded, young
from tests.stack.processes import stack_dir, warehouse

__all__ = ["app_environment", "begun", "database", "empty", "seeded", "stack_dir", "warehouse", "young"]

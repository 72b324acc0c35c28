"""A store for what the backtest reads from it."""

from tests.sinks.conftest import (
    database,
    empty_database,
    migrated,
    registry,
    stack_dir,
    store,
    warehouse,
    warehouse_port,
)

__all__ = ["database", "empty_database", "migrated", "registry", "stack_dir", "store", "warehouse", "warehouse_port"]

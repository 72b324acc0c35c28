"""A store for what a digest is made of."""

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

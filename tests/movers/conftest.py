"""Fixtures of the one-machine stack, and a store with our tables."""

from __future__ import annotations

from tests.sinks.conftest import database, empty_database, migrated, store, warehouse_port
from tests.stack.processes import kafka_stack, registry, stack_dir, warehouse

__all__ = [
    "database",
    "empty_database",
    "kafka_stack",
    "migrated",
    "registry",
    "stack_dir",
    "store",
    "warehouse",
    "warehouse_port",
]

"""Fixtures of the one-machine stack."""

from __future__ import annotations

from tests.stack.processes import kafka_stack, registry, stack_dir, warehouse

__all__ = ["kafka_stack", "registry", "stack_dir", "warehouse"]

"""Broker and registry of the one-machine stack, shared by this folder's tests."""

from tests.stack.processes import kafka_stack, registry, stack_dir

__all__ = ["kafka_stack", "registry", "stack_dir"]

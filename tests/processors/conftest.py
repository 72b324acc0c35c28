"""The registry of the one-machine stack, shared by this folder's tests."""

from tests.stack.processes import registry, stack_dir

__all__ = ["registry", "stack_dir"]

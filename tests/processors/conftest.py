"""The registry of the one-machine stack, shared by this folder's tests."""

from tests.stack_fixtures import registry, stack_dir

__all__ = ["registry", "stack_dir"]

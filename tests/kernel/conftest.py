"""Parts of the stack for the tests of this folder."""

from tests.stack.processes import kafka_stack, stack_dir

__all__ = ["kafka_stack", "stack_dir"]

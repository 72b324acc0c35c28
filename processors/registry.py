"""Which processors there are. A new one is a file or folder beside this one, and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from kernel.errors import UserError

if TYPE_CHECKING:
    from processors.step import Processor

PROCESSORS: Mapping[str, str] = {
    "analytics": "processors.analytics_app",
}
"""Name to the module whose `PROCESSOR` it is. Names only, so that the supervisor need not load what it starts."""


def load(name: str) -> Processor:
    """The processor of a name.

    Raises:
        UserError: there is none.
    """
    if name not in PROCESSORS:
        raise UserError(f"unknown processor {name}; known: {', '.join(PROCESSORS)}")
    found: Processor = import_module(PROCESSORS[name]).PROCESSOR
    return found

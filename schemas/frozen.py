"""`dataclass`, frozen for the type checker, which sees every assignment; at run time freezing triples the cost of
making one, and the hot path makes a dozen for each tick."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(*, frozen: bool, slots: bool, kw_only: bool = False) -> Any:
        """As `dataclasses.dataclass`, hashable by its fields where it is frozen."""
        return dataclasses.dataclass(slots=slots, kw_only=kw_only, unsafe_hash=frozen)

"""Which parts of a table hold rows that were not read yet.

ClickHouse numbers each insert of a table (a block) and keeps rows in parts: `all_7_9_1` holds what is left of the
inserts 7 to 9. A part never changes; merges put neighbours together and keep the range. So what was read is known by
ranges alone: no clock, no order of arrival. An insert that is seen late, after others with higher numbers, lies in a
part whose range was not read; a merge of parts that were all read tells nothing new.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a table: its name, the inserts it holds the rows of, both ends included, and how many rows."""

    name: str
    first: int
    last: int
    rows: int

    @classmethod
    def named(cls, name: str, rows: int) -> Part:
        """The part of this name: partition_first_last_level, and a mutation's number if there was one."""
        _, first, last, *_ = name.split("_")
        return cls(name, int(first), int(last), rows)

    def holds(self, other: Part) -> bool:
        """Whether all inserts of the other are in this one."""
        return self.first <= other.first and other.last <= self.last


def unread(parts: Collection[Part], read: Collection[Part]) -> list[Part]:
    """Those parts that hold an insert which none of the read ones does.

    Numbers that no insert has are taken for inserts: the part is read once more than needed.
    """
    return [part for part in parts if not _is_made_of(part, [other for other in read if part.holds(other)])]


def is_lost(read: Collection[Part], parts: Collection[Part]) -> bool:
    """Whether a part that was read is neither there nor in another: rows went, and may come back under its number."""
    return not all(any(part.holds(other) for part in parts) for other in read)


def _is_made_of(part: Part, pieces: Sequence[Part]) -> bool:
    following = part.first
    for piece in sorted(pieces, key=lambda piece: piece.first):
        if piece.first != following:
            return False
        following = piece.last + 1
    return following == part.last + 1

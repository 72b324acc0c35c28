"""Columns that hold the newest row of each key, as a ReplacingMergeTree read with FINAL gives it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
NEVER = np.iinfo(np.int64).min
"""The version of a key that has no row."""


def grown(column: Array, keys: int, fill: int = 0) -> Array:
    """The column itself when it has room for so many keys; else a longer one, by a quarter more than needed."""
    missing = keys - len(column)
    if missing <= 0:
        return column
    return np.append(column, np.full(missing + keys // 4, fill, column.dtype))


class Numbers:
    """Names, numbered from 0 in the order in which they come."""

    def __init__(self) -> None:
        self._numbers: defaultdict[str, int] = defaultdict()
        self._numbers.default_factory = self._numbers.__len__  # a new name gets the next number
        self.names: list[str] = []

    def __len__(self) -> int:
        return len(self.names)

    def of(self, names: Iterable[str]) -> Array:
        """The number of each name; new names get one."""
        numbers = self._numbers
        found = np.fromiter(map(numbers.__getitem__, names), np.int64)
        if len(numbers) > len(self.names):
            self.names.extend(islice(numbers, len(self.names), None))
        return found

    def known(self, names: Iterable[str]) -> Array:
        """The number of each name, -1 for a name that has none."""
        numbers = self._numbers
        return np.fromiter((numbers.get(name, -1) for name in names), np.int64)


class NewestRows:
    """One row a key, as columns that a key's number indexes. Columns may be longer than there are keys.

    Args:
        columns: name to dtype. `version` and `block` are there too: which row is newest is told by them.
    """

    def __init__(self, columns: Mapping[str, str]) -> None:
        self._columns: dict[str, Array] = {name: np.empty(0, dtype) for name, dtype in columns.items()}
        self.version: Array = np.empty(0, np.int64)
        self._block: Array = np.empty(0, np.int64)

    def __getitem__(self, column: str) -> Array:
        return self._columns[column]

    def __contains__(self, column: str) -> bool:
        return column in self._columns

    def reserve(self, keys: int) -> None:
        """Makes room for keys below `keys`, and a quarter more when it has to move."""
        self.version = grown(self.version, keys, NEVER)
        self._block = grown(self._block, keys)
        self._columns = {name: grown(column, keys) for name, column in self._columns.items()}

    def put(self, keys: Array, versions: Array, blocks: Array, columns: Mapping[str, Array]) -> None:
        """Takes rows in, in any order and any number of times.

        The highest version of a key counts, and of equal ones that of the later insert.

        Args:
            blocks: the last insert in the part that each row was read from. Parts either lie apart or within each
                other, and the outer one is the merge of the inner: so the higher number is right in both cases.
        """
        held = self.version[keys]
        is_newer = (versions > held) | ((versions == held) & (blocks >= self._block[keys]))
        at = np.flatnonzero(is_newer)
        at = at[np.lexsort((blocks[at], versions[at]))]  # numpy writes in order: the last row of a key stays
        keys = keys[at]
        self.version[keys] = versions[at]
        self._block[keys] = blocks[at]
        for name, column in self._columns.items():
            column[keys] = columns[name][at]

"""Columns of newest rows against a dictionary that is told the same, one row at a time."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dashboard.board.newest import NEVER, NewestRows, Numbers

_ROW = st.tuples(st.integers(0, 5), st.integers(-3, 3), st.integers(0, 3))


def test_names_keep_their_numbers() -> None:
    numbers = Numbers()

    assert numbers.of(["a", "b", "a"]).tolist() == [0, 1, 0]
    assert numbers.of(["c", "b"]).tolist() == [2, 1]
    assert numbers.known(["c", "d"]).tolist() == [2, -1]
    assert numbers.names == ["a", "b", "c"]


@given(st.lists(st.lists(_ROW, max_size=8), max_size=6))
def test_the_highest_version_counts_and_of_equal_ones_the_later_insert(
    batches: list[list[tuple[int, int, int]]],
) -> None:
    rows, newest, number = NewestRows({"value": "i8"}), dict[int, tuple[int, int, int]](), 0
    for batch in batches:
        numbers = list(range(number, number + len(batch)))
        number += len(batch)
        keys, versions, blocks = (np.array([row[i] for row in batch], np.int64) for i in range(3))
        rows.reserve(int(keys.max(initial=-1)) + 1)
        rows.put(keys, versions, blocks, {"value": np.array(numbers, np.int64)})
        for (key, version, block), value in zip(batch, numbers, strict=True):
            newest[key] = max(newest.get(key, (NEVER, 0, 0)), (version, block, value))

    held = {
        key: (rows.version[key], rows["value"][key]) for key in range(len(rows.version)) if rows.version[key] > NEVER
    }
    assert held == {key: (version, value) for key, (version, _, value) in newest.items()}


def test_rows_that_are_put_again_change_nothing() -> None:
    rows = NewestRows({"value": "f8"})
    rows.reserve(2)
    keys, at, values = np.array([0, 1]), np.array([10, 20]), {"value": np.array([1.5, np.nan])}

    for _ in range(2):
        rows.put(keys, at, at, values)
    rows.put(keys, at - 1, at + 5, {"value": np.array([7.0, 7.0])})

    assert rows["value"][0] == 1.5
    assert np.isnan(rows["value"][1])

from __future__ import annotations

import math
import struct
from bisect import bisect_right
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from processors.analytics.points import UNKNOWN_TRADES, Points, from_columns

Row = tuple[int, int, int, int, float, int]

ROWS = st.tuples(
    st.integers(0, 1 << 62),
    st.integers(-(1 << 62), 1 << 62),
    st.integers(0, 1_000_000),
    st.integers(0, 5),
    st.floats(0, 1e12),
    st.integers(0, 1 << 40),
)
NEW = st.sampled_from(["added", "ended"])
CHANGES = st.lists(
    st.one_of(
        st.tuples(NEW, ROWS),
        st.tuples(NEW, ROWS),
        st.tuples(st.just("settled"), st.none()),
        st.tuples(st.just("since"), st.tuples(st.floats(0, 1), st.integers(0, 9), st.integers(0, 9))),
        st.tuples(st.just("only"), st.sets(st.integers(0, 30))),
        st.tuples(st.just("telling"), st.tuples(st.booleans(), st.booleans())),
    ),
    max_size=40,
)


def told(row: Row, has_usd: bool, has_trades: bool) -> Row:
    """A row as rows are that tell so much."""
    return (*row[:4], row[4] if has_usd else math.nan, row[5] if has_trades else UNKNOWN_TRADES)


def changed(points: Points, rows: list[Row], change: str, by: Any) -> tuple[Points, list[Row]]:
    """Points and plain rows, both with one change."""
    has_usd, has_trades = points.has_usd, points.has_trades
    match change:
        case "added":
            return points.added(*by), [*rows, told(by, has_usd, has_trades)]
        case "ended":
            return points.ended(*by), [*rows[:-1], told(by, has_usd, has_trades)]
        case "settled":
            return points.settled(), rows
        case "since":
            index = int(by[0] * (len(rows) - 1))
            return points.since(index, *by[1:]), [(*by[1:], *rows[index][2:]), *rows[index + 1 :]]
        case "only":
            kept = [index for index in sorted(by) if index < len(rows)] or [0]
            return points.only(kept), [rows[index] for index in kept]
        case _:
            return points.telling(*by), [told(row, has_usd and by[0], has_trades and by[1]) for row in rows]


def rows_of(points: Points) -> list[Row]:
    return [
        (points.ts_us(i), points.area(i), points.price_ppm(i), points.basis(i), points.usd(i), points.trades(i))
        for i in range(points.count)
    ]


@given(ROWS, CHANGES, st.booleans(), st.booleans())
def test_points_are_a_list_of_rows_whatever_is_done_and_those_before_stay(
    first: Row, changes: list[tuple[str, Any]], has_usd: bool, has_trades: bool
) -> None:
    points = Points(b"", b"", has_usd, has_trades).added(*first)
    rows = [told(first, has_usd, has_trades)]
    before = []
    for change, by in changes:
        before.append((points, rows))
        points, rows = changed(points, rows, change, by)

    for some, theirs in [*before, (points, rows)]:
        assert repr(rows_of(some)) == repr(theirs)  # in which NaN is NaN
        assert some.count - some.in_body >= 1
        again = Points(some.body, some.tail, some.has_usd, some.has_trades)
        assert repr(rows_of(again)) == repr(theirs)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=40), st.integers(-1, 51), st.booleans())
def test_the_point_in_force_is_the_last_that_is_not_later(times: list[int], then_us: int, is_settled: bool) -> None:
    times.sort()
    points = Points(b"", b"", has_usd=False, has_trades=False)
    for ts_us in times:
        points = points.added(ts_us, 0, 0, 0, math.nan, UNKNOWN_TRADES)

    assert (points.settled() if is_settled else points).as_of(then_us) == bisect_right(times, then_us) - 1


@given(st.lists(ROWS, max_size=20), st.booleans(), st.booleans())
def test_what_was_stored_in_columns_is_read_as_rows(rows: list[Row], has_usd: bool, has_trades: bool) -> None:
    kinds = "qqib" + "d" * has_usd + "q" * has_trades
    shown = [row[:4] + row[4:5] * has_usd + row[5:] * has_trades for row in rows]
    columns = b"".join(
        struct.pack(f"<{len(rows)}{kind}", *[row[place] for row in shown]) for place, kind in enumerate(kinds)
    )

    found = Points(b"", from_columns(columns, len(rows), has_usd, has_trades), has_usd, has_trades)

    assert repr(rows_of(found)) == repr([told(row, has_usd, has_trades) for row in rows])

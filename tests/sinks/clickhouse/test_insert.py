"""A batch stands in the store once, however often its insert was tried and whoever repeats it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.errors import StoreAwayError
from schemas.events import Tick
from sinks.clickhouse import rows as to
from sinks.clickhouse.batch import Batch, Span
from sinks.clickhouse.insert import insert_batch
from sinks.clickhouse.pending import Pending
from sinks.clickhouse.store import Store
from tests.sinks.events import NOON_US, a_bar, a_market, a_move, a_status, a_tick, an_alert

TS, TOKEN = to.SNAPSHOTS.columns.index("ts"), to.SNAPSHOTS.columns.index("token_id")


class Tables:
    """What ClickHouse keeps of inserts: rows by table, and no token twice. `failures` come before the next inserts.

    lost answer: the rows are stored. noted: the token is, and the rows are not, which a crash can leave.
    """

    def __init__(self, *failures: str) -> None:
        self.stored: dict[str, list[to.Row]] = {}
        self.tokens: list[str] = []
        self.failures = list(failures)

    def insert(self, table: to.Table, rows: Sequence[to.Row], token: str) -> None:
        failure = self.failures.pop(0) if self.failures else ""
        if failure == "away":
            raise StoreAwayError("away")
        if token not in self.tokens:
            self.tokens.append(token)
            if failure != "noted":
                self.stored.setdefault(table.name, []).extend(rows)
        if failure:
            raise StoreAwayError(failure)

    def stored_ticks(self, ticks: Sequence[tuple[str, int]]) -> set[tuple[str, int]]:
        return set(ticks) & set(self.ticks())

    def ticks(self) -> list[tuple[str, int]]:
        return [(row[TOKEN], row[TS]) for row in self.stored.get("snapshots", [])]


def until_it_holds(step: Callable[[], Any]) -> None:
    for _ in range(10):
        with suppress(StoreAwayError):
            step()
            return
    raise AssertionError("ten times")


def batch_of(*ticks: Tick) -> Batch:
    return Batch(ticks=list(ticks), tick_places=[(0, offset) for offset in range(len(ticks))])


TICKS = [a_tick(token, NOON_US + i) for i, token in enumerate("ABCA")]
PENDING = Pending("me", 1, 1, {("ticks", 0): Span("t", 0, 3)})
ONCE = [(tick.token_id, tick.ts_event_us) for tick in TICKS]


def insert(tables: Tables, batch: Batch, pending: Pending = PENDING, *, again: bool = False) -> None:
    insert_batch(cast("Store", tables), batch, pending, until_it_holds, again=again)


@pytest.mark.parametrize(
    "failures",
    [(), ("away",), ("lost answer",), ("noted",), ("away", "lost answer"), ("noted", "away"), ("noted", "noted")],
)
def test_each_tick_stands_once_whatever_went_wrong_on_the_way(failures: tuple[str, ...]) -> None:
    tables = Tables(*failures)

    insert(tables, batch_of(*TICKS))

    assert tables.ticks() == ONCE


@given(st.lists(st.sampled_from(["away", "lost answer", "noted"]), max_size=3), st.booleans())
def test_a_successor_that_repeats_a_batch_adds_what_is_missing_and_nothing_else(
    failures: list[str], landed: bool
) -> None:
    tables = Tables(*([] if landed else ["noted"]))
    try:
        insert_batch(cast("Store", tables), batch_of(*TICKS), PENDING, lambda step: step())
    except StoreAwayError:
        assert not landed
    tables.failures = list(failures)

    insert(tables, batch_of(*TICKS), again=True)

    assert tables.ticks() == ONCE


def test_what_is_stored_already_is_left_out_by_its_place() -> None:
    tables = Tables()
    pending = Pending("me", 1, 1, PENDING.spans, skipped=frozenset({(0, 1), (0, 3), (1, 0)}))

    insert(tables, batch_of(*TICKS), pending)

    assert tables.ticks() == [ONCE[0], ONCE[2]]


def test_missing_ticks_go_under_a_token_of_their_own() -> None:
    """Under the batch's own token the store would take them for known, and drop them."""
    tables = Tables("noted")

    insert(tables, batch_of(*TICKS))

    whole, missing = tables.tokens
    assert missing == f"{whole}/missing"


def test_a_table_without_rows_is_not_asked_and_each_other_has_its_own_token() -> None:
    spans = {(topic, 0): Span("e", 0, 0) for topic in ("markets", "moves", "bars", "alerts", "feed.status")}
    moves = {"T1": a_move()}
    batch = Batch(markets=[a_market()], moves=moves, bars=[a_bar()], alerts=[an_alert()], statuses=[a_status()])
    tables = Tables()

    insert(tables, batch, Pending("me", 1, 1, spans))

    counts = {name: len(rows) for name, rows in tables.stored.items()}
    assert counts == {
        "markets": 1, "market_tokens": 2, "ohlcv_1m": 1, "movers_latest": 2, "alerts": 1, "feed_status": 1,
    }  # fmt: skip
    assert len(set(tables.tokens)) == len(counts)

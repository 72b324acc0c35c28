from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import Tick
from sinks.clickhouse.seen import SeenTicks
from sinks.clickhouse.store import NewestTicks
from tests.sinks.events import a_tick

Identity = tuple[str, int]
identities = st.tuples(st.sampled_from(["A", "B", "C"]), st.integers(0, 12))


class Shelf:
    """What a store holds, as a list: a second copy of a tick would show."""

    def __init__(self, stored: Sequence[Identity] = ()) -> None:
        self.stored = list(stored)
        self.questions = 0

    def ask(self, ticks: Sequence[Identity]) -> set[Identity]:
        self.questions += 1
        return set(ticks) & set(self.stored)

    def newest(self, floor: int) -> NewestTicks:
        newest: dict[str, int] = {}
        for token, ts in self.stored:
            if ts >= floor:
                newest[token] = max(newest.get(token, 0), ts)
        return NewestTicks(newest, floor)

    def take(self, seen: SeenTicks, batch: Sequence[Identity]) -> None:
        fresh = seen.new_ones([_tick(identity) for identity in batch], self.ask)
        self.stored += [identity for identity, is_fresh in zip(batch, fresh, strict=True) if is_fresh]


def _tick(identity: Identity) -> Tick:
    return a_tick(*identity)


def test_tokens_that_are_silent_for_a_day_are_forgotten_and_what_they_tell_then_is_looked_up() -> None:
    shelf, seen = Shelf(), SeenTicks(fewest=100)
    seen.restart(shelf.newest(0))
    hour_us = 3_600_000_000

    for hour in range(24 * 30):
        shelf.take(seen, [(f"{hour}/{number}", hour * hour_us) for number in range(10)])

    assert len(seen._newest) <= 2 * 10 * 25
    assert shelf.questions == 0
    shelf.take(seen, [("0/1", 0), ("0/1", 5)])
    assert (shelf.stored[-1], shelf.questions) == (("0/1", 5), 1)


@pytest.mark.parametrize("fewest", [1, 50_000])
@given(
    before=st.lists(identities, unique=True),
    floor=st.integers(0, 14),
    batches=st.lists(st.lists(identities), max_size=6),
    restart_after=st.integers(0, 6),
)
def test_every_token_and_moment_is_stored_exactly_once_in_any_order(
    fewest: int, before: list[Identity], floor: int, batches: list[list[Identity]], restart_after: int
) -> None:
    shelf, seen = Shelf(before), SeenTicks(fewest=fewest, kept_us=3)
    seen.restart(shelf.newest(floor))

    for number, batch in enumerate(batches):
        if number == restart_after:
            seen = SeenTicks(fewest=fewest, kept_us=3)
            seen.restart(shelf.newest(floor))
        shelf.take(seen, batch)

    assert sorted(shelf.stored) == sorted(set(before).union(*batches))


def test_ticks_in_order_ask_the_store_nothing() -> None:
    shelf, seen = Shelf(), SeenTicks()
    seen.restart(shelf.newest(0))

    for minute in range(5):
        shelf.take(seen, [("A", minute), ("B", minute), ("A", minute)])

    assert shelf.questions == 0
    assert len(shelf.stored) == 10


def test_late_ticks_of_a_batch_are_asked_for_together() -> None:
    shelf, seen = Shelf([("A", 3), ("A", 9)]), SeenTicks()
    seen.restart(shelf.newest(0))

    shelf.take(seen, [("A", 3), ("A", 4), ("A", 4), ("A", 5)])

    assert shelf.questions == 1
    assert sorted(shelf.stored) == [("A", 3), ("A", 4), ("A", 5), ("A", 9)]

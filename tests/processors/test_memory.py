"""What is remembered between store and steps; the store is a dict, the processes on a real one are in test_apps."""

from __future__ import annotations

import heapq
import struct
from collections.abc import Sequence
from dataclasses import replace

import pytest

from processors import memory
from processors.memory import KEEP_DAYS, OFTEN, Headers, Memory
from processors.step import Output, Passed, Remembered, Result, Stage
from schemas.topics import MOVES, TICKS
from schemas.units import US_PER_S
from tests.processors.ticks import START_US, make_tick

STAGE = Stage(name="s", input=TICKS, outputs=(MOVES,), state_keys=("a", "b", "c"), seldom=("b",))
DAY_MS = 86_400_000
KEY = b"KALSHI:A"


class Store:
    """Values by market and name, and what was written since one asked."""

    def __init__(self) -> None:
        self.values: dict[tuple[bytes, str], bytes] = {}
        self.written: list[str] = []

    def open(self, key: bytes, published_ms: int) -> _State:
        return _State(self, key)

    def stored(self, after: bytes, count: int) -> list[bytes]:
        return sorted({key for key, name in self.values if name == OFTEN and key > after})[:count]

    def wrote(self) -> list[str]:
        written, self.written = self.written, []
        return written


class _State:
    def __init__(self, store: Store, key: bytes) -> None:
        self._store = store
        self._key = key

    def get_bytes(self, key: str) -> bytes | None:
        return self._store.values.get((self._key, key))

    def set_bytes(self, key: str, value: bytes) -> None:
        self._store.values[self._key, key] = value
        self._store.written.append(key)

    def delete(self, key: str) -> None:
        self._store.values.pop((self._key, key), None)


def nothing(after: bytes, count: int) -> list[bytes]:
    return []


def put(of: Memory, store: Store, remember: Remembered, at_s: float = 0, ms: int = DAY_MS, due_s: int = -1) -> None:
    of.recall(KEY, store.open, ms)
    due_us = None if due_s < 0 else START_US + due_s * US_PER_S
    of.keep(KEY, Result(make_tick(at_s, 500_000), (), remember, False, due_us), (), ms)


def test_a_state_comes_back_part_by_part_after_a_restart() -> None:
    store = Store()
    first = Memory(STAGE, nothing)
    put(first, store, (b"one", b"two", None))
    first.write(store.open)

    again = Memory(STAGE, nothing)

    assert again.recall(KEY, store.open, DAY_MS) == (b"one", b"two", None)
    assert again.recall(b"KALSHI:B", store.open, DAY_MS) == (None, None, None)


def test_what_is_stored_lies_as_every_version_has_written_it() -> None:
    store, of = Store(), Memory(STAGE, nothing)
    put(of, store, (b"one", b"two", None), ms=20_000 * DAY_MS)
    of.write(store.open)

    assert store.values == {(KEY, OFTEN): struct.pack("<Ii3si", 20_000, 3, b"one", -1), (KEY, "b"): b"two"}


def test_what_seldom_changes_is_written_when_it_changed_and_once_a_day() -> None:
    store, of = Store(), Memory(STAGE, nothing)
    put(of, store, (b"1", b"body", None))
    of.write(store.open)
    assert store.wrote() == ["b", OFTEN]

    put(of, store, (b"2", b"body", None))
    of.write(store.open)
    assert store.wrote() == [OFTEN]

    put(of, store, (b"3", b"body", None), ms=2 * DAY_MS)
    of.write(store.open)
    assert store.wrote() == ["b", OFTEN]


def test_a_market_that_was_not_written_for_three_days_leaves_the_store_and_the_memory() -> None:
    store = Store()
    of = Memory(STAGE, store.stored)
    put(of, store, (b"1", b"body", None), ms=10 * DAY_MS)
    of.write(store.open)

    def a_day_with_another_market(day: int) -> None:
        ms = day * DAY_MS
        of.recall(b"KALSHI:B", store.open, ms)
        of.keep(b"KALSHI:B", Result(make_tick(day, 500_000, market_id="KALSHI:B"), (), (b"x", None, None)), (), ms)
        of.look_at_stored(None, store.open)
        of.write(store.open)

    a_day_with_another_market(10 + KEEP_DAYS)
    assert (KEY, OFTEN) in store.values

    a_day_with_another_market(11 + KEEP_DAYS)
    assert {key for key, _ in store.values} == {b"KALSHI:B"}
    assert KEY not in of._known


def test_a_market_that_speaks_again_on_the_day_it_would_leave_stays() -> None:
    store = Store()
    of = Memory(STAGE, store.stored)
    put(of, store, (b"1", None, None), ms=10 * DAY_MS)
    of.write(store.open)
    put(of, store, (b"2", None, None), ms=20 * DAY_MS)

    of.look_at_stored(None, store.open)
    of.write(store.open)

    assert of.recall(KEY, store.open, 20 * DAY_MS)[0] == b"2"
    assert (KEY, OFTEN) in store.values


def test_what_is_stored_is_looked_at_little_by_little_and_all_of_it_once_a_day() -> None:
    store, asked = Store(), list[tuple[bytes, int]]()
    ids = [b"KALSHI:%d" % number for number in range(5)]
    first = Memory(STAGE, nothing)
    for key in ids:
        first.recall(key, store.open, DAY_MS)
        first.keep(key, Result(make_tick(0, 500_000), (), (b"x", None, None)), (), DAY_MS)
    first.write(store.open)

    def stored(after: bytes, count: int) -> list[bytes]:
        asked.append((after, count))
        return store.stored(after, count)

    of = Memory(STAGE, stored)
    for _ in range(4):
        of.look_at_stored(None, store.open, count=2)
    assert [after for after, _ in asked] == [b"", ids[1], ids[3]], "three looks, and no fourth on that day"

    put(of, store, (b"1", None, None), ms=2 * DAY_MS)
    of.look_at_stored(None, store.open, count=2)
    assert asked[-1] == (b"", 2)


def test_many_messages_between_two_checkpoints_are_one_write_and_none_is_none() -> None:
    store, of = Store(), Memory(STAGE, nothing)
    for i in range(5):
        put(of, store, (b"%d" % i, None, None), at_s=i)
    of.write(store.open)
    of.write(store.open)

    assert store.wrote() == [OFTEN]
    assert Memory(STAGE, nothing).recall(KEY, store.open, DAY_MS) == (b"4", None, None)


def test_a_market_of_which_nothing_is_remembered_leaves_the_store() -> None:
    store, of = Store(), Memory(STAGE, nothing)
    put(of, store, (b"1", b"2", b"3"))
    of.write(store.open)
    put(of, store, (None, None, None))
    of.write(store.open)

    assert store.values == {}


def test_beyond_its_room_it_forgets_and_reads_again() -> None:
    store, of = Store(), Memory(STAGE, nothing)
    put(of, store, (b"x" * (memory.ROOM_BYTES + 1), None, None))
    of.write(store.open)

    assert of._known == {}
    assert len(of.recall(KEY, store.open, DAY_MS)[0] or b"") == memory.ROOM_BYTES + 1


def test_beyond_its_room_the_longest_unwritten_leave_and_no_others() -> None:
    store, of, third = Store(), Memory(STAGE, nothing), b"x" * (memory.ROOM_BYTES * 3 // 8)
    for market in (b"A", b"B", b"A", b"C"):
        of.recall(market, store.open, DAY_MS)
        of.keep(market, Result(make_tick(0, 500_000), (), (third, None, None)), (), DAY_MS)
        of.write(store.open)

    assert list(of._known) == [b"A", b"C"]


def test_states_are_packed_at_the_checkpoint_and_unpacked_when_they_are_read() -> None:
    calls = []

    def unpack(parts: Remembered) -> list[bytes | None]:
        calls.append("unpack")
        return [*parts]

    def pack(known: list[bytes | None]) -> Remembered:
        calls.append("pack")
        return tuple(known)

    stage = replace(STAGE, unpack=unpack, pack=pack)
    store, of = Store(), Memory(stage, nothing)

    def message(value: bytes) -> None:
        of.recall(KEY, store.open, DAY_MS)
        of.keep(KEY, Result(make_tick(0, 500_000), (), [value, None, None]), (), DAY_MS)

    message(b"1")
    message(b"2")
    of.write(store.open)
    message(b"3")
    assert calls == ["unpack", "pack"]

    of.write(store.open)
    assert of.recall(KEY, store.open, DAY_MS) == [b"3", None, None]
    assert calls == ["unpack", "pack", "pack"]

    again = Memory(stage, nothing)
    assert again.recall(KEY, store.open, DAY_MS) == again.recall(KEY, store.open, DAY_MS) == [b"3", None, None]
    assert calls == ["unpack", "pack", "pack", "unpack"]


class Clockwork:
    """Tells a market once when its time has come."""

    def __init__(self, due_us: int) -> None:
        self.due_us = due_us
        self.asked: list[tuple[str, int]] = []
        self.published: list[bytes] = []

    def on_time(self, market_id: str, now_us: int, remembered: Remembered) -> Passed:
        self.asked.append((market_id, now_us))
        if remembered[0] == b"told" or now_us < self.due_us:
            return Passed("kalshi", (), remembered, None if remembered[0] == b"told" else self.due_us)
        return Passed("kalshi", (("bars", b"bar"),), (b"told", *remembered[1:]), None)

    def publish(self, key: bytes, outputs: Sequence[Output], headers: Headers, published_ms: int) -> None:
        self.published += [value for _, value in outputs]


def test_a_market_that_goes_quiet_is_told_when_other_markets_show_that_its_time_has_come() -> None:
    store, of, clock = Store(), Memory(STAGE, nothing), Clockwork(START_US + 60 * US_PER_S)
    put(of, store, (b"growing", None, None), due_s=60)

    of.let_time_pass(clock.on_time, store.open, clock.publish)
    assert clock.published == []

    of.recall(b"KALSHI:B", store.open, DAY_MS)
    of.keep(b"KALSHI:B", Result(make_tick(61, 500_000, market_id="KALSHI:B"), (), (b"x", None, None)), (), DAY_MS)
    of.let_time_pass(clock.on_time, store.open, clock.publish)
    of.let_time_pass(clock.on_time, store.open, clock.publish)

    assert clock.published == [b"bar"]
    assert of.recall(KEY, store.open, DAY_MS)[0] == b"told"


def test_another_venues_time_ends_nothing() -> None:
    store, of, clock = Store(), Memory(STAGE, nothing), Clockwork(START_US + 60 * US_PER_S)
    put(of, store, (b"growing", None, None), due_s=60)
    other = make_tick(3600, 500_000, market_id="POLY:B", venue="polymarket")
    of.recall(b"POLY:B", store.open, DAY_MS)
    of.keep(b"POLY:B", Result(other, (), (b"x", None, None)), (), DAY_MS)

    of.let_time_pass(clock.on_time, store.open, clock.publish)

    assert clock.published == []


def test_while_a_venue_is_silent_another_ones_time_touches_nothing_that_waits_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store, of, clock = Store(), Memory(STAGE, nothing), Clockwork(START_US + 60 * US_PER_S)
    put(of, store, (b"growing", None, None), due_s=60)
    other = make_tick(3600, 500_000, market_id="POLY:B", venue="polymarket")
    of.recall(b"POLY:B", store.open, DAY_MS)
    of.keep(b"POLY:B", Result(other, (), (b"x", None, None), False, START_US + 3_660 * US_PER_S), (), DAY_MS)
    taken: list[object] = []
    monkeypatch.setattr(heapq, "heappop", lambda heap: taken.append(heap[0]))

    of.let_time_pass(clock.on_time, store.open, clock.publish)

    assert taken == []


def test_of_two_venues_what_has_waited_longest_is_told_first() -> None:
    store, of, clock = Store(), Memory(STAGE, nothing), Clockwork(START_US)
    for place, due_s in enumerate((63, 61, 62, 64)):
        key, venue = f"{place}", ("kalshi", "polymarket")[place % 2]
        for at_s in (0, 70):
            of.recall(key.encode(), store.open, DAY_MS)
            tick = make_tick(at_s, 500_000, market_id=key, venue=venue)
            known = (b"growing", None, None)
            of.keep(key.encode(), Result(tick, (), known, False, START_US + due_s * US_PER_S), (), DAY_MS)

    of.let_time_pass(clock.on_time, store.open, clock.publish)

    assert [market for market, _ in clock.asked] == ["1", "2", "0", "3"]


def test_markets_whose_time_has_come_at_once_are_told_little_by_little_the_longest_due_first() -> None:
    store, of, clock = Store(), Memory(STAGE, nothing), Clockwork(START_US)
    for place, due_s in enumerate((63, 61, 62)):
        key = f"KALSHI:{place}"
        of.recall(key.encode(), store.open, DAY_MS)
        tick = make_tick(0, 500_000, market_id=key)
        known = (b"growing", None, None)
        of.keep(key.encode(), Result(tick, (), known, False, START_US + due_s * US_PER_S), (), DAY_MS)
    put(of, store, (b"x", None, None), at_s=70)

    of.let_time_pass(clock.on_time, store.open, clock.publish, count=2)
    assert [market for market, _ in clock.asked] == ["KALSHI:1", "KALSHI:2"]

    of.let_time_pass(clock.on_time, store.open, clock.publish, count=2)
    assert [market for market, _ in clock.asked] == ["KALSHI:1", "KALSHI:2", "KALSHI:0"]
    assert clock.published == [b"bar"] * 3


def test_after_a_restart_what_stored_markets_wait_for_is_found_again() -> None:
    store, clock = Store(), Clockwork(START_US + 60 * US_PER_S)
    first = Memory(STAGE, nothing)
    put(first, store, (b"growing", None, None), due_s=60)
    first.write(store.open)

    again = Memory(STAGE, store.stored)
    again.recall(b"KALSHI:B", store.open, DAY_MS)
    again.keep(b"KALSHI:B", Result(make_tick(61, 500_000, market_id="KALSHI:B"), (), (b"x", None, None)), (), DAY_MS)
    again.look_at_stored(clock.on_time, store.open)
    again.let_time_pass(clock.on_time, store.open, clock.publish)

    assert clock.published == [b"bar"]

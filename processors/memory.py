"""What a processor remembers of the markets of one partition, between RocksDB and the steps.

A market's state is read and unpacked once, kept while there is room, and packed and written at the checkpoint: once,
however many messages came in between. Its parts that change often are stored together; those that change seldom apart
(`Stage.seldom`).

State that was not written for `KEEP_DAYS` leaves the store and its changelog: once a day all that is stored is looked
at, little by little. A silent market's last bar, closed by the time of others, is its last writing. Quix could do it
(`ttl`), but its index of what expires when costs three more look-ups at each writing: at 2,000 ticks a second of 4,000
markets a fifth of the processor's time (2026-11-29). A store that began under it keeps that index until it is wiped,
and its old values still expire: so what changes seldom is written again each day that its market lives.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from librt.strings import BytesWriter, read_i32_le, write_i32_le

from processors.step import Known, OnTime, Output, Passed, Remembered, Result, Stage

KEEP_DAYS = 3
"""Longer than any window, and than a market is ever silent between two sweeps."""

ROOM_BYTES = 64 << 20
"""So many bytes of a partition's states, as they are stored, are remembered; beyond, the longest unwritten leave. In
memory a state of 440 bytes takes 1.6 kB (2026-11-30)."""

AT_ONE_CHECKPOINT = 500
"""So many markets of a partition are looked at because time has passed; messages wait meanwhile. At a minute's turn the
bars of all quiet markets are due: 200,000 of them, in four partitions, are done within 25 s, and no alert waits for it.
"""

OFTEN = "often"
_DAY_MS = 86_400_000
_NUMBER_BYTES: Final = 4

Headers = Sequence[tuple[str, bytes]]


class State(Protocol):
    """One market's values in the store, as Quix has them."""

    def get_bytes(self, key: str) -> bytes | None:
        """A value, or None."""

    def set_bytes(self, key: str, value: bytes) -> None:
        """Writes a value."""

    def delete(self, key: str) -> None:
        """Removes a value."""


Open = Callable[[bytes, int], State]
"""A market's values, given its key and the time of its newest message in milliseconds."""

Stored = Callable[[bytes, int], Sequence[bytes]]
"""Markets that have a state in the store: so many, in their order, from behind one on. Fewer than asked for are the
last."""

Publish = Callable[[bytes, Sequence[Output], Headers, int], None]


class _Market:
    """One market as it is remembered.

    `seldom`: what the store has of its seldom parts; `size`: bytes of all parts there; `day`: when the seldom ones were
    written.
    """

    __slots__ = ("day", "due_us", "headers", "known", "published_ms", "seldom", "size")

    def __init__(self, known: Known, seldom: Remembered, size: int, day: int) -> None:
        self.known = known
        self.seldom = seldom
        self.size = size
        self.day = day
        self.due_us: int | None = None
        self.headers: Headers = ()
        self.published_ms = 0


class Memory:
    """The markets of one partition.

    Args:
        stage: whose state it is.
        stored: whose state there is.
    """

    def __init__(self, stage: Stage, stored: Stored) -> None:
        self._stage = stage
        self._often = [i for i, name in enumerate(stage.state_keys) if name not in stage.seldom]
        self._seldom = [stage.state_keys.index(name) for name in stage.seldom]
        self._known: dict[bytes, _Market] = {}
        """The longest unwritten first."""
        self._changed: set[bytes] = set()
        self._bytes = 0
        self._dues: dict[str, list[tuple[int, bytes]]] = {}
        """What waits for each venue's time, a heap each: one that is silent is not looked through for another."""
        self._newest_us: dict[str, int] = {}
        self._newest_ms = 0
        self._stored = stored
        self._looked_until = b""
        self._looked_at_all_on: int | None = None

    def recall(self, key: bytes, open_state: Open, published_ms: int) -> Known:
        """What is known of a market."""
        market = self._known.get(key) or self._read(key, open_state, published_ms)
        return market.known

    def keep(self, key: bytes, result: Result, headers: Headers, published_ms: int) -> None:
        """Remembers what became of a message whose market was recalled before."""
        market = self._known[key]
        event = result.event
        self._newest_ms = max(self._newest_ms, published_ms)
        if event.ts_event_us > self._newest_us.get(event.venue, 0):
            self._newest_us[event.venue] = event.ts_event_us
        if not result.late:
            market.headers, market.published_ms = headers, published_ms
            market.known = result.known
            self._changed.add(key)
        self._await(key, market, result.due_us, event.venue)

    def let_time_pass(
        self, on_time: OnTime, open_state: Open, publish: Publish, count: int = AT_ONE_CHECKPOINT
    ) -> None:
        """Does what is due by the time that each venue has reached here: the longest due first, so many at most.

        What comes of it is dated when it was due, so that the rest can wait for the next call.
        """
        while count > 0 and (venue := self._longest_due()) is not None:
            due_us, key = heapq.heappop(self._dues[venue])
            market = self._known.get(key)
            if market is None or market.due_us == due_us:
                self._pass(key, self._newest_us[venue], on_time, open_state, publish)
                count -= 1

    def look_at_stored(self, on_time: OnTime | None, open_state: Open, count: int = AT_ONE_CHECKPOINT) -> None:
        """After a start, and then once a day: some more of the stored markets. Learns what they wait for; those that
        were not written for `KEEP_DAYS` leave."""
        today = self._newest_ms // _DAY_MS
        if self._looked_at_all_on == today:
            return
        keys = self._stored(self._looked_until, count)
        for key in keys:
            known = self._known.get(key)
            market = known or self._read(key, open_state, self._newest_ms)
            if market.day + KEEP_DAYS < today and key not in self._changed:
                self._let_go(key, open_state)
            elif known is None and on_time is not None:
                seen = on_time(key.decode(), 0, market.known)
                self._await(key, market, seen.due_us, seen.venue)
        if len(keys) < count:
            self._looked_until, self._looked_at_all_on = b"", today
        else:
            self._looked_until = keys[-1]

    def write(self, open_state: Open) -> None:
        """Writes what has changed since the last time."""
        for key in self._changed:
            market = self._known[key] = self._known.pop(key)
            self._write(market, open_state(key, market.published_ms))
        self._changed.clear()
        if self._bytes > ROOM_BYTES:
            self._make_room()

    def _make_room(self) -> None:
        leaving = []
        for key, market in self._known.items():
            if self._bytes <= ROOM_BYTES:
                break
            self._bytes -= market.size
            leaving.append(key)
        for key in leaving:
            del self._known[key]

    def _read(self, key: bytes, open_state: Open, published_ms: int) -> _Market:
        state = open_state(key, published_ms)
        often = state.get_bytes(OFTEN)
        parts: list[bytes | None] = [None] * len(self._stage.state_keys)
        day = 0
        if often is not None:
            day = read_i32_le(often, 0)
            for i, part in zip(self._often, _split(often, _NUMBER_BYTES), strict=True):
                parts[i] = part
            for i, name in zip(self._seldom, self._stage.seldom, strict=True):
                parts[i] = state.get_bytes(name)
        stored = tuple(parts)
        market = _Market(self._stage.unpack(stored), self._seldom_of(stored), _size(stored), day)
        self._known[key] = market
        self._bytes += market.size
        return market

    def _write(self, market: _Market, state: State) -> None:
        today = market.published_ms // _DAY_MS
        parts = self._stage.pack(market.known)
        seldom, size = self._seldom_of(parts), _size(parts)
        self._bytes += size - market.size
        if all(part is None for part in parts):
            self._delete(state)
        else:
            for name, part, before in zip(self._stage.seldom, seldom, market.seldom, strict=True):
                if part is None and before is not None:
                    state.delete(name)
                elif part is not None and (part != before or today != market.day):
                    state.set_bytes(name, part)
            state.set_bytes(OFTEN, _joined(today, [parts[i] for i in self._often]))
        market.seldom, market.size, market.day = seldom, size, today

    def _seldom_of(self, parts: Remembered) -> Remembered:
        return tuple([parts[i] for i in self._seldom])

    def _let_go(self, key: bytes, open_state: Open) -> None:
        self._bytes -= self._known.pop(key).size
        self._delete(open_state(key, self._newest_ms))

    def _delete(self, state: State) -> None:
        for name in (OFTEN, *self._stage.seldom):
            state.delete(name)

    def _await(self, key: bytes, market: _Market, due_us: int | None, venue: str) -> None:
        if due_us != market.due_us:
            market.due_us = due_us
            if due_us is not None:
                heapq.heappush(self._dues.setdefault(venue, []), (due_us, key))

    def _longest_due(self) -> str | None:
        """The venue by whose own time a market has been due for the longest; None when none is."""
        due = [
            (dues[0][0], venue)
            for venue, dues in self._dues.items()
            if dues and dues[0][0] <= self._newest_us.get(venue, 0)
        ]
        return min(due)[1] if due else None

    def _pass(self, key: bytes, now_us: int, on_time: OnTime, open_state: Open, publish: Publish) -> None:
        known = self.recall(key, open_state, self._newest_ms)
        market = self._known[key]
        passed: Passed = on_time(key.decode(), now_us, known)
        if passed.outputs:
            headers = market.headers or [("venue", passed.venue.encode())]
            publish(key, passed.outputs, headers, self._newest_ms)
            market.published_ms = self._newest_ms
            market.known = passed.known
            self._changed.add(key)
        self._await(key, market, passed.due_us, passed.venue)


def _joined(day: int, parts: Sequence[bytes | None]) -> bytes:
    """The day, and parts one after the other, each behind its length; -1 for none."""
    out = BytesWriter()
    write_i32_le(out, day)
    for part in parts:
        if part is None:
            write_i32_le(out, -1)
        else:
            write_i32_le(out, len(part))
            out.write(part)
    return out.getvalue()


def _split(data: bytes, at: int) -> list[bytes | None]:
    parts: list[bytes | None] = []
    while at < len(data):
        length = read_i32_le(data, at)
        at += _NUMBER_BYTES
        parts.append(None if length < 0 else data[at : at + length])
        at += max(length, 0)
    return parts


def _size(parts: Remembered) -> int:
    return sum(len(part) for part in parts if part is not None)

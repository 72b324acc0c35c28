"""A market's price history, short enough to be stored with every tick and exact enough to be asked "what was it then".

One list of change points serves all windows. While the list is short every answer is exact. When it grows beyond the
plan's limit it is thinned so that for each window w the answer was in force at some moment between w and 1.02 w ago.

Thinning keeps the last point of each cell of a grid of time. A cell of length g hides at most the last g before the
moment asked about, so g may be 2 % of the shortest window that can still ask into the cell: fine cells for fresh
points, coarse ones for old points. The lengths divide each other, so thinning a thinned list loses no accuracy.
"""

from __future__ import annotations

import math
import struct
import sys
from array import array
from bisect import bisect_right
from collections.abc import Sequence

from processors.analytics.volume import NO_COUNTER, reading, traded_usd
from schemas.events import Tick
from schemas.units import PPM_PER_PP, US_PER_S
from schemas.words import MARKET_STATUSES

MIN_EXACT_POINTS = 256
"""A list up to this long is never thinned."""

MAX_TAIL_POINTS = 16
"""So many points travel with the head of the stored history; beyond, they move to its body."""

_STEP_ALPHA = 0.1
_UNKNOWN_TRADES = -1
_VERSION = 1
# version, status, price lost, counter kind, points in body and tail, heartbeat_s, newest, first, gap end, counter,
# traded, trades, step
_HEAD = struct.Struct("<BBBBHHIqqqddqd")

if sys.byteorder != "little":
    raise ImportError("stored histories are little-endian; this machine is not")


class WindowPlan:
    """The windows asked for, and what follows from them for the history.

    Args:
        windows_s: window lengths in seconds, ascending.
    """

    def __init__(self, windows_s: Sequence[int]) -> None:
        if not windows_s or list(windows_s) != sorted(set(windows_s)) or windows_s[0] < 1:
            raise ValueError(f"windows must be distinct, positive and ascending: {windows_s!r}")
        self.windows_s = tuple(windows_s)
        self.windows_us = tuple(w * US_PER_S for w in windows_s)
        self.longest_us = self.windows_us[-1]
        self.grids_us = _nested_grids(self.windows_us)
        self.exact_points = max(MIN_EXACT_POINTS, _thinned_points(self.windows_us, self.grids_us) * 5 // 4)


def _nested_grids(windows_us: Sequence[int]) -> tuple[int, ...]:
    """Cell length for each window: at most 2 % of it, and a multiple of the one before."""
    grids = [windows_us[0] // 50]
    for window_us in windows_us[1:]:
        grids.append(window_us // 50 // grids[-1] * grids[-1])
    return tuple(grids)


def _thinned_points(windows_us: Sequence[int], grids_us: Sequence[int]) -> int:
    """Points that a thinned list can have at the most: one for each cell, those cut by a window's edge, both ends."""
    younger_us = (0, *windows_us)
    cells = ((w - y) // g + 3 for w, y, g in zip(windows_us, younger_us, grids_us, strict=False))
    return sum(cells) + 2


class History:
    """What is remembered of one market. Made by `start` or `unpack`, changed only by `observe`.

    It is stored in two parts, because it is stored with every tick: the head holds the numbers and the newest points,
    the body the older points, which change once in `MAX_TAIL_POINTS` points only.

    Times are venue microseconds UTC. The columns `ts_us`, `price_ppm`, `usd`, `trades` hold one entry for each change
    point: since when, at which price, and what had been traded since the history began (`usd` NaN and `trades` -1
    while the venue had not said anything).
    """

    __slots__ = (
        "_body",
        "_in_body",
        "counter",
        "counter_kind",
        "first_us",
        "gap_end_us",
        "heartbeat_s",
        "newest_us",
        "price_lost",
        "price_ppm",
        "status",
        "step_pp",
        "traded_usd",
        "trades",
        "trades_now",
        "ts_us",
        "usd",
    )

    def __init__(self) -> None:
        self.newest_us = 0
        self.first_us = 0
        self.gap_end_us = 0
        self.heartbeat_s = 0
        self.status = 0
        self.price_lost = False
        self.counter_kind = NO_COUNTER
        self.counter = 0.0
        self.traded_usd = math.nan
        self.trades_now = _UNKNOWN_TRADES
        self.step_pp = math.nan
        self.ts_us = array("q")
        self.price_ppm = array("i")
        self.usd = array("d")
        self.trades = array("q")
        self._in_body = 0
        self._body: bytes | None = None

    @classmethod
    def start(cls, tick: Tick) -> History:
        """History that begins with a priced tick.

        Raises:
            ValueError: the tick has no price, or a status nobody knows.
        """
        if tick.price_ppm is None:
            raise ValueError("a history begins with a price")
        history = cls()
        history.newest_us = history.first_us = tick.ts_event_us
        history.heartbeat_s = tick.heartbeat_s
        history.status = MARKET_STATUSES.index(tick.market_status)
        history._count(tick, tick.price_ppm)
        history._append(tick.ts_event_us, tick.price_ppm)
        return history

    def observe(self, tick: Tick, plan: WindowPlan) -> None:
        """Takes in a tick that is newer than all before.

        Raises:
            ValueError: it is not newer, or its status is unknown. Nothing was changed.
        """
        ts_us = tick.ts_event_us
        if ts_us <= self.newest_us:
            raise ValueError("late tick")
        status = MARKET_STATUSES.index(tick.market_status)
        # 2.5 heartbeats: one may be late and the next early without anything missing.
        if self.heartbeat_s and (ts_us - self.newest_us) * 2 > self.heartbeat_s * 5 * US_PER_S:
            self.gap_end_us = ts_us
        self.newest_us = ts_us
        self.heartbeat_s = tick.heartbeat_s
        self.status = status
        self.price_lost = tick.price_ppm is None
        before = self.price_ppm[-1]
        price = before if tick.price_ppm is None else tick.price_ppm
        traded = self._count(tick, price)
        if price != before:
            self._step(abs(price - before) / PPM_PER_PP)
        elif not traded:
            return
        elif self._replaces_last(ts_us, plan.grids_us[0]):
            self.ts_us[-1], self.usd[-1], self.trades[-1] = ts_us, self.traded_usd, self.trades_now
            return
        self._append(ts_us, price)
        if len(self.ts_us) - self._in_body > MAX_TAIL_POINTS:
            self._settle(plan)

    def as_of(self, then_us: int) -> int:
        """Index of the point in force at a moment; -1 when the history begins later."""
        return bisect_right(self.ts_us, then_us) - 1 if then_us >= self.first_us else -1

    def held_since(self, index: int, run_start: int) -> int:
        """Index of the point at which the price of a point began to hold.

        `run_start`: the answer for a later point, or the list's end: runs are walked once for all windows.
        """
        if index >= run_start:
            return run_start
        prices = self.price_ppm
        price = prices[index]
        while index and prices[index - 1] == price:
            index -= 1
        return index

    def pack(self) -> tuple[bytes, bytes | None]:
        """Head and body as bytes; no body while all points fit the head. Unknown volumes take no room."""
        tail = len(self.ts_us) - self._in_body
        head = _HEAD.pack(
            _VERSION,
            self.status,
            self.price_lost,
            self.counter_kind,
            self._in_body,
            tail,
            self.heartbeat_s,
            self.newest_us,
            self.first_us,
            self.gap_end_us,
            self.counter,
            self.traded_usd,
            self.trades_now,
            self.step_pp,
        )
        if self._in_body and self._body is None:
            self._body = self._columns(0, self._in_body)
        return head + self._columns(self._in_body, self._in_body + tail), self._body

    @classmethod
    def unpack(cls, head: bytes, body: bytes | None) -> History:
        """The history in the bytes.

        Raises:
            ValueError: another version, bytes cut short, or a body of another head.
        """
        if len(head) < _HEAD.size or head[0] != _VERSION:
            raise ValueError(f"not a history of version {_VERSION}: {head[:8]!r}")
        self = cls()
        (
            _,
            self.status,
            price_lost,
            self.counter_kind,
            self._in_body,
            tail,
            self.heartbeat_s,
            self.newest_us,
            self.first_us,
            self.gap_end_us,
            self.counter,
            self.traded_usd,
            self.trades_now,
            self.step_pp,
        ) = _HEAD.unpack_from(head)
        self.price_lost = bool(price_lost)
        self._body = body
        if self._in_body:
            self._read_columns(body or b"", 0, self._in_body)
        self._read_columns(head, _HEAD.size, tail)
        return self

    def _columns(self, start: int, end: int) -> bytes:
        """Points as bytes, column by column: times, prices, and what is known of US dollars and trades."""
        columns = [self.ts_us[start:end].tobytes(), self.price_ppm[start:end].tobytes()]
        if self.traded_usd == self.traded_usd:
            columns.append(self.usd[start:end].tobytes())
        if self.trades_now != _UNKNOWN_TRADES:
            columns.append(self.trades[start:end].tobytes())
        return b"".join(columns)

    def _read_columns(self, data: bytes, at: int, points: int) -> None:
        """Appends points from bytes that end with them."""
        has_usd, has_trades = self.traded_usd == self.traded_usd, self.trades_now != _UNKNOWN_TRADES
        expected = at + points * (12 + 8 * has_usd + 8 * has_trades)
        if len(data) != expected:
            raise ValueError(f"{points} points in {len(data)} bytes, expected {expected}")
        middle = at + points * 8
        self.ts_us.frombytes(data[at:middle])
        at = middle + points * 4
        self.price_ppm.frombytes(data[middle:at])
        if has_usd:
            self.usd.frombytes(data[at : at + points * 8])
            at += points * 8
        else:
            self.usd.extend(array("d", (math.nan,)) * points)
        if has_trades:
            self.trades.frombytes(data[at:])
        else:
            self.trades.extend(array("q", (_UNKNOWN_TRADES,)) * points)

    def _count(self, tick: Tick, price_ppm: int) -> bool:
        """Adds what was traded since the last tick; says whether that changed anything."""
        changed = False
        kind, counter = reading(tick)
        if kind != NO_COUNTER:
            if self.traded_usd != self.traded_usd:
                self.traded_usd = 0.0
                self._body = None  # it gains a column
                changed = True
            elif kind == self.counter_kind and counter > self.counter:
                self.traded_usd += traded_usd(kind, self.counter, counter, price_ppm)
                changed = True
            self.counter_kind, self.counter = kind, counter
        if tick.trades is not None:
            changed = changed or tick.trades > 0 or self.trades_now == _UNKNOWN_TRADES
            if self.trades_now == _UNKNOWN_TRADES:
                self.trades_now = 0
                self._body = None  # it gains a column
            self.trades_now += tick.trades
        return changed

    def _step(self, change_pp: float) -> None:
        known = self.step_pp == self.step_pp
        self.step_pp = self.step_pp + _STEP_ALPHA * (change_pp - self.step_pp) if known else change_pp

    def _append(self, ts_us: int, price_ppm: int) -> None:
        self.ts_us.append(ts_us)
        self.price_ppm.append(price_ppm)
        self.usd.append(self.traded_usd)
        self.trades.append(self.trades_now)

    def _replaces_last(self, ts_us: int, grid_us: int) -> bool:
        """A point that tells only volume gives way to the next such point of the same finest cell."""
        prices = self.price_ppm
        return len(prices) > 1 and prices[-1] == prices[-2] and self.ts_us[-1] // grid_us == ts_us // grid_us

    def _settle(self, plan: WindowPlan) -> None:
        """Forgets what is too old, thins what is too long, and moves all points but the last to the body."""
        cutoff_us = self.newest_us - plan.longest_us
        if self.ts_us[1] <= cutoff_us:
            self._prune(cutoff_us)
        if len(self.ts_us) > plan.exact_points:
            self._thin(plan)
        self._in_body = len(self.ts_us) - 1
        self._body = None

    def _prune(self, cutoff_us: int) -> None:
        """Drops what no window can ask for any more; the point in force at the cutoff stays, dated as its price is."""
        index = bisect_right(self.ts_us, cutoff_us) - 1
        since_us = self.ts_us[self.held_since(index, len(self.ts_us))]
        for column in (self.ts_us, self.price_ppm, self.usd, self.trades):
            del column[:index]
        self.ts_us[0] = since_us

    def _thin(self, plan: WindowPlan) -> None:
        """Keeps the first point, and the last of each cell."""
        times = self.ts_us
        kept = [0]
        kept.extend(i for i in range(1, len(times) - 1) if times[i + 1] >= self._cell_end_us(times[i], plan))
        kept.append(len(times) - 1)
        self.ts_us = array("q", [times[i] for i in kept])
        self.price_ppm = array("i", [self.price_ppm[i] for i in kept])
        self.usd = array("d", [self.usd[i] for i in kept])
        self.trades = array("q", [self.trades[i] for i in kept])

    def _cell_end_us(self, ts_us: int, plan: WindowPlan) -> int:
        """End of the coarsest cell around a point into which only windows that allow its length can still ask."""
        end_us = 0
        younger_than_us = 0
        for window_us, grid_us in zip(plan.windows_us, plan.grids_us, strict=True):
            coarser_us = (ts_us // grid_us + 1) * grid_us
            if end_us and coarser_us > self.newest_us - younger_than_us:
                break
            end_us = coarser_us
            younger_than_us = window_us
        return end_us

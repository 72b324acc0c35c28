"""A market's price history, short enough to be stored with every tick and exact enough to be asked "what was it then".

One list of change points serves all windows. While the list is short every answer is exact. When it grows beyond the
plan's limit it is thinned so that for each window w the answer was in force at some moment between w and 1.02 w ago.

Thinning keeps the last point of each cell of a grid of time. A cell of length g hides at most the last g before the
moment asked about, so g may be 2 % of the shortest window that can still ask into the cell: fine cells for fresh
points, coarse ones for old points. The lengths divide each other, so thinning a thinned list loses no accuracy.

Every point keeps what its price was (mid, last trade, none), because a last trade of 0.30 and a mid of 0.50 are not
alike. A silence longer than the feed had promised is a gap, and a gap is a point too: from just after the last tick
before it until the next one there is no price.

A venue's own figure of a price before we watched (`source` backfill) is a point of its own kind. It holds for want of
anything better until the first tick that was seen, but only windows like the one it was told for may use it.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Final

from librt.strings import BytesWriter, write_f64_le, write_i32_le, write_i64_le

from processors.analytics.points import UNKNOWN_TRADES, Points, from_columns
from processors.analytics.volume import NO_COUNTER, highest, reading, traded_usd
from schemas.events import Tick
from schemas.units import PPM, US_PER_S
from schemas.words import MARKET_STATUSES, PriceBasis, ScoreName

MIN_EXACT_POINTS: Final = 256
"""A list up to this long is never thinned."""

MAX_TAIL_POINTS: Final = 16
"""So many points travel with the head of the stored history; beyond, they move to its body."""

NONE: Final = 0
MID: Final = 1
LAST: Final = 2
GAP: Final = 3
FIGURE_MID: Final = 4
FIGURE_LAST: Final = 5
"""What held from a point on: no price, a mid, a last trade, nothing known because the feed was silent, or a mid or a
last trade that the venue says there was."""

BASES: Final[tuple[PriceBasis, ...]] = ("none", "mid", "last", "none", "mid", "last")
"""The codes above as words."""

GAP_AFTER_PROMISES: Final = 2.5
"""A silence is a gap when it is longer than so many promises: one tick may be late and the next early."""

FIGURE_SERVES_WINDOWS: Final = 2
"""A venue's figure serves windows down to this part of its age: a change over a day is none over an hour."""

STANDING_US: Final = 40 * US_PER_S
"""Over how long the standing price is taken."""

MIN_LOGIT_PPM: Final = 1_000
"""Log-odds are taken of prices not nearer to 0 and 1 than this: beyond, one tick of the book is worth a landslide."""

_STEP_ALPHA: Final = 0.1
_STEP_CLIP: Final = 4.0  # a jump counts as four usual steps, so that one piece of news does not become the usual
_FIRST_STEP: Final = 0.1  # log-odds: the most that the first change is believed to be usual
_MIN_STEP: Final = 0.005  # log-odds: less is no step, only the grid of the price
_VERSION: Final = 3
_COLUMNS_VERSION: Final = 2
"""States of this version hold their points column by column."""
# version, status, counter kind, points in body and tail, promise_s, newest, gap end, counter, traded, trades, step,
# changes
_HEAD: Final = struct.Struct("<BBBxHHIqqddqdI")


def _write_count(out: BytesWriter, count: int) -> None:
    """In two bytes."""
    out.append(count & 0xFF)
    out.append(count >> 8)


def log_odds(price_ppm: int) -> float:
    """ln(p / (1 − p)) of a price, which is first moved to at least 0.001 from either end."""
    inside = min(max(price_ppm, MIN_LOGIT_PPM), PPM - MIN_LOGIT_PPM)
    return math.log(inside / (PPM - inside))


class WindowPlan:
    """The windows asked for, and what follows from them for the history.

    Args:
        windows_s: window lengths in seconds, ascending.
        score: how moves are ranked; a name of `scoring.SCORES`.
    """

    def __init__(self, windows_s: Sequence[int], score: ScoreName = "plain") -> None:
        if not windows_s or list(windows_s) != sorted(set(windows_s)) or windows_s[0] < 1:
            raise ValueError(f"windows must be distinct, positive and ascending: {windows_s!r}")
        self.score = score
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
    """What is remembered of one market. Made by `start`, `unpack` or `copy`, changed only by `observe`.

    It is stored in two parts, because it is stored with every tick: the head holds the numbers and the newest points,
    the body the older points, which change once in `MAX_TAIL_POINTS` points only.

    Times are venue microseconds UTC. `traded_usd` and `trades_now` are what was traded since the history began, NaN and
    -1 while the venue had not said anything.
    """

    __slots__ = (
        "changes",
        "counter",
        "counter_kind",
        "gap_end_us",
        "newest_us",
        "points",
        "promise_s",
        "status",
        "traded_usd",
        "trades_now",
        "usual_step",
    )

    def __init__(self, of: History | None = None) -> None:
        if of is not None:
            self._take(of)
            return
        self.newest_us = 0
        self.gap_end_us = 0
        self.promise_s = 0
        self.status = 0
        self.counter_kind = NO_COUNTER
        self.counter = 0.0
        self.traded_usd = math.nan
        self.trades_now = UNKNOWN_TRADES
        self.usual_step = math.nan
        self.changes = 0
        self.points = Points(b"", b"", has_usd=False, has_trades=False)

    @classmethod
    def start(cls, tick: Tick) -> History:
        """History that begins with a priced tick.

        Raises:
            ValueError: the tick has no price, or a status nobody knows.
        """
        if tick.price_ppm is None:
            raise ValueError("a history begins with a price")
        history = cls()
        history.newest_us = tick.ts_event_us
        history.promise_s = tick.heartbeat_s
        history.status = MARKET_STATUSES.index(tick.market_status)
        history._count(tick, tick.price_ppm)
        history._append(tick.ts_event_us, tick.price_ppm, _basis(tick))
        return history

    def _take(self, of: History) -> None:
        self.newest_us = of.newest_us
        self.gap_end_us = of.gap_end_us
        self.promise_s = of.promise_s
        self.status = of.status
        self.counter_kind = of.counter_kind
        self.counter = of.counter
        self.traded_usd = of.traded_usd
        self.trades_now = of.trades_now
        self.usual_step = of.usual_step
        self.changes = of.changes
        self.points = of.points

    def copy(self) -> History:
        """Another of the same, to be changed."""
        return History(self)

    @property
    def price_lost(self) -> bool:
        """Whether the newest tick had no price."""
        return self.basis == NONE

    @property
    def price_ppm(self) -> int:
        """The newest price, or the last known one."""
        return self.points.price_ppm(self.points.count - 1)

    @property
    def basis(self) -> int:
        """What the newest price is."""
        return self.points.basis(self.points.count - 1)

    def observe(self, tick: Tick, plan: WindowPlan) -> None:
        """Takes in a tick that is newer than all before.

        Raises:
            ValueError: it is not newer, or its status is unknown. Nothing was changed.
        """
        ts_us = tick.ts_event_us
        if ts_us <= self.newest_us:
            raise ValueError("late tick")
        status = MARKET_STATUSES.index(tick.market_status)
        if self._breaks_promise(tick):
            self.gap_end_us = ts_us
            self._append(self.newest_us + 1, self.price_ppm, GAP)
        self._promise(tick)
        self.newest_us = ts_us
        self.status = status
        before, basis_before = self.price_ppm, self.basis
        price = before if tick.price_ppm is None else tick.price_ppm
        basis = _basis(tick)
        traded = self._count(tick, price)
        if basis != basis_before or basis >= FIGURE_MID:
            self._append(ts_us, price, basis)
        elif price != before:
            self._step(abs(log_odds(price) - log_odds(before)))
            self._append(ts_us, price, basis)
        elif not traded:
            return
        elif self._replaces_last(ts_us, plan.grids_us[0]):
            self.points = self.points.ended(ts_us, self._area(ts_us), price, basis, self.traded_usd, self.trades_now)
        else:
            self._append(ts_us, price, basis)
        if self.points.count - self.points.in_body > MAX_TAIL_POINTS:
            self._settle(plan)

    def has_price(self, index: int) -> bool:
        """Whether a point has a price that was seen; -1 has none."""
        if index < 0:
            return False
        basis = self.points.basis(index)
        return basis in (MID, LAST)

    def is_figure(self, index: int) -> bool:
        """Whether a point is the venue's figure of a price that nobody here saw."""
        return index >= 0 and self.points.basis(index) >= FIGURE_MID

    def serves(self, index: int, window_us: int) -> bool:
        """Whether a point has a price to compare with over such a window."""
        if self.is_figure(index):
            return self.newest_us - self.points.ts_us(index) <= window_us * FIGURE_SERVES_WINDOWS
        return self.has_price(index)

    def priced_since_us(self, index: int) -> int:
        """When the first price after a point came; the newest moment when none did."""
        for later in range(index + 1, self.points.count):
            if self.has_price(later):
                return self.points.ts_us(later)
        return self.newest_us

    def held_since(self, index: int, run_start: int) -> int:
        """Index of the point at which the price of a point began to hold.

        `run_start`: the answer for a later point, or the list's end: runs are walked once for all windows.
        """
        if index >= run_start:
            return run_start
        points = self.points
        price, basis = points.price_ppm(index), points.basis(index)
        while index and points.price_ppm(index - 1) == price and points.basis(index - 1) == basis:
            index -= 1
        return index

    def mean_ppm(self, then: int, then_us: int) -> int:
        """Time-weighted mean price from a moment, in force at which is the point `then`, to the newest moment."""
        until_ms, from_ms = self.newest_us // 1000, then_us // 1000
        total = self._area_at(self.points.count - 1, until_ms) - self._area_at(then, from_ms)
        return total // (until_ms - from_ms)

    def onset_us(self, then: int) -> int:
        """Since when the price has stood on its side of the middle between a point and now."""
        points = self.points
        at = points.count - 1
        now = points.price_ppm(at)
        middle_twice = points.price_ppm(then) + now
        if now * 2 > middle_twice:
            while at > then + 1 and points.price_ppm(at - 1) * 2 > middle_twice:
                at -= 1
        else:
            while at > then + 1 and points.price_ppm(at - 1) * 2 < middle_twice:
                at -= 1
        return points.ts_us(at)

    def standing_ppm(self) -> int:
        """Median of the price over the last 40 seconds, each weighted by how long it held.

        Moments without a price do not count; where there was none but now's, it is now's.
        """
        since_us = self.newest_us - STANDING_US
        points = self.points
        at = points.count - 1
        if points.ts_us(at) <= since_us:
            return points.price_ppm(at)
        held: list[tuple[int, int]] = []
        until_us, total_us = self.newest_us, 0
        while at >= 0 and until_us > since_us:
            from_us = max(points.ts_us(at), since_us)
            if self.has_price(at) and until_us > from_us:
                held.append((points.price_ppm(at), until_us - from_us))
                total_us += until_us - from_us
            until_us = from_us
            at -= 1
        held.sort()
        half_us = 0
        for price, length_us in held:
            half_us += length_us
            if half_us * 2 >= total_us:
                return price
        return self.price_ppm

    def pack(self) -> tuple[bytes, bytes | None]:
        """Head and body as bytes; no body while all points fit the head."""
        points = self.points
        # As `_HEAD` lays it out, but by mypyc's own writer: a struct is given each number as an object.
        out = BytesWriter()
        out.append(_VERSION)
        out.append(self.status)
        out.append(self.counter_kind)
        out.append(0)
        _write_count(out, points.in_body)
        _write_count(out, points.count - points.in_body)
        write_i32_le(out, self.promise_s)
        write_i64_le(out, self.newest_us)
        write_i64_le(out, self.gap_end_us)
        write_f64_le(out, self.counter)
        write_f64_le(out, self.traded_usd)
        write_i64_le(out, self.trades_now)
        write_f64_le(out, self.usual_step)
        write_i32_le(out, self.changes)
        out.write(points.tail)
        return out.getvalue(), points.body or None

    @classmethod
    def unpack(cls, head: bytes, body: bytes | None) -> History:
        """The history in the bytes.

        Raises:
            ValueError: another version, bytes cut short, or a body of another head.
        """
        if len(head) < _HEAD.size or not _COLUMNS_VERSION <= head[0] <= _VERSION:
            raise ValueError(f"not a history of version {_VERSION}: {head[:8]!r}")
        self = cls()
        (
            version,
            self.status,
            self.counter_kind,
            in_body,
            in_tail,
            self.promise_s,
            self.newest_us,
            self.gap_end_us,
            self.counter,
            self.traded_usd,
            self.trades_now,
            self.usual_step,
            self.changes,
        ) = _HEAD.unpack_from(head)
        has_usd, has_trades = self.traded_usd == self.traded_usd, self.trades_now != UNKNOWN_TRADES
        older, newer = body or b"", head[_HEAD.size :]
        points = Points(older, newer, has_usd, has_trades)
        if len(older) != in_body * points.width or len(newer) != in_tail * points.width or not in_tail:
            raise ValueError(f"{in_body} and {in_tail} points in {len(older)} and {len(newer)} bytes")
        if version == _COLUMNS_VERSION:
            older = from_columns(older, in_body, has_usd, has_trades)
            points = Points(older, from_columns(newer, in_tail, has_usd, has_trades), has_usd, has_trades)
        self.points = points
        return self

    def _breaks_promise(self, tick: Tick) -> bool:
        """Whether the silence before a tick is a gap: longer than the slower of the promises before it and its own.

        A market that leaves the hot poll waits for the sweep, which had promised less.
        """
        if not self.promise_s or self.basis >= FIGURE_MID:
            return False
        promised_us = max(self.promise_s, tick.heartbeat_s) * US_PER_S
        return tick.ts_event_us - self.newest_us > promised_us * GAP_AFTER_PROMISES

    def _promise(self, tick: Tick) -> None:
        """Sweeps set what is promised. Faster sources come and go beside them and never tighten it."""
        if tick.source == "sweep" or tick.heartbeat_s > self.promise_s:
            self.promise_s = tick.heartbeat_s

    def _count(self, tick: Tick, price_ppm: int) -> bool:
        """Adds what was traded since the last tick; says whether that changed anything."""
        changed = False
        kind, counter = reading(tick)
        if kind != NO_COUNTER:
            if self.traded_usd != self.traded_usd:
                self.traded_usd = 0.0
                changed = True
            elif kind == self.counter_kind and counter > self.counter:
                self.traded_usd += traded_usd(kind, self.counter, counter, price_ppm)
                changed = True
            self.counter = highest(self.counter_kind, self.counter, kind, counter)
            self.counter_kind = kind
        if tick.trades is not None:
            changed = changed or tick.trades > 0 or self.trades_now == UNKNOWN_TRADES
            if self.trades_now == UNKNOWN_TRADES:
                self.trades_now = 0
            self.trades_now += tick.trades
        self.points = self.points.telling(self.traded_usd == self.traded_usd, self.trades_now != UNKNOWN_TRADES)
        return changed

    def _step(self, size: float) -> None:
        """Takes a change of price, in log-odds, into the usual step."""
        self.changes += 1
        usual = self.usual_step
        if usual != usual:
            self.usual_step = min(size, _FIRST_STEP)
        else:
            most = _STEP_CLIP * max(usual, _MIN_STEP)
            self.usual_step = usual + _STEP_ALPHA * (min(size, most) - usual)

    def _area_at(self, index: int, at_ms: int) -> int:
        points = self.points
        return points.area(index) + points.price_ppm(index) * (at_ms - points.ts_us(index) // 1000)

    def _area(self, ts_us: int) -> int:
        """Up to a moment after the newest point; 0 when it is the first."""
        return self._area_at(self.points.count - 1, ts_us // 1000) if self.points.count else 0

    def _append(self, ts_us: int, price_ppm: int, basis: int) -> None:
        area = self._area(ts_us)
        self.points = self.points.added(ts_us, area, price_ppm, basis, self.traded_usd, self.trades_now)

    def _replaces_last(self, ts_us: int, grid_us: int) -> bool:
        """A point that tells only volume gives way to the next such point of the same finest cell."""
        points, last = self.points, self.points.count - 1
        if last < 1 or points.price_ppm(last) != points.price_ppm(last - 1):
            return False
        return points.basis(last) == points.basis(last - 1) and points.ts_us(last) // grid_us == ts_us // grid_us

    def _settle(self, plan: WindowPlan) -> None:
        """Forgets what is too old, thins what is too long, and moves all points but the last to the body."""
        cutoff_us = self.newest_us - plan.longest_us
        if self.points.ts_us(1) <= cutoff_us:
            self._prune(cutoff_us)
        if self.points.count > plan.exact_points:
            self._thin(plan)
        self.points = self.points.settled()

    def _prune(self, cutoff_us: int) -> None:
        """Drops what no window can ask for any more; the point in force at the cutoff stays, dated as its price is."""
        points = self.points
        index = points.as_of(cutoff_us)
        held = self.held_since(index, points.count)
        self.points = points.since(index, points.ts_us(held), points.area(held))

    def _thin(self, plan: WindowPlan) -> None:
        """Keeps the first point, and the last of each cell."""
        points = self.points
        times = [points.ts_us(index) for index in range(points.count)]
        kept = [0]
        kept.extend(i for i in range(1, len(times) - 1) if times[i + 1] >= self._cell_end_us(times[i], plan))
        kept.append(len(times) - 1)
        self.points = points.only(kept)

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


def _basis(tick: Tick) -> int:
    if tick.price_ppm is None:
        return NONE
    if tick.source == "backfill":
        return FIGURE_MID if tick.price_basis == "mid" else FIGURE_LAST
    return MID if tick.price_basis == "mid" else LAST

"""One-minute bars: open, high, low, close of a market's price, and what was traded meanwhile."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import TypeVar

from processors.analytics.volume import NO_COUNTER, reading, traded_usd
from schemas.events import Bar, Tick
from schemas.units import US_PER_S, event_id

_Number = TypeVar("_Number", int, float)

BAR_S = 60
_BAR_US = BAR_S * US_PER_S

_VERSION = 1
# version, counter kind, ticks, newest, counter, received, start, open, high, low, close, volume (NaN), trades (-1)
_LAYOUT = struct.Struct("<BBIqdqqiiiidq")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenBar:
    """A bar that still grows. `volume_usd` and `trades` are None while no tick told them."""

    start_us: int
    open_ppm: int
    high_ppm: int
    low_ppm: int
    close_ppm: int
    last_event_us: int
    last_received_us: int
    volume_usd: float | None
    trades: int | None
    ticks: int


def merge(earlier: OpenBar, later: OpenBar) -> OpenBar:
    """The bar of two parts of one minute: the law by which a tick joins a bar."""
    return replace(
        later,
        open_ppm=earlier.open_ppm,
        high_ppm=max(earlier.high_ppm, later.high_ppm),
        low_ppm=min(earlier.low_ppm, later.low_ppm),
        volume_usd=_sum(earlier.volume_usd, later.volume_usd),
        trades=_sum(earlier.trades, later.trades),
        ticks=earlier.ticks + later.ticks,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BarState:
    """What is remembered of one market: its growing bar, if any, and where the venue's volume counter stood."""

    newest_us: int
    counter_kind: int
    counter: float
    bar: OpenBar | None

    def pack(self) -> bytes:
        """The state as bytes; the first byte is the version."""
        b = self.bar
        if b is None:
            return _LAYOUT.pack(_VERSION, self.counter_kind, 0, self.newest_us, self.counter, *(0,) * 8)
        volume = float("nan") if b.volume_usd is None else b.volume_usd
        trades = -1 if b.trades is None else b.trades
        prices = (b.open_ppm, b.high_ppm, b.low_ppm, b.close_ppm)
        head = (_VERSION, self.counter_kind, b.ticks, self.newest_us, self.counter, b.last_received_us, b.start_us)
        return _LAYOUT.pack(*head, *prices, volume, trades)

    @classmethod
    def unpack(cls, data: bytes) -> BarState:
        """The state in the bytes.

        Raises:
            ValueError: another version, or another length.
        """
        if len(data) != _LAYOUT.size or data[0] != _VERSION:
            raise ValueError(f"not a bar state of version {_VERSION}: {data[:8]!r}")
        _, kind, ticks, newest, counter, received, start, open_, high, low, close, volume, trades = _LAYOUT.unpack(data)
        if ticks == 0:
            return cls(newest_us=newest, counter_kind=kind, counter=counter, bar=None)
        bar = OpenBar(
            start_us=start,
            open_ppm=open_,
            high_ppm=high,
            low_ppm=low,
            close_ppm=close,
            last_event_us=newest,
            last_received_us=received,
            volume_usd=volume if volume == volume else None,
            trades=trades if trades >= 0 else None,
            ticks=ticks,
        )
        return cls(newest_us=newest, counter_kind=kind, counter=counter, bar=bar)


def is_late(state: BarState | None, tick: Tick) -> bool:
    """Whether a tick is not newer than what its market has seen: redelivered, or overtaken. It changes nothing."""
    return state is not None and tick.ts_event_us <= state.newest_us


def update(state: BarState | None, tick: Tick) -> tuple[BarState | None, Bar | None]:
    """Takes a tick in; gives the state to keep and the finished bar, if the tick's minute ended one.

    Ticks without a price end a bar of an earlier minute and start none; late ones (`is_late`) change nothing. Volume
    is what the venue's counter gained since the priced tick before, counted to the bar of the later tick; the first
    tick of a market tells none.
    """
    if is_late(state, tick):
        return state, None
    bar = None if state is None else state.bar
    start_us = tick.ts_event_us // _BAR_US * _BAR_US
    finished = None
    if bar is not None and bar.start_us != start_us:
        finished, bar = _finished(bar, tick), None
    if tick.price_ppm is None:
        return (replace(state, newest_us=tick.ts_event_us, bar=None), finished) if finished and state else (state, None)
    kind, counter = reading(tick)
    volume_usd: float | None = None
    if state is not None and kind == NO_COUNTER:
        kind, counter = state.counter_kind, state.counter
    elif state is not None and kind == state.counter_kind:
        volume_usd = traded_usd(kind, state.counter, counter, tick.price_ppm)
    part = _part(tick, tick.price_ppm, volume_usd)
    bar = part if bar is None else merge(bar, part)
    return BarState(newest_us=tick.ts_event_us, counter_kind=kind, counter=counter, bar=bar), finished


def _part(tick: Tick, price_ppm: int, volume_usd: float | None) -> OpenBar:
    return OpenBar(
        start_us=tick.ts_event_us // _BAR_US * _BAR_US,
        open_ppm=price_ppm,
        high_ppm=price_ppm,
        low_ppm=price_ppm,
        close_ppm=price_ppm,
        last_event_us=tick.ts_event_us,
        last_received_us=tick.ts_received_us,
        volume_usd=volume_usd,
        trades=tick.trades,
        ticks=1,
    )


def _finished(bar: OpenBar, tick: Tick) -> Bar:
    """`tick` is of the same market: it lends its names."""
    return Bar(
        event_id=event_id("bar", tick.market_id, BAR_S, bar.start_us),
        venue=tick.venue,
        market_id=tick.market_id,
        token_id=tick.token_id,
        ts_event_us=bar.last_event_us,
        ts_received_us=bar.last_received_us,
        bar_start_us=bar.start_us,
        bar_s=BAR_S,
        open_ppm=bar.open_ppm,
        high_ppm=bar.high_ppm,
        low_ppm=bar.low_ppm,
        close_ppm=bar.close_ppm,
        volume_usd=bar.volume_usd,
        trades=bar.trades,
        ticks=bar.ticks,
    )


def _sum(a: _Number | None, b: _Number | None) -> _Number | None:
    if a is None or b is None:
        return b if a is None else a
    return a + b

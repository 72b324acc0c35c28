"""One-minute bars: open, high, low, close of a market's price, and what was traded meanwhile. The rule in words:

A bar holds the prices of one minute of venue time: the earliest opens it, the latest closes it. It is **told** when a
tick of a later minute comes, with a price or without, or when time has passed the minute's end by a grace, whichever
is first; so the last bar of a market that goes quiet comes too. Minutes without a price have no bar.

It is **told again**, corrected and under the same id, when a tick of its minute comes after it was told, as long as it
is one of the market's two newest.

A tick that is not newer than the newest seen of its market is *late*. It may have been counted already, so it corrects
what cannot be doubled (open, high, low of the two newest bars) and adds no tick, trade or volume.
One that is *early* (`schemas.times`) changes nothing, nor does a venue's figure of an earlier price (backfill).

Volume is what the venue's counter gained since the tick before, counted to the bar of the later tick; trades are those
that ticks report. What comes while the minute has no price yet is carried to the next bar: it is never lost.
"""

from __future__ import annotations

from dataclasses import replace
from math import nan
from typing import Final

from librt.strings import (
    BytesWriter,
    read_f64_le,
    read_i16_le,
    read_i32_le,
    read_i64_le,
    write_f64_le,
    write_i16_le,
    write_i32_le,
    write_i64_le,
)

from processors.analytics.volume import NO_COUNTER, highest, reading, traded_usd
from schemas.events import Bar, Tick
from schemas.frozen import dataclass
from schemas.times import is_ahead
from schemas.units import US_PER_S, event_id

BAR_S: Final = 60
_BAR_US: Final = BAR_S * US_PER_S

GRACE_US: Final = 5 * US_PER_S
"""So long after its end a bar waits for ticks that are on their way."""

_VERSION: Final = 2
# version 0, counter kind 1, bars 2, length of venue 3 and of token 4 (two bytes), price 6, newest 10, counter 18,
# carried volume (NaN: none) 26 and trades (-1: none) 34
_HEAD_BYTES: Final = 42
# which 0, ticks 1, received 5, start 13, first 21, last 29, open 37, high 41, low 45, close 49, volume 53, trades 61
_BAR_BYTES: Final = 69
_BEFORE: Final = 0
_UNTOLD: Final = 1
_TOLD: Final = 2
"""Which bar of a state: the one before the newest; the newest, before and after it was told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenBar:
    """A minute's prices so far. `volume_usd` and `trades` are None while no tick told them."""

    start_us: int
    open_ppm: int
    high_ppm: int
    low_ppm: int
    close_ppm: int
    first_event_us: int
    last_event_us: int
    last_received_us: int
    volume_usd: float | None
    trades: int | None
    ticks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BarState:
    """What is remembered of one market.

    `bar` is the newest and grows, also when time has had it told (`is_told`): so what ticks make of a state does not
    depend on where time was noticed. `before` is the one before it. `counter` is where the venue's volume counter stood
    at its highest, `price_ppm` the newest price, which values contracts. `carried_usd` and `carried_trades` wait for
    the next bar.
    """

    venue: str
    token_id: str
    newest_us: int
    price_ppm: int
    counter_kind: int
    counter: float
    bar: OpenBar
    is_told: bool = False
    before: OpenBar | None = None
    carried_usd: float | None = None
    carried_trades: int | None = None

    def pack(self) -> bytes:
        """The state as bytes; the first byte is the version."""
        venue, token = self.venue.encode(), self.token_id.encode()
        out = BytesWriter()
        out.append(_VERSION)
        out.append(self.counter_kind)
        out.append(1 if self.before is None else 2)
        out.append(len(venue))
        write_i16_le(out, len(token))
        write_i32_le(out, self.price_ppm)
        write_i64_le(out, self.newest_us)
        write_f64_le(out, self.counter)
        write_f64_le(out, nan if self.carried_usd is None else self.carried_usd)
        write_i64_le(out, -1 if self.carried_trades is None else self.carried_trades)
        out.write(venue)
        out.write(token)
        _write_bar(out, _TOLD if self.is_told else _UNTOLD, self.bar)
        if self.before is not None:
            _write_bar(out, _BEFORE, self.before)
        return out.getvalue()

    @classmethod
    def unpack(cls, data: bytes) -> BarState:
        """The state in the bytes.

        Raises:
            ValueError: another version, or another length.
        """
        if len(data) < _HEAD_BYTES or data[0] != _VERSION:
            raise ValueError(f"not a bar state of version {_VERSION}: {data[:8]!r}")
        token_at = _HEAD_BYTES + data[3]
        bars_at = token_at + read_i16_le(data, 4)
        if len(data) != bars_at + data[2] * _BAR_BYTES:
            raise ValueError(f"bar state cut short: {len(data)} bytes")
        bar: OpenBar | None = None
        before: OpenBar | None = None
        is_told = True  # alone, the one before was told by time: so it was written once
        for at in range(bars_at, len(data), _BAR_BYTES):
            if data[at] == _BEFORE:
                before = _read_bar(data, at)
            else:
                bar, is_told = _read_bar(data, at), data[at] != _UNTOLD
        if bar is None:
            bar, before = before, None
        if bar is None:
            raise ValueError("bar state without a bar")
        usd, trades = read_f64_le(data, 26), read_i64_le(data, 34)
        return cls(
            venue=data[_HEAD_BYTES:token_at].decode(),
            token_id=data[token_at:bars_at].decode(),
            newest_us=read_i64_le(data, 10),
            price_ppm=read_i32_le(data, 6),
            counter_kind=data[1],
            counter=read_f64_le(data, 18),
            carried_usd=usd if usd == usd else None,
            carried_trades=trades if trades >= 0 else None,
            bar=bar,
            is_told=is_told,
            before=before,
        )


def _write_bar(out: BytesWriter, which: int, bar: OpenBar) -> None:
    out.append(which)
    write_i32_le(out, bar.ticks)
    write_i64_le(out, bar.last_received_us)
    write_i64_le(out, bar.start_us)
    write_i64_le(out, bar.first_event_us)
    write_i64_le(out, bar.last_event_us)
    write_i32_le(out, bar.open_ppm)
    write_i32_le(out, bar.high_ppm)
    write_i32_le(out, bar.low_ppm)
    write_i32_le(out, bar.close_ppm)
    write_f64_le(out, nan if bar.volume_usd is None else bar.volume_usd)
    write_i64_le(out, -1 if bar.trades is None else bar.trades)


def _read_bar(data: bytes, at: int) -> OpenBar:
    volume_usd, trades = read_f64_le(data, at + 53), read_i64_le(data, at + 61)
    return OpenBar(
        start_us=read_i64_le(data, at + 13),
        open_ppm=read_i32_le(data, at + 37),
        high_ppm=read_i32_le(data, at + 41),
        low_ppm=read_i32_le(data, at + 45),
        close_ppm=read_i32_le(data, at + 49),
        first_event_us=read_i64_le(data, at + 21),
        last_event_us=read_i64_le(data, at + 29),
        last_received_us=read_i64_le(data, at + 5),
        volume_usd=volume_usd if volume_usd == volume_usd else None,
        trades=trades if trades >= 0 else None,
        ticks=read_i32_le(data, at + 1),
    )


def merge(earlier: OpenBar, later: OpenBar) -> OpenBar:
    """The bar of two parts of one minute: the law by which a tick joins a bar."""
    return OpenBar(
        start_us=earlier.start_us,
        open_ppm=earlier.open_ppm,
        high_ppm=max(earlier.high_ppm, later.high_ppm),
        low_ppm=min(earlier.low_ppm, later.low_ppm),
        close_ppm=later.close_ppm,
        first_event_us=earlier.first_event_us,
        last_event_us=later.last_event_us,
        last_received_us=max(earlier.last_received_us, later.last_received_us),
        volume_usd=_sum(earlier.volume_usd, later.volume_usd),
        trades=_count(earlier.trades, later.trades),
        ticks=earlier.ticks + later.ticks,
    )


def update(state: BarState | None, tick: Tick) -> tuple[BarState | None, Bar | None]:
    """Takes a tick in; gives the state to keep and the bar to tell: one that is finished, or corrected."""
    if tick.source == "backfill" or is_ahead(tick.ts_event_us, tick.ts_received_us):
        return state, None
    if state is None:
        if tick.price_ppm is None:
            return None, None
        kind, counter = reading(tick)
        state = BarState(
            venue=tick.venue,
            token_id=tick.token_id,
            newest_us=tick.ts_event_us,
            price_ppm=tick.price_ppm,
            counter_kind=kind,
            counter=counter,
            bar=_part(tick, tick.price_ppm, None, tick.trades),
        )
        return state, None
    if tick.ts_event_us <= state.newest_us:
        return _correct(state, tick)
    return _join(state, tick)


def closes_us(state: BarState | None) -> int | None:
    """When the newest bar is to be told even if no tick comes; None when it is told. Venue time."""
    return None if state is None or state.is_told else state.bar.start_us + _BAR_US + GRACE_US


def close_by_time(state: BarState | None, market_id: str, now_us: int) -> tuple[BarState | None, Bar | None]:
    """Tells the newest bar when venue time `now_us`, as other markets show it, has passed its end and the grace."""
    due_us = closes_us(state)
    if state is None or due_us is None or now_us < due_us:
        return state, None
    return replace(state, is_told=True), _bar(state, market_id, state.bar)


def _join(state: BarState, tick: Tick) -> tuple[BarState, Bar | None]:
    """A tick in order."""
    price_ppm = state.price_ppm if tick.price_ppm is None else tick.price_ppm
    usd, trades = state.carried_usd, _count(state.carried_trades, tick.trades)
    kind, counter = reading(tick)
    if kind == NO_COUNTER:
        kind, counter = state.counter_kind, state.counter
    elif kind == state.counter_kind:
        usd = _sum(usd, traded_usd(kind, state.counter, counter, price_ppm))
    bar, is_told, before, tells = state.bar, state.is_told, state.before, None
    if tick.ts_event_us // _BAR_US * _BAR_US == bar.start_us:
        if tick.price_ppm is not None:
            bar = merge(bar, _part(tick, tick.price_ppm, usd, trades))
        else:
            bar = replace(bar, volume_usd=_sum(bar.volume_usd, usd), trades=_count(bar.trades, trades))
        usd = trades = None
        tells = bar if is_told and bar != state.bar else None
    else:
        tells, is_told = None if is_told else bar, True
        if tick.price_ppm is not None:
            bar, is_told, before = _part(tick, tick.price_ppm, usd, trades), False, bar
            usd = trades = None
    after = BarState(
        venue=state.venue,
        token_id=state.token_id,
        newest_us=tick.ts_event_us,
        price_ppm=price_ppm,
        counter_kind=kind,
        counter=highest(state.counter_kind, state.counter, kind, counter),
        bar=bar,
        is_told=is_told,
        before=before,
        carried_usd=usd,
        carried_trades=trades,
    )
    return after, None if tells is None else _bar(state, tick.market_id, tells)


def _correct(state: BarState, tick: Tick) -> tuple[BarState, Bar | None]:
    """A late tick."""
    if tick.price_ppm is None:
        return state, None
    start_us = tick.ts_event_us // _BAR_US * _BAR_US
    if state.bar.start_us == start_us:
        bar = _corrected(state.bar, tick, tick.price_ppm)
        tells = state.is_told and bar != state.bar
        return replace(state, bar=bar), _bar(state, tick.market_id, bar) if tells else None
    if state.before is None or state.before.start_us != start_us:
        return state, None
    before = _corrected(state.before, tick, tick.price_ppm)
    if before == state.before:
        return state, None
    return replace(state, before=before), _bar(state, tick.market_id, before)


def _corrected(bar: OpenBar, tick: Tick, price_ppm: int) -> OpenBar:
    opens = tick.ts_event_us < bar.first_event_us
    if not opens and bar.low_ppm <= price_ppm <= bar.high_ppm:
        return bar
    return replace(
        bar,
        open_ppm=price_ppm if opens else bar.open_ppm,
        high_ppm=max(bar.high_ppm, price_ppm),
        low_ppm=min(bar.low_ppm, price_ppm),
        first_event_us=min(bar.first_event_us, tick.ts_event_us),
        last_received_us=max(bar.last_received_us, tick.ts_received_us),
    )


def _part(tick: Tick, price_ppm: int, volume_usd: float | None, trades: int | None) -> OpenBar:
    return OpenBar(
        start_us=tick.ts_event_us // _BAR_US * _BAR_US,
        open_ppm=price_ppm,
        high_ppm=price_ppm,
        low_ppm=price_ppm,
        close_ppm=price_ppm,
        first_event_us=tick.ts_event_us,
        last_event_us=tick.ts_event_us,
        last_received_us=tick.ts_received_us,
        volume_usd=volume_usd,
        trades=trades,
        ticks=1,
    )


def _bar(state: BarState, market_id: str, bar: OpenBar) -> Bar:
    return Bar(
        event_id=event_id("bar", market_id, BAR_S, bar.start_us),
        venue=state.venue,
        market_id=market_id,
        token_id=state.token_id,
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


def _sum(a: float | None, b: float | None) -> float | None:
    if a is None:
        return b
    return a if b is None else a + b


def _count(a: int | None, b: int | None) -> int | None:
    if a is None:
        return b
    return a if b is None else a + b

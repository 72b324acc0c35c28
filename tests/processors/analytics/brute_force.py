"""What a move ought to say, worked out from all ticks of a market by brute force. Shares no code with the product."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from schemas.events import Tick, WindowMove
from schemas.units import US_PER_S

FOREVER_US = 1 << 62


@dataclass
class Spell:
    """What held from one moment until just before another. `word`: mid, last, none or gap."""

    price_ppm: int | None
    word: str
    from_us: int
    until_us: int = FOREVER_US


def spells(ticks: list[Tick]) -> list[Spell]:
    """All that ever held, in order; ticks in order of time."""
    found: list[Spell] = []
    promise_s, newest_us = 0, 0

    def begin(spell: Spell) -> None:
        if found and (found[-1].price_ppm, found[-1].word) == (spell.price_ppm, spell.word):
            return
        if found:
            found[-1].until_us = spell.from_us
        found.append(spell)

    for tick in ticks:
        if not found and tick.price_ppm is None:
            continue
        silence_us = tick.ts_event_us - newest_us
        if found and promise_s and silence_us > 2.5 * max(promise_s, tick.heartbeat_s) * US_PER_S:
            begin(Spell(None, "gap", newest_us + 1))
        promise_s = tick.heartbeat_s if tick.source == "sweep" else max(promise_s, tick.heartbeat_s)
        newest_us = tick.ts_event_us
        begin(Spell(tick.price_ppm, "none" if tick.price_ppm is None else tick.price_basis, newest_us))
    return found


def spell_at(found: list[Spell], at_us: int) -> Spell | None:
    """What held at a moment; None before the first price."""
    return next((s for s in reversed(found) if s.from_us <= at_us), None)


def price_at(found: list[Spell], at_us: int) -> Spell | None:
    """The spell that held at a moment, when it had a price."""
    spell = spell_at(found, at_us)
    return spell if spell is not None and spell.price_ppm is not None else None


def expected(found: list[Spell], tick: Tick, window_s: int) -> WindowMove:
    """The window's move but for volume, trades and score."""
    now_us, now = tick.ts_event_us, tick.price_ppm
    then_us = now_us - window_s * US_PER_S
    then = spell_at(found, then_us)
    across = any(s.word == "gap" and s.from_us <= now_us and min(s.until_us, now_us) > then_us for s in found)
    known = [s.from_us for s in found if then_us < s.from_us <= now_us and s.price_ppm is not None]
    if then is None or then.price_ppm is None:
        return WindowMove(
            window_s=window_s,
            coverage_s=(now_us - min(known, default=now_us)) // US_PER_S,
            computed_across_gap=across,
            no_move="not_covered" if then is None else "in_gap" if then.word == "gap" else "no_price",
        )
    alike = now is not None and then.word == tick.price_basis
    move_pp = (now - then.price_ppm) / 10_000 if alike and now is not None else None
    return WindowMove(
        window_s=window_s,
        price_then_ppm=then.price_ppm,
        ts_then_us=then.from_us,
        move_pp=move_pp,
        coverage_s=window_s,
        computed_across_gap=across,
        basis_then="mid" if then.word == "mid" else "last",
        no_move=None if alike else "no_price_now" if now is None else "basis_changed",
        reference_ppm=None if across or move_pp is None else mean(found, then_us, now_us),
        onset_us=foot(found, then_us, now_us, then.price_ppm, now)
        if move_pp is not None and now is not None and abs(move_pp) >= 2
        else None,
    )


def bridged(found: list[Spell]) -> list[Spell]:
    """The same with each spell without a price given the price before it."""
    filled: list[Spell] = []
    for spell in found:
        price = filled[-1].price_ppm if spell.price_ppm is None else spell.price_ppm
        filled.append(Spell(price, spell.word, spell.from_us, spell.until_us))
    return filled


def mean(found: list[Spell], from_us: int, until_us: int) -> int:
    """Price integrated over whole milliseconds, divided by the time, rounded down."""
    total = 0
    for spell in bridged(found):
        first, last = max(spell.from_us, from_us) // 1000, min(spell.until_us, until_us) // 1000
        if spell.from_us < until_us and spell.until_us > from_us:
            total += (spell.price_ppm or 0) * (last - first)
    return math.floor(Fraction(total, until_us // 1000 - from_us // 1000))


def foot(found: list[Spell], then_us: int, now_us: int, then: int, now: int) -> int:
    """Since when the price has stood nearer to now's than to then's."""
    since = now_us
    for spell in reversed([s for s in bridged(found) if then_us < s.from_us <= now_us]):
        price = spell.price_ppm or 0
        if (price * 2 <= then + now) if now > then else (price * 2 >= then + now):
            break
        since = spell.from_us
    return since


def standing(found: list[Spell], now_us: int, now: int) -> int:
    """Weighted median over the last 40 seconds, the lower one on a tie."""
    since_us = now_us - 40 * US_PER_S
    held: list[tuple[int, int]] = []
    for spell in found:
        length = min(spell.until_us, now_us) - max(spell.from_us, since_us)
        if spell.price_ppm is not None and length > 0:
            held.append((spell.price_ppm, length))
    total, sum_us = sum(length for _, length in held), 0
    for price, length in sorted(held):
        sum_us += length
        if 2 * sum_us >= total:
            return price
    return now

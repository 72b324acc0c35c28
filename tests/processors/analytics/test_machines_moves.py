"""Whatever becomes of a market's ticks and of the process: its moves are those of the brute force."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from math import isclose, log, log1p

from hypothesis import settings
from hypothesis.stateful import invariant

from processors.analytics.moves import update
from processors.analytics.windows import History, WindowPlan
from schemas.events import Move, Tick
from schemas.units import US_PER_S
from tests.processors.analytics.brute_force import Spell, expected, price_at, spells, standing
from tests.processors.analytics.courses import Course, Parts

WINDOWS = (100, 300, 900)
"""Cells of two seconds: no two ticks of a course that tell volume only share one, so every answer is exact."""

PLAN = WindowPlan(WINDOWS)


def usual_step(found: list[Spell]) -> tuple[float | None, int]:
    """What the price usually changes by, in log-odds, and how often it has changed."""
    usual, changes = None, 0
    for before, after in pairwise(found):
        if before.word != after.word or before.price_ppm is None or after.price_ppm is None:
            continue
        size, changes = abs(_log_odds(after.price_ppm) - _log_odds(before.price_ppm)), changes + 1
        usual = min(size, 0.1) if usual is None else usual * 0.9 + 0.1 * min(size, 4 * max(usual, 0.005))
    return usual, changes


def _log_odds(ppm: int) -> float:
    price = min(max(ppm / 1e6, 0.001), 0.999)
    return log(price / (1 - price))


def counters(tick: Tick) -> tuple[str, float] | None:
    if tick.volume_total_usd is not None:
        return "usd", tick.volume_total_usd
    return None if tick.volume_total_contracts is None else ("contracts", tick.volume_total_contracts)


def gained(ticks: list[Tick], index: int) -> float:
    """US dollars that one tick's counter gained on all readings of the same run of the same counter."""
    now = counters(ticks[index])
    run: list[float] = []
    for tick in ticks[:index]:
        reading = counters(tick)
        if reading is not None:
            run = [*run, reading[1]] if now is not None and reading[0] == now[0] else []
    if now is None or not run or now[1] <= max(run):
        return 0.0
    priced = next(t.price_ppm for t in reversed(ticks[: index + 1]) if t.price_ppm is not None)
    return (now[1] - max(run)) * (1 if now[0] == "usd" else (priced or 0) / 1e6)


def traded(ticks: list[Tick], then_us: int) -> tuple[float | None, int | None]:
    """US dollars and trades since a moment; None where nothing had been told by then."""
    known = [t for t in ticks if t.ts_event_us <= then_us]
    later = [i for i, t in enumerate(ticks) if t.ts_event_us > then_us]
    usd = sum(gained(ticks, i) for i in later) if any(counters(t) for t in known) else None
    trades = sum(ticks[i].trades or 0 for i in later) if any(t.trades is not None for t in known) else None
    return usd, trades


def gives_a_move(ticks: list[Tick]) -> bool:
    """Priced, or the first without a price, or of another status than the one before."""
    now = ticks[-1]
    return now.price_ppm is not None or ticks[-2].price_ppm is not None or now.market_status != ticks[-2].market_status


def check(move: Move, ticks: list[Tick]) -> None:
    """Compares a move with all that its market had shown."""
    tick, found = ticks[-1], spells(ticks)
    usual, changes = usual_step(found)
    assert move.standing_ppm == (None if tick.price_ppm is None else standing(found, tick.ts_event_us, tick.price_ppm))
    assert (move.usual_step is None) == (usual is None)
    assert isclose(move.usual_step or 0, usual or 0, abs_tol=1e-12)
    assert move.changes == changes
    for window in move.windows:
        bare = replace(window, score=None, volume_usd=None, trades=None)
        assert bare == expected(found, tick, window.window_s)
        then_us = tick.ts_event_us - window.window_s * US_PER_S
        usd, trades = traded(ticks, then_us) if price_at(found, then_us) else (None, None)
        assert (window.trades, window.volume_usd is None) == (trades, usd is None)
        assert isclose(window.volume_usd or 0, usd or 0, abs_tol=1e-6)
        score = None if window.move_pp is None else abs(window.move_pp) * log1p(tick.volume_24h_usd or 0)
        assert window.score == score


class Moves(Course[Move]):
    def nothing(self) -> Parts:
        return (None, None)

    def take(self, state: Parts, tick: Tick) -> tuple[Parts, Sequence[Move]]:
        head, body = state
        history, move = update(None if head is None else History.unpack(head, body), tick, PLAN)
        return (None, None) if history is None else history.pack(), () if move is None else (move,)

    @invariant()
    def the_newest_tick_has_the_move_of_the_brute_force(self) -> None:
        due = [t.ts_event_us for i, t in enumerate(self.true) if gives_a_move(self.true[: i + 1])]
        assert [m.ts_event_us for m in self.told] == due
        if due and due[-1] == self.newest_us:
            check(self.told[-1], self.true)

    @invariant()
    def every_moment_has_one_id(self) -> None:
        assert len({m.event_id for m in self.told}) == len(self.told)


TestMoves = Moves.TestCase
TestMoves.settings = settings(max_examples=80, stateful_step_count=40)

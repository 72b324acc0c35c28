"""From a tick and what is remembered of its market: how far the probability has moved over each window.

Ticks that do not come in order, in words: one that is *late* (not newer than the newest seen of its market: delivered
again, doubled or overtaken) changes nothing and gives no move; one that is *early* (stamped more than a minute ahead of
its receipt, `schemas.times`) changes nothing either, so that a wrong clock cannot freeze a market.

A move compares like with like: the price now with the as-of price at the start of the window, when there was one and
both are mids, or both are last trades. Otherwise the window has no move and says why (`no_move`).

A venue's figure of an earlier price (`source` backfill) comes before the first tick that was seen, or it is late.
It gives no move by itself; a window that begins at one says `computed_across_gap`.
"""

from __future__ import annotations

from typing import Final

from processors.analytics.scoring import SCORES, Evidence
from processors.analytics.windows import BASES, GAP, History, WindowPlan
from schemas.events import Move, Tick, WindowMove
from schemas.times import is_ahead
from schemas.units import PPM, PPM_PER_PP, US_PER_S, event_id
from schemas.words import MARKET_STATUSES, NoMove

SETTLING_WITHIN_S: Final = 3600
"""A market this near its end, or past it, with a price near 0 or 1, is settling."""

SETTLING_MARGIN_PPM: Final = 30_000
"""How near: 3 percentage points."""

ONSET_FROM_PP: Final = 2.0
"""Moves under so many percentage points have no foot: nobody asks when nothing began."""


def update(history: History | None, tick: Tick, plan: WindowPlan) -> tuple[History | None, Move | None]:
    """Takes a tick in; gives the history to keep and the Move to publish.

    A Move comes of every priced tick; also, with price None, of a tick by which a market lost its price or changed
    its status while it has none, so that whoever follows an episode learns of its end. None comes of a late or an early
    tick and of a market that never had a price. The given history is not changed, and is given back as it is by a tick
    that changes nothing.

    Raises:
        ValueError: the tick's status is unknown.
    """
    if is_ahead(tick.ts_event_us, tick.ts_received_us):
        return history, None
    if history is None:
        if tick.price_ppm is None:
            return None, None
        history = History.start(tick)
        return history, None if tick.source == "backfill" else _move(history, tick, plan)
    if tick.ts_event_us <= history.newest_us:
        return history, None
    was_priced, status_before = not history.price_lost, history.status
    history = history.copy()
    history.observe(tick, plan)
    if tick.source == "backfill":
        return history, None
    if tick.price_ppm is None and not was_priced and MARKET_STATUSES[status_before] == tick.market_status:
        return history, None
    return history, _move(history, tick, plan)


def is_settling(tick: Tick, seconds_to_close: int | None) -> bool:
    """Whether the market is not open, or near its end with a price within 3 points of 0 or 1."""
    if tick.market_status != "open":
        return True
    if tick.price_ppm is None or seconds_to_close is None or seconds_to_close > SETTLING_WITHIN_S:
        return False
    return tick.price_ppm <= SETTLING_MARGIN_PPM or tick.price_ppm >= PPM - SETTLING_MARGIN_PPM


def _move(history: History, tick: Tick, plan: WindowPlan) -> Move:
    ts_us = tick.ts_event_us
    spread_ppm = None if tick.bid_ppm is None or tick.ask_ppm is None else tick.ask_ppm - tick.bid_ppm
    seconds_to_close = None if tick.close_ts_us is None else (tick.close_ts_us - ts_us) // US_PER_S
    usual_step = history.usual_step if history.usual_step == history.usual_step else None
    standing_ppm = None if tick.price_ppm is None else history.standing_ppm()
    settling = is_settling(tick, seconds_to_close)
    return Move(
        event_id=event_id("move", tick.market_id, ts_us),
        venue=tick.venue,
        market_id=tick.market_id,
        token_id=tick.token_id,
        ts_event_us=ts_us,
        ts_received_us=tick.ts_received_us,
        price_ppm=tick.price_ppm,
        price_basis=tick.price_basis,
        spread_ppm=spread_ppm,
        volume_24h_usd=tick.volume_24h_usd,
        market_status=tick.market_status,
        seconds_to_close=seconds_to_close,
        step_pp=_in_points(usual_step, history.price_ppm),
        is_settling=settling,
        windows=_window_moves(history, tick, plan, spread_ppm, usual_step, standing_ppm, settling),
        standing_ppm=standing_ppm,
        usual_step=usual_step,
        changes=history.changes,
    )


def _window_moves(
    history: History,
    tick: Tick,
    plan: WindowPlan,
    spread_ppm: int | None,
    usual_step: float | None,
    standing_ppm: int | None,
    settling: bool,
) -> tuple[WindowMove, ...]:
    ts_us, price_ppm = tick.ts_event_us, tick.price_ppm
    score = SCORES[plan.score]
    points = history.points
    run_start = points.count
    moves = []
    for window_s, window_us in zip(plan.windows_s, plan.windows_us, strict=True):
        then_us = ts_us - window_us
        then = points.as_of(then_us)
        gap = history.gap_end_us > then_us
        no_move = _why_no_move(history, then, window_us, price_ppm)
        if not history.serves(then, window_us):
            covered_s = min(window_s, (ts_us - history.priced_since_us(then)) // US_PER_S)
            moves.append(WindowMove(window_s=window_s, coverage_s=covered_s, computed_across_gap=gap, no_move=no_move))
            continue
        gap = gap or history.is_figure(then)
        run_start = history.held_since(then, run_start)
        price_then = points.price_ppm(then)
        traded_usd = _since(history.traded_usd, points.usd(then))
        trades = _trades_since(history.trades_now, points.trades(then))
        move_pp: float | None = None
        ranked: float | None = None
        if no_move is None and price_ppm is not None:
            move_pp = (price_ppm - price_then) / PPM_PER_PP
            ranked = score(
                Evidence(
                    move_pp=move_pp,
                    price_ppm=price_ppm,
                    price_then_ppm=price_then,
                    volume_24h_usd=tick.volume_24h_usd,
                    window_usd=traded_usd,
                    window_trades=trades,
                    spread_ppm=spread_ppm,
                    usual_step=usual_step,
                    changes=history.changes,
                    standing_ppm=standing_ppm,
                    is_settling=settling,
                )
            )
        moves.append(
            WindowMove(
                window_s=window_s,
                price_then_ppm=price_then,
                ts_then_us=points.ts_us(run_start),
                move_pp=move_pp,
                score=ranked,
                coverage_s=window_s,
                volume_usd=traded_usd,
                trades=trades,
                computed_across_gap=gap,
                basis_then=BASES[points.basis(then)],
                no_move=no_move,
                reference_ppm=None if gap or move_pp is None else history.mean_ppm(then, then_us),
                onset_us=history.onset_us(then) if move_pp is not None and abs(move_pp) >= ONSET_FROM_PP else None,
            )
        )
    return tuple(moves)


def _why_no_move(history: History, then: int, window_us: int, price_ppm: int | None) -> NoMove | None:
    """Why there is nothing to compare, or nothing alike; None when the window has a move."""
    if then < 0:
        return "not_covered"
    if not history.serves(then, window_us):
        if history.is_figure(then):
            return "not_covered"
        return "in_gap" if history.points.basis(then) == GAP else "no_price"
    if price_ppm is None:
        return "no_price_now"
    return None if BASES[history.points.basis(then)] == BASES[history.basis] else "basis_changed"


def _in_points(usual_step: float | None, price_ppm: int) -> float | None:
    """A step in log-odds as percentage points at a price: its derivative is p (1 - p)."""
    if usual_step is None:
        return None
    chance = price_ppm / PPM
    return usual_step * chance * (1 - chance) * 100


def _since(now_usd: float, then_usd: float) -> float | None:
    """NaN is the one value that differs from itself: the venue had not told its volume then."""
    return now_usd - then_usd if then_usd == then_usd else None


def _trades_since(now: int, then: int) -> int | None:
    return now - then if then >= 0 else None

"""From a tick and what is remembered of its market: how far the probability has moved over each window."""

from __future__ import annotations

from processors.analytics.scoring import move_times_log_volume
from processors.analytics.windows import History, WindowPlan
from schemas.events import Move, Tick, WindowMove
from schemas.units import PPM, PPM_PER_PP, US_PER_S, event_id
from schemas.words import MARKET_STATUSES

SETTLING_WITHIN_S = 3600
"""A market this near its end, or past it, with a price near 0 or 1, is settling."""

SETTLING_MARGIN_PPM = 30_000
"""How near: 3 percentage points."""


def is_late(history: History | None, tick: Tick) -> bool:
    """Whether a tick is not newer than what its market has seen: redelivered, or overtaken. It changes nothing."""
    return history is not None and tick.ts_event_us <= history.newest_us


def update(history: History | None, tick: Tick, plan: WindowPlan) -> tuple[History | None, Move | None]:
    """Takes a tick in; gives the history to keep and the Move to publish.

    A Move comes of every priced tick; also, with price None, of a tick by which a market lost its price or changed
    its status while it has none, so that whoever follows an episode learns of its end. None comes of a late tick
    (`is_late`) and of a market that never had a price. The given history is changed and must not be used afterwards.

    Raises:
        ValueError: the tick's status is unknown. The history was not changed.
    """
    if history is None:
        if tick.price_ppm is None:
            return None, None
        history = History.start(tick)
        return history, _move(history, tick, plan)
    if tick.ts_event_us <= history.newest_us:
        return history, None
    was_priced, status_before = not history.price_lost, history.status
    history.observe(tick, plan)
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
        step_pp=history.step_pp if history.step_pp == history.step_pp else None,
        is_settling=is_settling(tick, seconds_to_close),
        windows=_window_moves(history, tick, plan),
    )


def _window_moves(history: History, tick: Tick, plan: WindowPlan) -> tuple[WindowMove, ...]:
    ts_us = tick.ts_event_us
    age_s = (ts_us - history.first_us) // US_PER_S
    run_start = len(history.ts_us)
    moves = []
    for window_s, window_us in zip(plan.windows_s, plan.windows_us, strict=True):
        then = history.as_of(ts_us - window_us)
        gap = history.gap_end_us > ts_us - window_us
        if then < 0:
            moves.append(WindowMove(window_s=window_s, coverage_s=min(window_s, age_s), computed_across_gap=gap))
            continue
        run_start = history.held_since(then, run_start)
        price_then = history.price_ppm[then]
        move_pp = None if tick.price_ppm is None else (tick.price_ppm - price_then) / PPM_PER_PP
        moves.append(
            WindowMove(
                window_s=window_s,
                price_then_ppm=price_then,
                ts_then_us=history.ts_us[run_start],
                move_pp=move_pp,
                score=move_times_log_volume(move_pp, tick.volume_24h_usd),
                coverage_s=window_s,
                volume_usd=_since(history.traded_usd, history.usd[then]),
                trades=_trades_since(history.trades_now, history.trades[then]),
                computed_across_gap=gap,
            )
        )
    return tuple(moves)


def _since(now_usd: float, then_usd: float) -> float | None:
    """NaN is the one value that differs from itself: the venue had not told its volume then."""
    return now_usd - then_usd if then_usd == then_usd else None


def _trades_since(now: int, then: int) -> int | None:
    return now - then if then >= 0 else None

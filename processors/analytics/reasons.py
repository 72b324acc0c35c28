"""Why an alert is told: the conditions with their numbers, what speaks for it and against it, how much it matters.

Nothing here decides anything; a reason is as true as the numbers it repeats. We say that a step happened, never that it
will last.
"""

from __future__ import annotations

from typing import Final

from processors.analytics.episodes import Episode
from processors.analytics.rules import Rule
from processors.analytics.scoring import FEW_TRADES, MANY_STEPS, known_steps
from schemas.events import Move, WindowMove
from schemas.units import PPM_PER_PP, window_label
from schemas.words import Factor, Severity

MANY_DOLLARS: Final = 500.0
"""US dollars traded inside the window that speak for a move; less speaks against it."""

BIG_MONEY_24H: Final = 100_000.0
BIG_MONEY_WINDOW: Final = 10_000.0
FAR_STEPS: Final = 8.0


def detected(rule: Rule, episode: Episode, move: Move, window: WindowMove) -> str:
    """The rule's conditions, each with its number."""
    labels = ", ".join(window_label(w) for w in episode.windows_s)
    parts = [
        f"abs_move_pp {_compared(episode.detected_pp, '>=', episode.threshold_pp, 1)} over {labels}",
        f"volume_24h_usd {_compared(move.volume_24h_usd or 0, '>=', rule.min_volume_24h_usd, 0)}",
        f"spread_pp {_compared(_spread_pp(move), '<=', rule.max_spread_pp, 1)}",
    ]
    steps = known_steps(episode.from_ppm, move)
    if rule.min_usual_steps and steps is not None:
        parts.append(f"usual_steps {_compared(steps, '>=', rule.min_usual_steps, 1)}")
    if rule.min_window_usd:
        parts.append(f"window_usd {_compared(window.volume_usd or 0, '>=', rule.min_window_usd, 0)}")
    return " and ".join(parts) + _labels(episode)


def _compared(value: float, sign: str, limit: float, digits: int) -> str:
    """`value >= limit`, or `<=`: the value with `digits` decimals, or more, up to four, until it is true as printed."""
    text = ""
    for places in range(digits, 5):
        text = f"{value:,.{places}f}"
        printed = float(text.replace(",", ""))
        if printed >= limit if sign == ">=" else printed <= limit:
            break
    shown = f"{limit:,.4f}".rstrip("0").rstrip(".")
    return f"{text} {sign} {shown}"


def confirmed(episode: Episode, held_pp: float, now_pp: float, after_s: float, spread_pp: float) -> str:
    """What stood after how long."""
    return (
        f"after {after_s:.0f} s the median of 40 s holds {held_pp:.1f} and the price {now_pp:.1f} of "
        f"{episode.detected_pp:.1f} pp, spread_pp {spread_pp:.1f}{_labels(episode)}"
    )


def reverted(episode: Episode, held_pp: float, now_pp: float, after_s: float) -> str:
    """What did not stand."""
    return (
        f"after {after_s:.0f} s the median of 40 s holds {held_pp:.1f} and the price {now_pp:.1f} of "
        f"{episode.detected_pp:.1f} pp"
    )


def _labels(episode: Episode) -> str:
    gap = "; across a gap in the feed" if episode.across_gap else ""
    return gap + ("; the market is near its end" if episode.kind == "settlement" else "")


def _spread_pp(move: Move) -> float:
    return (move.spread_ppm or 0) / PPM_PER_PP


def factors(
    rule: Rule, direction: int, episode: Episode, move: Move, window: WindowMove | None
) -> tuple[tuple[Factor, ...], tuple[Factor, ...]]:
    """What speaks for the episode now, and what against it. What is not known stands in neither."""
    steps = _steps(direction, episode, move)
    said: list[tuple[Factor, bool | None]] = [
        ("standing", None if move.ts_event_us == episode.opened_at_us else _stands(direction, episode, move)),
        ("two_sided", move.price_basis == "mid" and _spread_pp(move) <= rule.max_spread_pp),
        ("dollars", None if window is None or window.volume_usd is None else window.volume_usd >= MANY_DOLLARS),
        ("trades", None if window is None or window.trades is None else window.trades >= FEW_TRADES),
        ("unusual", None if steps is None else steps >= MANY_STEPS),
        ("basis", move.price_basis == "mid"),
        ("continuous", not episode.across_gap),
        ("lifecycle", move.market_status == "open" and not move.is_settling),
    ]
    return tuple(f for f, verdict in said if verdict), tuple(f for f, verdict in said if verdict is False)


_BY_POINTS: tuple[Severity, ...] = ("low", "low", "medium", "high", "high")


def severity(rule: Rule, direction: int, episode: Episode, move: Move, window: WindowMove | None) -> Severity:
    """One point each for twice the threshold, big money a day, big money in the window, a very unusual step.

    Three points are high, two medium. What is not shouted (settlement, across a gap) is low.
    """
    if episode.kind != "move":
        return "low"
    steps = _steps(direction, episode, move)
    points = (
        (episode.peak_pp >= 2 * rule.threshold_pp)
        + ((move.volume_24h_usd or 0) >= BIG_MONEY_24H)
        + (window is not None and (window.volume_usd or 0) >= BIG_MONEY_WINDOW)
        + (steps is not None and steps >= FAR_STEPS)
    )
    return _BY_POINTS[points]


def _stands(direction: int, episode: Episode, move: Move) -> bool | None:
    if move.standing_ppm is None or move.price_ppm is None or move.price_basis != "mid":
        return None
    return (move.standing_ppm - episode.from_ppm) * direction * 2 >= episode.detected_pp * PPM_PER_PP


def _steps(direction: int, episode: Episode, move: Move) -> float | None:
    """How many of its market's usual steps the move still is; 0 when it has turned round, None where nobody knows."""
    steps = known_steps(episode.from_ppm, move)
    if steps is None or move.price_ppm is None or move.price_basis != "mid":
        return None
    return steps if (move.price_ppm - episode.from_ppm) * direction > 0 else 0.0

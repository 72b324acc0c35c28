"""What the pipeline ought to have stored, worked out from the recordings alone, by brute force in pandas.

Nothing here imports the product: the rules are read from the blueprint and written again.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

WINDOWS_S = (300, 900, 3600, 86400)


def kalshi_quotes(path: Path, moments: int) -> pd.DataFrame:
    """Top of book by (moment in whole seconds, ticker): bid, ask in dollars, NaN for an empty side."""
    rows = pd.read_csv(path)
    stamps = pd.to_datetime(rows["timestamp"], format="ISO8601", utc=True)
    rows["moment"] = np.ceil(stamps.astype("int64") / _per_second(stamps)).astype("int64")
    rows["order"] = stamps
    rows = rows.sort_values("order", kind="stable")
    rows["bid"] = (rows["best_yes_bid"] / 100).where(rows["best_yes_bid"] > 0)
    rows["ask"] = ((100 - rows["best_no_bid"]) / 100).where(rows["best_no_bid"] > 0)
    return _state_at_each_moment(rows.rename(columns={"market_ticker": "market"}), ["bid", "ask"], moments)


def polymarket_points(path: Path, from_s: int, moments: int) -> pd.DataFrame:
    """Price by (moment in whole seconds, question), of each question's first outcome, from an instant on."""
    rows = pd.read_csv(path)
    first = rows.drop_duplicates("Question")[["Question", "Outcome"]]
    rows = rows.merge(first, on=["Question", "Outcome"]).rename(columns={"Question": "market", "Price": "price"})
    rows["market"] = rows["market"].str.strip()
    rows["moment"] = rows["Timestamp"]
    rows = rows[rows["moment"] >= from_s]
    rows = rows.sort_values("moment", kind="stable")
    return _state_at_each_moment(rows, ["price"], moments)


def kalshi_price(quotes: pd.DataFrame) -> pd.Series[float]:
    """Mid where both sides stand at most 10 cents apart and do not cross; these recordings know no last trade."""
    spread = quotes["ask"] - quotes["bid"]
    fits = (spread > -1e-9) & (spread < 0.10 + 1e-9)
    return ((quotes["bid"] + quotes["ask"]) / 2).where(fits)


def _per_second(stamps: pd.Series[Any]) -> int:
    return {"us": 1_000_000, "ns": 1_000_000_000}[np.datetime_data(stamps.dt.tz_localize(None).dtype)[0]]


def _state_at_each_moment(rows: pd.DataFrame, columns: list[str], moments: int) -> pd.DataFrame:
    """The last row of each market at or before each moment; a market is there from its first row on."""
    kept = np.sort(rows["moment"].unique())[:moments]
    rows = rows[rows["moment"].isin(kept)].assign(seen=1.0)
    filled = {}
    for market, of_market in rows.groupby("market"):
        # An empty side is a value, not a hole: rows are carried forward as a whole.
        last = of_market.drop_duplicates("moment", keep="last").set_index("moment")[[*columns, "seen"]]
        filled[market] = last.reindex(kept, method="ffill")
    long = pd.concat(filled, names=["market", "moment"])
    return pd.DataFrame(long[long["seen"].notna()][columns])


@dataclass(frozen=True, order=True)
class State:
    """What a market showed from an instant on. `basis` says what the price was: mid, last, or none."""

    ts_us: int
    price_ppm: int | None
    basis: str


def states(snapshots: pd.DataFrame) -> dict[str, list[State]]:
    """Every state of every market, in order of time."""
    found: dict[str, list[State]] = {}
    columns = ("market_id", "ts_us", "price", "price_basis")
    for market, ts_us, price, basis in snapshots[list(columns)].sort_values("ts_us").itertuples(index=False):
        ppm = None if np.isnan(price) else round(price * 1e6)
        found.setdefault(market, []).append(State(int(ts_us), ppm, str(basis)))
    return found


def as_of(of_market: list[State], now_us: int, window_s: int) -> list[State]:
    """The states in force within the last 2 % of the window before `now − window`, the exact one last.

    Empty while nothing is known of that time: the series begins later.
    """
    then_us = now_us - window_s * 1_000_000
    last = bisect_right(of_market, then_us, key=lambda s: s.ts_us) - 1
    if last < 0:
        return []
    first = bisect_right(of_market, then_us - window_s * 20_000, key=lambda s: s.ts_us) - 1
    return of_market[max(0, first) : last + 1]


def move_pp(then: State, now: State) -> float | None:
    """Like is compared with like: a mid with a mid, a last trade with a last trade."""
    if then.price_ppm is None or now.price_ppm is None or then.basis != now.basis:
        return None
    return (now.price_ppm - then.price_ppm) / 10_000


Transition = tuple[str, str, int, str, int, str | None, tuple[int, ...]]
"""market, direction, opened_at_us, state, ts_us, close reason, windows."""

MINUTE_US = 60_000_000


@dataclass
class Running:
    """An episode that is open."""

    opened: int
    base: float
    size: float
    told: float
    window_s: int
    windows: tuple[int, ...]
    across_gap: bool
    """Its leading window holds a gap, and its market is not near its end."""
    confirmed: bool = False
    confirmed_at: int = 0


@dataclass
class Last:
    """What one direction of a market was told last."""

    at: int
    price: float
    cool_until: int


def alerts(moves: list[dict[str, Any]], rule: Mapping[str, float]) -> Iterator[Transition]:
    """Transitions that the written rule asks for, from one market's moves in order of time."""
    running: dict[int, Running] = {}
    last: dict[int, Last] = {}
    close_us: int | None = None
    newest = 0
    for move in moves:
        now = move["ts_event_us"]
        for sign in [s for s in running if _by_time(running[s], close_us, newest) <= now]:
            episode, at = running[sign], _by_time(running[sign], close_us, newest)
            state, reason = ("closed", "rolled_off") if episode.confirmed else ("reverted", None)
            if episode.confirmed and close_us is not None and at >= close_us:
                reason = "market_ended"
            yield _line(move, sign, episode, state, at, reason)
            price = last[sign].price if episode.confirmed else episode.base
            last[sign] = Last(at, price, at + _cool_us(rule, state))
            del running[sign]
        for sign in [s for s, e in running.items() if e.across_gap and _believable(move, rule)]:
            begun = _begun(move, sign, last.get(sign), rule)
            if begun is not None and not begun.across_gap:
                yield _line(move, sign, running.pop(sign), "closed", now, "superseded")
        ended = []
        for sign in list(running):
            episode = running[sign]
            change = _change(episode, sign, move, rule)
            if change is None:
                continue
            state, reason = change
            ended.append(sign)
            yield _line(move, sign, episode, state, now, reason)
            size = _size(episode.base, sign, move, move["price_ppm"])
            price = last[sign].price if size is None else move["price_ppm"]
            last[sign] = Last(now, episode.base if state == "reverted" else price, now + _cool_us(rule, state))
            if state in ("closed", "reverted"):
                del running[sign]
            elif size is not None:
                episode.confirmed_at = episode.confirmed_at or now
                episode.confirmed, episode.told = True, max(size, episode.told)
                episode.across_gap = episode.across_gap and not move["is_settling"]
        for sign in (1, -1):
            if sign in running or sign in ended or not _believable(move, rule):
                continue
            begun = _begun(move, sign, last.get(sign), rule)
            if begun is None:
                continue
            running[sign] = begun
            last[sign] = Last(now, move["price_ppm"], now)
            yield _line(move, sign, running[sign], "detected", now, None)
        longest = max((w["window_s"] for w in move["windows"]), default=0)
        last = {s: x for s, x in last.items() if s in running or x.at >= now - longest * 1e6 or x.cool_until > now}
        close_us = None if move["seconds_to_close"] is None else now + move["seconds_to_close"] * 1_000_000
        newest = now


def _begun(move: dict[str, Any], sign: int, last: Last | None, rule: Mapping[str, float]) -> Running | None:
    """The episode that a move would begin, its market open and quoted."""
    least = rule["threshold_pp"]
    if last is not None and move["ts_event_us"] < last.cool_until:
        least = 2 * least if move["ts_event_us"] >= last.at + 2 * MINUTE_US else math.inf
    saying = [w for w in move["windows"] if _says(w, sign, move, last, least)]
    if not saying:
        return None
    base = _base(saying[0], sign, move["ts_event_us"], last)
    if not _unusual(base, move):
        return None
    size = sign * (move["price_ppm"] - base) / 10_000
    windows = tuple(w["window_s"] for w in saying)
    across_gap = saying[0]["computed_across_gap"] and not move["is_settling"]
    return Running(move["ts_event_us"], base, size, size, windows[0], windows, across_gap)


def _unusual(base: float, move: dict[str, Any]) -> bool:
    """Six usual steps in log-odds, once the price has changed five times; no step is less than 0.02."""
    if move["usual_step"] is None or move["changes"] < 5:
        return True
    now, then = (min(max(ppm, 1_000), 999_000) / 1e6 for ppm in (move["price_ppm"], base))
    size = abs(math.log(now / (1 - now)) - math.log(then / (1 - then)))
    return bool(size >= 6 * max(move["usual_step"], 0.02))


def _line(move: dict[str, Any], sign: int, episode: Running, state: str, at: int, reason: str | None) -> Transition:
    direction = "up" if sign > 0 else "down"
    return (move["market_id"], direction, episode.opened, state, at, reason, episode.windows)


def _cool_us(rule: Mapping[str, float], state: str) -> int:
    seconds = {"closed": rule["cooldown_s"], "reverted": min(rule["cooldown_s"], 120)}.get(state, 0)
    return int(seconds * 1_000_000)


def _by_time(episode: Running, close_us: int | None, newest: int) -> int:
    """When time alone ends an episode."""
    if not episode.confirmed:
        return episode.opened + 16 * MINUTE_US
    rolled = max(episode.opened + episode.window_s * 1_000_000, episode.confirmed_at) + MINUTE_US
    if close_us is None or close_us < episode.opened:
        return rolled
    return min(rolled, max(close_us, newest) + 60 * MINUTE_US)


def _size(base: float, sign: int, move: dict[str, Any], price: float | None) -> float | None:
    return None if price is None or move["price_basis"] != "mid" else sign * (price - base) / 10_000


def _base(window: dict[str, Any], sign: int, now: int, last: Last | None) -> float:
    then = float(window["price_then_ppm"])
    if last is None or last.at < now - window["window_s"] * 1_000_000:
        return then
    return max(then, last.price) if sign > 0 else min(then, last.price)


def _says(window: dict[str, Any], sign: int, move: dict[str, Any], last: Last | None, least_pp: float) -> bool:
    if window["move_pp"] is None or window["coverage_s"] < window["window_s"]:
        return False
    news = sign * (move["price_ppm"] - _base(window, sign, move["ts_event_us"], last)) / 10_000
    if news < least_pp:
        return False
    mean = window["reference_ppm"]
    return mean is None or 3 * sign * (move["price_ppm"] - mean) / 10_000 >= sign * window["move_pp"]


def _change(
    episode: Running, sign: int, move: dict[str, Any], rule: Mapping[str, float]
) -> tuple[str, str | None] | None:
    """What a move does to an open episode: a new state with its reason, or nothing to tell."""
    now, size = move["ts_event_us"], _size(episode.base, sign, move, move["price_ppm"])
    if move["market_status"] != "open":
        return "closed", "market_ended"
    if move["price_ppm"] is None:
        return ("closed", "price_lost") if episode.confirmed else None
    if not episode.confirmed:
        if now < episode.opened + 55_000_000:
            return None
        held, spread = _size(episode.base, sign, move, move["standing_ppm"]), move["spread_ppm"]
        if size is None or held is None or spread is None or spread / 10_000 > max(2 * rule["max_spread_pp"], size / 2):
            return None
        return ("confirmed" if min(size, held) >= episode.size / 2 else "reverted"), None
    if now >= episode.opened + episode.window_s * 1_000_000:
        return "closed", "rolled_off"
    if size is not None and size < rule["threshold_pp"] / 2:
        return "closed", "reversed" if size < 0 else "faded"
    if size is not None and size >= 1.5 * episode.told and _believable(move, rule):
        return "escalated", None
    return None


def _believable(move: dict[str, Any], rule: Mapping[str, float]) -> bool:
    return (
        move["market_status"] == "open"
        and (move["volume_24h_usd"] or 0) >= rule["min_volume"]
        and move["price_basis"] == "mid"
        and move["spread_ppm"] is not None
        and move["spread_ppm"] <= rule["max_spread_pp"] * 10_000
    )

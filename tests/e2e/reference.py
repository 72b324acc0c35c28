"""What the pipeline ought to have stored, worked out from the recordings alone, by brute force in pandas.

Nothing here imports the product: the rules are read from the blueprint and written again.
"""

from __future__ import annotations

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


@dataclass(frozen=True)
class Expected:
    """What a window's as-of price may be: exact, or any in force within 2 % of the window before."""

    exact: float
    allowed: frozenset[float]


def as_of(times_s: np.ndarray[Any, Any], prices: np.ndarray[Any, Any], now_s: int, window_s: int) -> Expected | None:
    """The price at or before `now − window`; None while the series is not that old."""
    then = now_s - window_s
    if then < times_s[0]:
        return None
    last = int(np.searchsorted(times_s, then, side="right")) - 1
    first = max(0, int(np.searchsorted(times_s, then - 0.02 * window_s, side="right")) - 1)
    return Expected(float(prices[last]), frozenset(float(p) for p in prices[first : last + 1]))


Transition = tuple[str, int, str, int, str, int, str | None]
"""market, window_s, direction, opened_at_us, state, ts_us, close reason."""


def alerts(moves: list[dict[str, Any]], rule: Mapping[str, float]) -> Iterator[Transition]:
    """Transitions that the written rule asks for, from one market's moves in order of time."""
    open_episodes: dict[tuple[int, str], dict[str, float]] = {}
    cool_until: dict[tuple[int, str], int] = {}
    for move in moves:
        now = move["ts_event_us"]
        for window in move["windows"]:
            for direction, sign in (("up", 1), ("down", -1)):
                key = (window["window_s"], direction)
                signed = None if window["move_pp"] is None else sign * window["move_pp"]
                believable = _believable(move, rule)
                if key in open_episodes:
                    episode = open_episodes[key]
                    ids = (move["market_id"], key[0], direction, int(episode["opened"]))
                    reason = _closing(move, signed, key[0], episode)
                    if reason is not None:
                        yield (*ids, "closed", now, reason)
                        del open_episodes[key]
                        cool_until[key] = now + int(rule["cooldown_s"] * 1e6)
                    elif signed is not None and believable and signed >= 1.5 * episode["told"]:
                        episode["told"] = signed
                        yield (*ids, "escalated", now, None)
                elif (
                    signed is not None
                    and signed >= rule["threshold_pp"]
                    and window["coverage_s"] >= key[0]
                    and believable
                    and now >= cool_until.get(key, 0)
                ):
                    open_episodes[key] = {"opened": now, "told": signed, "threshold": rule["threshold_pp"]}
                    yield (move["market_id"], key[0], direction, now, "opened", now, None)


def _believable(move: dict[str, Any], rule: Mapping[str, float]) -> bool:
    return (
        move["market_status"] == "open"
        and (move["volume_24h_usd"] or 0) >= rule["min_volume"]
        and move["price_basis"] == "mid"
        and move["spread_ppm"] is not None
        and move["spread_ppm"] <= rule["max_spread_pp"] * 10_000
    )


def _closing(move: dict[str, Any], signed: float | None, window_s: int, episode: dict[str, float]) -> str | None:
    if move["market_status"] != "open":
        return "market_ended"
    if move["price_ppm"] is None:
        return "price_lost"
    if move["ts_event_us"] >= episode["opened"] + window_s * 1e6:
        return "rolled_off"
    if signed is not None and signed < 0:
        return "reversed"
    if signed is not None and signed < episode["threshold"] / 2:
        return "faded"
    return None

"""Bars of a minute put together to the bars of a chart."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from dashboard.columns import COLUMNS
from dashboard.store import Store


def market_bars(store: Store, token_id: str, until: datetime, span_s: int, step_s: int) -> pd.DataFrame:
    """One token's bars of the `span_s` before `until` in steps of `step_s`, oldest first.

    Raises:
        StoreUnavailableError: the store cannot answer.
    """
    since = until - timedelta(seconds=span_s)
    minutes = store.rows("market_bars", COLUMNS["market_bars"], token_id=token_id, since=since, until=until)
    return in_steps(minutes, step_s)


def in_steps(minutes: pd.DataFrame, step_s: int) -> pd.DataFrame:
    """Bars of a minute, in any order, as bars of the steps they begin in; a volume is of those that tell one, else NaN.

    A step begins at a whole multiple of its length in UTC.
    """
    if minutes.empty:
        return minutes
    begun_s = minutes["ts"].to_numpy(dtype="datetime64[s]").astype(np.int64)
    in_order = np.argsort(begun_s)
    steps = begun_s[in_order] // step_s
    first = np.flatnonzero(np.diff(steps, prepend=steps[0] - 1))
    last = np.append(first[1:], len(steps)) - 1
    column = {name: minutes[name].to_numpy()[in_order] for name in ("open", "high", "low", "close", "volume_usd")}
    volume, told = column["volume_usd"], ~np.isnan(column["volume_usd"])
    summed = np.add.reduceat(np.where(told, volume, 0.0), first)
    instants = (steps[first] * step_s).astype("datetime64[s]").astype("datetime64[us]")
    return pd.DataFrame(
        {
            "ts": pd.DatetimeIndex(instants).tz_localize("UTC"),
            "open": column["open"][first],
            "high": np.maximum.reduceat(column["high"], first),
            "low": np.minimum.reduceat(column["low"], first),
            "close": column["close"][last],
            "volume_usd": np.where(np.logical_or.reduceat(told, first), summed, np.nan),
        }
    )

"""Bars of a minute put together to the bars of a chart."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dashboard.columns import COLUMNS
from dashboard.store import Store


def market_bars(store: Store, token_id: str, until: datetime, span_s: int, step_s: int) -> pd.DataFrame:
    """One token's bars of the `span_s` before `until` in steps of `step_s`, oldest first.

    Raises:
        StoreUnavailableError: the store cannot answer.
    """
    since = until - timedelta(seconds=span_s)
    minutes = store.columns("market_bars", COLUMNS["market_bars"], token_id=token_id, since=since, until=until)
    return in_steps(minutes, step_s)


def in_steps(minutes: Mapping[str, NDArray[Any]], step_s: int) -> pd.DataFrame:
    """Bars of a minute, in any order, as bars of the steps they begin in.

    A step begins at a whole multiple of its length in UTC.
    """
    begun_s = minutes["ts"].astype("datetime64[s]").astype(np.int64)
    in_order = np.argsort(begun_s)
    steps = begun_s[in_order] // step_s
    first = np.flatnonzero(np.diff(steps, prepend=-1))
    last = np.append(first, len(steps))[1:] - 1
    opened, high, low, closed = (minutes[name][in_order] for name in ("open", "high", "low", "close"))
    instants = (steps[first] * step_s).astype("datetime64[s]").astype("datetime64[us]")
    return pd.DataFrame(
        {
            "ts": pd.DatetimeIndex(instants).tz_localize("UTC"),
            "open": opened[first],
            "high": np.maximum.reduceat(high, first),
            "low": np.minimum.reduceat(low, first),
            "close": closed[last],
        }
    )

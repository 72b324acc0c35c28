"""Bars of five minutes and of an hour are their one-minute bars put together, corrected minutes too."""

from __future__ import annotations

import pytest

from schemas.units import US_PER_S
from sinks.clickhouse import rows as to
from sinks.clickhouse.store import Store
from tests.sinks.events import NOON_US, a_bar

pytestmark = pytest.mark.stack

MINUTE_US = 60 * US_PER_S


@pytest.mark.parametrize(("view", "minutes"), [("ohlcv_5m", 5), ("ohlcv_1h", 60)])
def test_a_longer_bar_is_its_minutes_put_together_and_loses_no_dollar(store: Store, view: str, minutes: int) -> None:
    """The first and the last minute of one step, stored last first and the first corrected, and one of the next."""

    def bar(minute: int, open_ppm: int, close_ppm: int, usd: float | None, received_us: int = 0) -> to.Row:
        low, high = sorted((open_ppm, close_ppm))
        made = a_bar(
            bar_start_us=NOON_US + minute * MINUTE_US, open_ppm=open_ppm, close_ppm=close_ppm, low_ppm=low,
            high_ppm=high, volume_usd=usd, trades=None if usd is None else 2, ts_received_us=NOON_US + received_us,
        )  # fmt: skip
        return to.bar_row(made)

    store.insert(to.OHLCV_1M, [bar(minutes, 100_000, 100_000, None)], "next")
    store.insert(to.OHLCV_1M, [bar(minutes - 1, 500_000, 600_000, 30.0), bar(0, 900_000, 300_000, 1.0)], "first")
    store.insert(to.OHLCV_1M, [bar(0, 400_000, 300_000, 12.5, received_us=1)], "corrected")

    rows = store.rows(
        "SELECT toUnixTimestamp64Micro(toDateTime64(ts, 6, 'UTC')), toFloat64(open), toFloat64(high), toFloat64(low),"
        f" toFloat64(close), volume_usd, trades, ticks FROM {view} ORDER BY ts"
    )

    assert [tuple(row) for row in rows] == [
        (NOON_US, 0.4, 0.6, 0.3, 0.6, 42.5, 4, 14),
        (NOON_US + minutes * MINUTE_US, 0.1, 0.1, 0.1, 0.1, None, None, 7),
    ]

"""The bars of a chart are those that the store would make of the same minutes in SQL."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from dashboard.bars import in_steps, market_bars
from dashboard.columns import COLUMNS
from dashboard.store import Store
from kernel.clickhouse import connect
from kernel.settings import ClickHouseSettings

UNTIL = datetime(2026, 11, 29, 23, 59, 59, 999999, tzinfo=UTC)
MINUTES = """
INSERT INTO ohlcv_1m (ts, token_id, open, high, low, close, ts_received)
SELECT toDateTime64('2026-11-29 00:00:00', 6, 'UTC') + INTERVAL number % 1440 MINUTE AS ts,
    if(number % 3, 'T', 'other'), 0.2 + rand(1) % 1000 / 1e6, 0.3 + rand(2) % 1000 / 1e6, 0.1 + rand(3) % 1000 / 1e6,
    0.2 + rand(4) % 1000 / 1e6, ts + number
FROM numbers({first}, 2500) WHERE number % 1440 NOT BETWEEN 600 AND 700
"""
IN_SQL = """
SELECT toStartOfInterval(bar.ts, toIntervalSecond({step_s:UInt32})) AS ts, toFloat64(argMin(bar.open, bar.ts)),
    toFloat64(max(bar.high)), toFloat64(min(bar.low)), toFloat64(argMax(bar.close, bar.ts))
FROM ohlcv_1m AS bar FINAL
WHERE bar.token_id = 'T' AND bar.ts > {until:DateTime64(6, 'UTC')} - toIntervalSecond({span_s:UInt32})
    AND bar.ts <= {until:DateTime64(6, 'UTC')}
GROUP BY ts ORDER BY ts
"""


@pytest.mark.stack
def test_bars_in_steps_are_those_of_the_same_question_in_sql(database: ClickHouseSettings) -> None:
    """A day of minutes with a hole, some told twice and corrected."""
    with connect(database, client_name="test", role="write") as client:
        for first in (0, 1440):
            client.command(MINUTES.replace("{first}", str(first)))
        for span_s, step_s in ((3_600, 60), (21_600, 60), (86_400, 300), (604_800, 1_800), (86_400, 60), (60, 60)):
            asked = {"until": UNTIL.strftime("%Y-%m-%d %H:%M:%S.%f"), "span_s": span_s, "step_s": step_s}
            told = client.query(IN_SQL, parameters=asked).result_rows
            expected = pd.DataFrame(told, columns=list(COLUMNS["market_bars"]))
            expected["ts"] = pd.to_datetime(expected["ts"], utc=True)

            bars = market_bars(Store(database), "T", UNTIL, span_s, step_s)

            assert len(bars) == len(expected) > 0
            pd.testing.assert_frame_equal(bars, expected.astype(dict(COLUMNS["market_bars"])))


def test_no_minute_gives_no_bar_and_the_same_columns() -> None:
    nothing = {name: np.array([], "datetime64[us]" if name == "ts" else float) for name in COLUMNS["market_bars"]}

    bars = in_steps(nothing, 300)

    assert (len(bars), dict(bars.dtypes.astype(str))) == (0, dict(COLUMNS["market_bars"]))

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kernel.errors import UserError
from kernel.settings import ClickHouseSettings
from movers.backtest.stored import read
from sinks.clickhouse import rows as to
from sinks.clickhouse.store import Store
from tests.sinks.events import NOON_US, a_tick

pytestmark = pytest.mark.stack


def test_what_is_stored_comes_back_as_the_ticks_it_was(database: ClickHouseSettings, store: Store) -> None:
    ticks = [
        a_tick("A", NOON_US, volume_24h_usd=5_000.0, volume_total_usd=1e6, trades=2),
        a_tick("B", NOON_US + 1, price_ppm=None, price_basis="none", bid_ppm=None, ask_ppm=None, last_ppm=None),
        a_tick("A", NOON_US + 2_000_000, market_status="closed", price_ppm=None, price_basis="none"),
    ]
    store.insert(to.SNAPSHOTS, [to.tick_row(tick, 0, i) for i, tick in enumerate(ticks)], "ticks")

    recording = read(database, None, None)

    told: dict[str, Any] = {"ts_event_basis": "venue", "source": "stream", "heartbeat_s": 0, "bid_size_contracts": None}
    told |= {"ask_size_contracts": None, "flags": ()}
    assert [replace(t, event_id="") for t in recording.ticks] == [
        replace(t, event_id="", ts_received_us=t.ts_event_us, **told) for t in ticks
    ]
    assert sorted(recording.instants_us) == [NOON_US, NOON_US + 2_000_000]


def test_a_span_bounds_what_is_read(database: ClickHouseSettings, store: Store) -> None:
    ticks = [a_tick("A", NOON_US + i) for i in range(5)]
    store.insert(to.SNAPSHOTS, [to.tick_row(tick, 0, i) for i, tick in enumerate(ticks)], "ticks")

    recording = read(database, NOON_US + 1, NOON_US + 3)

    assert [t.ts_event_us - NOON_US for t in recording.ticks] == [1, 2, 3]


def test_nothing_stored_is_said(database: ClickHouseSettings, store: Store) -> None:
    with pytest.raises(UserError, match="keeps no ticks"):
        read(database, None, None)

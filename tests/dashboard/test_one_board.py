"""The live board, the board as it was and `movers top` show the same rows, for one rule says what is on the board."""

from __future__ import annotations

import random
import time

import pytest

from dashboard import data
from dashboard.columns import COLUMNS
from dashboard.data import Watched
from dashboard.store import Store as Reader
from kernel import settings as kernel_settings
from kernel.clickhouse import connect
from kernel.settings import ClickHouseSettings, RuleSettings
from movers.console import top_movers
from schemas.units import datetime_from_micros
from sinks.clickhouse import rows as to
from sinks.clickhouse.ranking import Ranking
from sinks.clickhouse.store import Store
from tests.sinks.events import NOON_US, a_move, a_window

pytestmark = pytest.mark.stack

RULES = RuleSettings()


def test_live_at_a_minute_is_the_cache_of_that_minute_also_after_a_restart(
    database: ClickHouseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(11)
    moves = [
        a_move(
            f"T{i}",
            NOON_US - rng.choice([0, 5, 200, 299, 301, 899, 901, 1_199, 1_201, 7_000]) * 1_000_000,
            spread_ppm=rng.choice([10_000, 20_000, 60_000]),
            volume_24h_usd=rng.choice([500.0, 20_000.0, 90_000.0]),
            is_settling=rng.random() < 0.1,
            windows=tuple(
                a_window(window_s, move_pp=(size := rng.choice([0.0, 1.5, -4.0, 7.0])), score=abs(size) * rng.random())
                for window_s in RULES.windows
            ),
        )
        for i in range(400)
    ] + [a_move("newest", NOON_US)]
    sink = Store(database)
    sink.insert(to.MOVERS_LATEST, to.move_rows(moves), "moves")
    assert Ranking(sink, RULES).advance(NOON_US + 1)
    assert not Ranking(sink, RULES).advance(NOON_US + 59_000_000)  # restarted within the minute
    sink.close()

    reader = Reader(database)
    asked = {
        "window": "1h", "venues": [], "categories": [], "min_volume_usd": RULES.min_volume_24h,
        "min_window_usd": RULES.min_window_usd, "max_spread_pp": RULES.max_spread_pp, "limit": 50,
    }  # fmt: skip
    live = reader.rows("board", COLUMNS["board"], **asked, hide_settling=True)
    cached = reader.rows("board_as_of", COLUMNS["board_as_of"], **asked, as_of=datetime_from_micros(NOON_US))
    for name, value in (
        ("CLICKHOUSE_PORT", database.clickhouse_port),
        ("CLICKHOUSE_DATABASE", database.clickhouse_database),
    ):
        monkeypatch.setenv(name, str(value))
    printed = top_movers(kernel_settings.load(), "1h", 50)

    assert len(live) == 50
    assert list(live["market_id"]) == list(cached["market_id"])
    assert list(live["score"]) == list(cached["score"])
    assert [row["score"] for row in printed] == list(live["score"])


def test_what_is_watched_are_open_markets_and_only_a_price_of_now_is_fresh(database: ClickHouseSettings) -> None:
    now_us = time.time_ns() // 1000
    priced = {"windows": (a_window(3600, move_pp=2.0),)}
    moves = [
        a_move("fresh", now_us, **priced),
        a_move("fresh, without a move", now_us, windows=(a_window(3600, move_pp=None),)),
        a_move("old", now_us - 300_000_000, **priced),
        a_move("without a price", now_us, price_ppm=None, windows=(a_window(3600, move_pp=None),)),
        a_move("ended", now_us, market_status="closed", **priced),
    ]
    sink = Store(database)
    sink.insert(to.MOVERS_LATEST, to.move_rows(moves), "moves")
    for number, status in enumerate(["open"] * 5 + ["closed", "settled"]):  # one has not been quoted yet
        client = connect(database, client_name="test", role="write")
        client.insert("markets", [[f"M{number}", "kalshi", status]], column_names=["market_id", "venue", "status"])
        client.close()
    sink.close()

    assert data.watched(Reader(database), "1h", 120) == Watched(open=5, fresh=2, moved=2)

"""A store that an earlier version filled shows, once migrated, the same board, the same past and the same episodes.

Level 9 is the last whose snapshots had an id; its moves knew no reason, its alerts no rule. What the sink of then wrote
and how its readers asked are written down here once more, so that no change of today's code changes them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from dashboard.columns import COLUMNS
from dashboard.store import Store as Reader
from dashboard.store import StoreUnavailableError
from kernel.clickhouse import connect
from kernel.settings import ClickHouseSettings, RuleSettings
from schemas.events import Move
from schemas.units import datetime_from_micros, event_id, window_label
from sinks.clickhouse import rows as to
from sinks.clickhouse.columns import column_type
from sinks.clickhouse.migrate import apply, migrate, packaged_migrations
from sinks.clickhouse.ranking import Ranking
from sinks.clickhouse.rows import Row, Table
from sinks.clickhouse.store import Store
from tests.sinks.events import NOON_US, a_bar, a_market, a_move, a_tick, a_window, an_alert
from tests.stack.processes import ServiceProcess

pytestmark = pytest.mark.stack

LEVEL = 9
RULES = RuleSettings()
LABELS = [window_label(window_s) for window_s in RULES.windows]

LATER = {
    "movers_latest": ("no_move", "reference", "onset_ts"),
    "alerts": (
        "rule", "windows", "severity", "reason", "factors_for", "factors_against", "onset_ts", "window_volume_usd",
        "window_trades",
    ),
}  # fmt: skip
"""Columns that the sink of level 9 did not write."""

BOARD_OF_THEN = """
SELECT market_id, round(move_pp, 6), round(score, 6)
FROM board_rows(as_of = NULL, windows = [%(window)s])
WHERE abs_move_pp > 0 AND NOT is_settling AND coalesce(volume_24h_usd, 0) >= %(min_volume)s
    AND (isNull(window_volume_usd) OR window_volume_usd >= %(min_window_usd)s) AND spread * 100 <= %(max_spread)s
ORDER BY score DESC, abs_move_pp DESC, token_id
LIMIT 50
"""
EPISODES_OF_THEN = """
SELECT toString(alert_id), state, market_id, round(peak_move_pp, 6)
FROM alert_episodes ORDER BY state = 'closed', ts DESC, alert_id
"""
Board = list[tuple[str, float, float]]


@pytest.fixture
def database(warehouse: ServiceProcess) -> Iterator[ClickHouseSettings]:
    """Settings of a store at level 9."""
    settings = ClickHouseSettings(clickhouse_port=warehouse.port, clickhouse_database="of_an_earlier_version")
    with connect(settings, client_name="test", role="migrate", database="default") as client:
        client.command(f"CREATE DATABASE {settings.clickhouse_database} ENGINE = Atomic")
    with connect(settings, client_name="test", role="migrate") as client:
        apply(client, [migration for migration in packaged_migrations() if migration.number <= LEVEL])
    yield settings
    with connect(settings, client_name="test", role="migrate", database="default") as client:
        client.command(f"DROP DATABASE {settings.clickhouse_database}")


def some_moves(rng: random.Random) -> list[Move]:
    """On the board and off it for every reason: stale, thin, wide, settling, closed, not covered, standing still."""
    return [
        a_move(
            f"T{i}",
            NOON_US - rng.choice([0, 5, 200, 299, 301, 1_199, 1_201]) * 1_000_000,
            spread_ppm=rng.choice([10_000, 20_000, 60_000]),
            volume_24h_usd=rng.choice([None, 500.0, 20_000.0, 90_000.0]),
            is_settling=rng.random() < 0.1,
            market_status=rng.choice(["open", "open", "open", "closed"]),
            windows=tuple(
                a_window(
                    window_s,
                    move_pp=(size := rng.choice([0.0, 1.5, -4.0, 7.0])),
                    score=round(abs(size) * rng.random(), 4),
                    coverage_s=window_s - rng.choice([0, 0, 0, 1]),
                    volume_usd=rng.choice([None, 1.0, 5_000.0]),
                )
                for window_s in RULES.windows
            ),
        )
        for i in range(300)
    ] + [a_move("newest", NOON_US, windows=())]


def on_the_board(moves: Sequence[Move], window_s: int) -> Board:
    """The board of one window as of noon, by brute force."""
    fresh_us = NOON_US - min(max(window_s, 300), 1200) * 1_000_000
    found = [
        (-(w.score or 0), -abs(w.move_pp or 0), m.token_id, m.market_id, w.move_pp or 0)
        for m in moves
        for w in m.windows
        if w.window_s == window_s and w.move_pp and w.coverage_s >= window_s
        if m.market_status == "open" and not m.is_settling and m.ts_event_us >= fresh_us
        if (m.volume_24h_usd or 0) >= RULES.min_volume_24h and (m.spread_ppm or 0) <= RULES.max_spread_pp * 10_000
        if w.volume_usd is None or w.volume_usd >= RULES.min_window_usd
    ]
    return [(market, round(move, 6), round(-score, 6)) for score, _, _, market, move in sorted(found)[:50]]


def fill(settings: ClickHouseSettings, moves: Sequence[Move]) -> None:
    """Writes what the sink of then wrote."""
    states = [("detected", 0), ("closed", 600)]
    episodes = [
        an_alert(
            alert_id=event_id("episode", i),
            event_id=event_id("episode", i, state),
            state=state,
            market_id=f"M-T{i}",
            ts_event_us=NOON_US - i * 60_000_000 + after_s * 1_000_000,
            peak_move_pp=10.0 + i,
        )
        for i in range(12)
        for state, after_s in states[: 1 + i % 2]
    ]
    tick = to.tick_row(a_tick("T1"), 0, 0)
    with connect(settings, client_name="test", role="write") as client:

        def insert(table: Table, rows: Sequence[Row]) -> None:
            kept = [i for i, name in enumerate(table.columns) if name not in LATER.get(table.name, ())]
            write(table.name, [table.columns[i] for i in kept], [tuple(row[i] for i in kept) for row in rows])

        def write(table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
            types = {
                name: column_type(described) for name, described, *_ in client.query(f"DESCRIBE {table}").result_rows
            }
            client.insert(table, rows, columns, column_types=[types[name] for name in columns])

        insert(to.MARKETS, [to.market_row(a_market(market_id=f"M-T{i}", title=f"Title {i}")) for i in range(300)])
        insert(to.MOVERS_LATEST, to.move_rows(moves))
        insert(to.OHLCV_1M, [to.bar_row(a_bar(market_id="M-T1", token_id="T1"))])
        insert(to.ALERTS, [to.alert_row(alert) for alert in episodes])
        write("snapshots", [*to.SNAPSHOTS.columns, "event_id"], [(*tick, event_id("M-T1", NOON_US))])


def test_a_store_of_level_nine_shows_the_same_board_after_its_migration(database: ClickHouseSettings) -> None:
    moves = some_moves(random.Random(7))
    fill(database, moves)
    numbers = {
        "min_volume": RULES.min_volume_24h, "min_window_usd": RULES.min_window_usd, "max_spread": RULES.max_spread_pp,
    }  # fmt: skip
    sink = Store(database)
    with connect(database, client_name="test", role="read") as client:
        before = {w: client.query(BOARD_OF_THEN, {"window": w, **numbers}).result_rows for w in LABELS}
        episodes = client.query(EPISODES_OF_THEN).result_rows

    assert migrate(database)

    assert Ranking(sink, RULES).advance(NOON_US)
    sink.close()
    reader = Reader(database)
    asked = {
        "venues": [], "categories": [], "min_volume_usd": RULES.min_volume_24h,
        "min_window_usd": RULES.min_window_usd, "max_spread_pp": RULES.max_spread_pp, "limit": 50,
    }  # fmt: skip
    for window_s, label in zip(RULES.windows, LABELS, strict=True):
        live = reader.rows("board", COLUMNS["board"], window=label, hide_settling=True, **asked)
        shown = list(zip(live["market_id"], live["move_pp"].round(6), live["score"].round(6), strict=True))
        assert shown == before[label] == on_the_board(moves, window_s)
        assert len(shown) > 10
        assert list(live["title"]) == [f"Title {market.removeprefix('M-T')}" for market in live["market_id"]]
        as_it_was = reader.rows(
            "board_as_of", COLUMNS["board_as_of"], window=label, as_of=datetime_from_micros(NOON_US), **asked
        )
        assert list(as_it_was["market_id"]) == list(live["market_id"])
    told = reader.rows(
        "episodes",
        COLUMNS["episodes"],
        venues=[],
        categories=[],
        windows=[],
        kinds=[],
        hide_acked=False,
        limit=500,
        alert_id="",
    )
    peaks = told["peak_move_pp"].round(6)
    assert list(zip(told["alert_id"], told["state"], told["market_id"], peaks, strict=True)) == episodes
    assert len(episodes) == 12


@pytest.mark.parametrize("query", ["board_moves", "market_moves", "same_event"])
def test_a_store_of_level_nine_is_said_to_be_of_another_version_until_its_migration(
    database: ClickHouseSettings, query: str
) -> None:
    asked: dict[str, dict[str, Any]] = {
        "board_moves": {"parts": []},
        "market_moves": {"token_id": "T1"},
        "same_event": {"market_id": "M-T1"},
    }
    reader = Reader(database)

    with pytest.raises(StoreUnavailableError, match=r"another version than this dashboard: run `movers migrate`"):
        reader.rows(query, COLUMNS[query], **asked[query])

    migrate(database)
    assert reader.rows(query, COLUMNS[query], **asked[query]).empty


def test_a_migrated_store_takes_todays_rows_beside_those_of_then(database: ClickHouseSettings) -> None:
    moves = some_moves(random.Random(8))
    fill(database, moves)
    migrate(database)
    leader = a_move("T1", NOON_US, volume_24h_usd=90_000.0, windows=(a_window(3600, move_pp=30.0, score=999.0),))

    sink = Store(database)
    sink.insert(to.MOVERS_LATEST, to.move_rows([leader]), "moves")
    later = [a_tick("T1", NOON_US + seconds * 1_000_000) for seconds in (1, 2)]
    sink.insert(to.SNAPSHOTS, [to.tick_row(tick, 0, i) for i, tick in enumerate(later)], "ticks")
    ((ticks, markets, slowest_ms),) = sink.rows(
        "SELECT count(), uniqExact(market_id), round(max(source_latency_ms)) FROM snapshots WHERE token_id = 'T1'"
    )
    newest = sink.rows(
        "SELECT market_id, no_move FROM movers_latest FINAL WHERE window = '1h' ORDER BY score DESC LIMIT 1"
    )
    sink.close()

    assert [tuple(row) for row in newest] == [("M-T1", "")]
    assert (ticks, markets, slowest_ms) == (3, 1, 250)


def test_moves_stored_before_they_had_a_key_are_found_by_their_category(database: ClickHouseSettings) -> None:
    moves = some_moves(random.Random(9))
    fill(database, moves)
    migrate(database)
    reader = Reader(database)
    asked = {
        "window": "1h", "venues": [], "min_volume_usd": RULES.min_volume_24h, "min_window_usd": RULES.min_window_usd,
        "max_spread_pp": RULES.max_spread_pp, "limit": 50, "hide_settling": True,
    }  # fmt: skip

    found = reader.rows("board", COLUMNS["board"], categories=["climate"], **asked)
    others = reader.rows("board", COLUMNS["board"], categories=["sports"], **asked)
    counted = reader.rows("categories", COLUMNS["categories"], windows=["1h"], threshold_pp=5.0, min_volume_usd=0.0)

    shown = list(zip(found["market_id"], found["move_pp"].round(6), found["score"].round(6), strict=True))
    assert shown == on_the_board(moves, 3600)
    assert others.empty
    fresh_us = NOON_US - 1_200_000_000
    known = [
        move
        for move in moves
        for window in move.windows
        if window.window_s == 3600 and window.coverage_s >= 3600
        if move.market_status == "open" and not move.is_settling and move.ts_event_us >= fresh_us
    ]
    assert list(counted["category"]) == ["climate"]
    assert list(counted["markets"]) == [len(known)]

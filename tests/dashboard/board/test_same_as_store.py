"""The board in memory gives what the store's own queries give, row for row, whatever was stored and in which order."""

from __future__ import annotations

import random
import threading
from typing import Any

import pandas as pd
import pytest

from dashboard.board import ranking
from dashboard.board.parts import unread
from dashboard.board.ranking import BoardFilters
from dashboard.board.reading import Reading, contents
from dashboard.columns import COLUMNS
from dashboard.store import Store as Reader
from kernel.settings import ClickHouseSettings
from schemas.events import Market, Move, WindowMove
from schemas.units import US_PER_S
from sinks.clickhouse import rows as to
from sinks.clickhouse.store import Store
from tests.sinks.events import NOON_US, a_market, a_move, a_window

pytestmark = pytest.mark.stack

WINDOWS = {"5m": 300, "1h": 3600, "24h": 86_400}
TOKENS = [f"T{i}" for i in range(9)]
TABLES = ("movers_latest", "markets")
FILTERS = [
    BoardFilters(hide_settling=False, limit=50),
    BoardFilters(hide_settling=False, limit=2),
    BoardFilters(min_volume_usd=10_000.0, min_window_usd=100.0),
    BoardFilters(venues=("kalshi", "nowhere"), max_spread_pp=7.0),
    BoardFilters(categories=("sports", "never heard of"), max_spread_pp=99.0, hide_settling=False),
    BoardFilters(categories=("",), hide_settling=False),
]


def some_window(rng: random.Random, window_s: int) -> WindowMove:
    """Covered or not, moved or standing, scored or not; equal scores are common."""
    move_pp = rng.choice([None, 0.0, 1.5, -1.5, 7.25, 7.25])
    return a_window(
        window_s,
        move_pp=move_pp,
        score=None if move_pp is None else rng.choice([None, 0.0, 3.5, 3.5, 9.125]),
        coverage_s=window_s - rng.choice([0, 0, 0, 1]),
        volume_usd=rng.choice([None, 1.0, 5_000.0]),
        computed_across_gap=rng.random() < 0.5,
    )


def some_moves(rng: random.Random) -> list[Move]:
    """Of few tokens and moments: equal and late ones are common. Some are out of date on all windows or some."""
    return [
        a_move(
            token,
            NOON_US - rng.choice([0, 1, 1, 1, 301, 1_201]) * US_PER_S,
            venue=["polymarket", "kalshi"][int(token[1:]) % 2],
            windows=tuple(
                some_window(rng, window_s) for window_s in list(WINDOWS.values())[: rng.choice([1, 3, 3, 3])]
            ),
            volume_24h_usd=rng.choice([None, 500.0, 90_000.0]),
            spread_ppm=rng.choice([None, -10_000, 10_000, 70_000]),
            market_status=rng.choice(["open", "open", "open", "closed"]),
            is_settling=rng.random() < 0.2,
            seconds_to_close=rng.choice([None, -5, 3_600]),
        )
        for token in rng.sample(TOKENS, rng.randint(1, 6))
    ]


def some_markets(rng: random.Random) -> list[Market]:
    """Told again with another title or category, in any order of time."""
    return [
        a_market(
            market_id=f"M-{token}",
            title=f"{token}, {rng.random()}",
            category=rng.choice(["sports", "climate", ""]),
            ts_received_us=NOON_US + rng.randint(0, 2) * US_PER_S,
        )
        for token in rng.sample(TOKENS, rng.randint(1, 3))
    ]


class Both:
    """A store that anything happens to, and what was read of it."""

    def __init__(self, database: ClickHouseSettings, rng: random.Random) -> None:
        self.store, self.reader, self.rng = Store(database), Reader(database), rng
        self.reading = Reading(contents(self.reader))
        self.fills = 0

    def step(self) -> None:
        """Stores, merges or wipes something."""
        rng = self.rng
        match rng.choices(["moves", "markets", "merge", "wipe", "merge_while_reading"], [40, 20, 15, 3, 15])[0]:
            case "moves":
                self.store.insert(to.MOVERS_LATEST, to.move_rows(some_moves(rng)), "")
            case "markets":
                self.store.insert(to.MARKETS, [to.market_row(market) for market in some_markets(rng)], "")
            case "merge":
                self._merge()
            case "wipe":
                self.store.command(f"TRUNCATE TABLE {rng.choice(TABLES)}", {})
            case _:
                now = contents(self.reader)
                self._merge()
                if not self.reading.is_doubtful(now):
                    self.reading.read_on(self.reader, now, threading.Lock())

    def _merge(self) -> None:
        self.store.command(f"OPTIMIZE TABLE {self.rng.choice(TABLES)} FINAL", {})

    def read_on(self) -> None:
        """What the page server does once a second; again while a merge of the store's own came between."""
        while True:
            now = contents(self.reader)
            if self.reading.is_doubtful(now):
                self.reading = Reading(now)
                self.fills += 1
            self.reading.read_on(self.reader, now, threading.Lock())
            if not any(unread(now.parts[table], self.reading.read[table]) for table in TABLES):
                return

    def compare(self) -> int:
        """Asks both for everything; how many rows one board had."""
        moves, shown = self.reading.moves, 0
        for filters in FILTERS:
            window = self.rng.choice(list(WINDOWS))
            board = ranking.board(moves, window, filters)
            same(board, board_of_the_store(self.reader, window, filters))
            shown += len(board)
        for window in (*WINDOWS, "7m"):
            told = self.reader.rows("coverage", COLUMNS["coverage"], window=window).itertuples(index=False, name=None)
            known = ranking.coverage(moves, window)
            assert ([] if known is None else [(known.coverage_s, known.markets, known.covered)]) == list(told)
        threshold_pp, volume_usd = self.rng.choice([(1.5, 0.0), (5.0, 10_000.0)])
        windows = self.rng.sample(list(WINDOWS), self.rng.choice([1, 2, 3]))
        asked = {"threshold_pp": threshold_pp, "min_volume_usd": volume_usd, "windows": windows}
        by = ["window", "category"]
        same(
            ranking.categories(moves, windows, threshold_pp, volume_usd).sort_values(by, ignore_index=True),
            self.reader.rows("categories", COLUMNS["categories"], **asked).sort_values(by, ignore_index=True),
        )
        return shown


def board_of_the_store(reader: Reader, window: str, filters: BoardFilters) -> pd.DataFrame:
    """What the store itself answers."""
    asked: dict[str, Any] = {name: getattr(filters, name) for name in BoardFilters.__slots__}
    asked |= {"venues": list(filters.venues), "categories": list(filters.categories)}
    return reader.rows("board", COLUMNS["board"], window=window, **asked)


def same(ours: pd.DataFrame, of_the_store: pd.DataFrame) -> None:
    """Equal in rows, order, columns and types; sums of floats to twelve digits."""
    pd.testing.assert_frame_equal(ours, of_the_store, check_exact=False, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("seed", range(2))
def test_the_board_in_memory_is_the_board_of_the_store(database: ClickHouseSettings, seed: int) -> None:
    rng = random.Random(seed)
    both, shown, looks = Both(database, rng), 0, 15

    for _ in range(looks):
        for _ in range(rng.randint(1, 3)):
            both.step()
        both.read_on()
        shown += both.compare()

    both.store.close()
    assert shown > looks
    assert both.fills < looks / 2


def test_markets_that_ended_last_year_are_neither_counted_nor_read(database: ClickHouseSettings) -> None:
    store, reader = Store(database), Reader(database)
    store.command(
        "INSERT INTO markets (market_id, title, category, status, ts_stored) SELECT concat('A-old', toString(number)),"
        " 'Ended', 'sports', 'settled', now64(6) - INTERVAL 100 DAY FROM numbers(5000)",
        {},
    )
    store.insert(to.MARKETS, [to.market_row(a_market(market_id="M-T1", title="Trades", category="sports"))], "")
    store.insert(to.MOVERS_LATEST, to.move_rows([a_move("T1", NOON_US)]), "")
    store.command("OPTIMIZE TABLE markets FINAL", {})

    now = contents(reader)
    reading = Reading(now)
    parts = [part.name for part in now.parts["markets"]]
    read = sum(len(block["market_id"]) for block in reader.blocks("board_markets", parts=parts))
    reading.read_on(reader, now, threading.Lock())

    assert now.rows == sum(part.rows for part in now.parts["movers_latest"])
    assert read == 2, "the one that trades, and one by which a part is known as read"
    assert not unread(now.parts["markets"], reading.read["markets"])
    assert reading.moves.markets.names == ["M-T1"]
    store.close()

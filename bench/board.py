"""The store as the dashboard asks it, over many markets: idle, and while rows are stored.

    python -m bench board [--markets 200000] [--rate 14000] [--json FILE]

Each question twice: as the page asks it, of what it has in memory (`page_…`; kept up meanwhile), and as SQL,
through the dashboard's own client; wall time, the client's share included. Nothing is cached. Filled by the store
itself: each market with four windows, two thirds of them moved, and a day of bars for one market in a thousand.
Loaded: the store takes `rate` rows a second, a tick and its four windows being five, in batches each half second; they
are made inside the store, so what a sink spends beside it is not in it. Beside each stands the same table read once in
the plainest way (`plain_scan`). `memory`: what filling the board costs, and a look at what one second stored.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any, TypeVar

import pandas as pd

from bench import RESULTS, write
from dashboard import bars
from dashboard.board import ranking
from dashboard.board.follow import Followed
from dashboard.board.kept import Kept
from dashboard.board.moves import Moves
from dashboard.board.ranking import BoardFilters
from dashboard.columns import COLUMNS
from dashboard.store import Store as Board
from kernel.settings import ClickHouseSettings
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.store import Store
from tests.stack.processes import ServiceProcess

R = TypeVar("R")
BATCH_S, ROWS_OF_A_TICK = 0.5, 5
CHART_OF_A_DAY = (86_400, 300)
"""Its length and the width of its bars in seconds, as the page asks for them."""

_MARKETS = """
INSERT INTO markets (market_id, venue, title, category, status, ts_received)
SELECT concat('BENCH:0x', hex(sipHash128(number))), if(number % 2, 'first', 'second'),
    concat('Will it happen by the end of month ', toString(number), '?'),
    ['politics', 'sports', 'crypto', 'economics', 'other'][number % 5 + 1], 'open', now64(6)
FROM numbers({markets:UInt64})
"""
_MOVES = """
INSERT INTO movers_latest (window, token_id, market_id, venue, ts, ts_received, price_now, price_then, ts_then, move_pp,
    abs_move_pp, score, coverage_s, price_basis, spread, volume_24h_usd, window_volume_usd, window_trades,
    market_status, seconds_to_close, step_pp, is_settling, computed_across_gap, no_move, reference, onset_ts)
SELECT span.1, concat(hex(sipHash128(n)), hex(n)), concat('BENCH:0x', hex(sipHash128(n))),
    if(n % 2, 'first', 'second'), now64(6), now64(6), 0.5 + move / 100, 0.5, now64(6) - span.2, move, abs(move),
    abs(move) * log1p(volume), span.2, 'mid', 0.02, volume, volume / 10, n % 100, 'open', n * 100, 0.5, 0, 0, '', 0.5,
    now64(6) - 100
FROM
(
    SELECT n, if(n % 3 = 0, 0, round((cityHash64(n, {seed:UInt64}) % 2000) / 100 - 10, 2)) AS move,
        cityHash64(n, 2) % 100000 AS volume
    FROM
    (
        SELECT if({all:Bool}, number, cityHash64(number, {seed:UInt64}) % {markets:UInt64}) AS n
        FROM numbers({rows:UInt64})
    )
    LIMIT 1 BY n
)
ARRAY JOIN [('5m', 300), ('15m', 900), ('1h', 3600), ('24h', 86400)] AS span
"""
_TICKS = """
INSERT INTO snapshots (ts, token_id, market_id, venue, price, price_basis, bid, ask, last, spread, volume_24h_usd,
    market_status, source, ts_event_basis, ts_received, kafka_partition, kafka_offset)
SELECT now64(6) - number / 1e5, concat(hex(sipHash128(n)), hex(n)), concat('BENCH:0x', hex(sipHash128(n))),
    if(n % 2, 'first', 'second'), 0.5, 'mid', 0.49, 0.51, 0.5, 0.02, cityHash64(n, 2) % 100000, 'open', 'poll',
    'venue', now64(6), n % 4, number
FROM (SELECT number, cityHash64(number, {seed:UInt64}) % {markets:UInt64} AS n FROM numbers({rows:UInt64}))
"""
_BARS = """
INSERT INTO ohlcv_1m (ts, token_id, market_id, venue, open, high, low, close, volume_usd, trades, ticks, ts_received)
SELECT toStartOfMinute(now64(6)) - INTERVAL minute MINUTE, concat(hex(sipHash128(n)), hex(n)),
    concat('BENCH:0x', hex(sipHash128(n))), if(n % 2, 'first', 'second'), 0.5, 0.52, 0.48, 0.51, 10, 1, 3, now64(6)
FROM (SELECT number * 1000 AS n FROM numbers(intDiv({markets:UInt64}, 1000))) ARRAY JOIN range(1440) AS minute
"""
_FEEDS = """
INSERT INTO feed_status (venue, shard, state, ts, ts_received, markets_tracked, event_id)
SELECT ['first', 'second'][number % 2 + 1], toString(number), 'connected', now64(6), now64(6), 1000,
    toString(number)
FROM numbers(40)
"""
_WINDOWS = ("5m", "15m", "1h", "24h")
_ONE_MARKET = "SELECT concat(hex(sipHash128(number)), hex(number)) FROM numbers(1001) WHERE number = 1000"
_PLAIN_SCAN = """
SELECT max(score), max(abs_move_pp) FROM movers_latest
WHERE window = '15m' AND volume_24h_usd >= 10000 AND coverage_s >= 900
"""
_BOARD = {
    "window": "15m", "venues": [], "categories": [], "min_volume_usd": 10_000.0, "min_window_usd": 0.0,
    "max_spread_pp": 100.0, "hide_settling": False, "limit": 50,
}  # fmt: skip
_FILTERS: Mapping[str, Mapping[str, Any]] = {
    "board": {},
    "board_venue": {"venues": ["second"]},
    "board_category": {"categories": ["politics"]},
    "board_spread": {"max_spread_pp": 5.0, "hide_settling": True},
    "board_24h": {"window": "24h"},
}


def main(argv: list[str]) -> int:
    """Fills, asks idle and loaded, prints and writes; 0 when it ran."""
    parser = argparse.ArgumentParser(prog="bench board", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--markets", type=int, default=200_000)
    parser.add_argument("--rate", type=int, default=14_000, help="rows a second, loaded")
    parser.add_argument("--asked", type=int, default=20, help="times that each question is asked")
    parser.add_argument("--json", type=Path, default=RESULTS / "board.json")
    given = parser.parse_args(argv)
    result: dict[str, Any] = {"markets": given.markets, "rate": given.rate, "load": os.getloadavg()[0]}
    with tempfile.TemporaryDirectory() as folder:
        service = ServiceProcess.start("movers.local.warehouse.service", Path(folder) / "warehouse")
        settings = ClickHouseSettings(clickhouse_port=service.port)
        migrate(settings)
        store = Store(settings)
        try:
            fill(store, given.markets)
            result["memory"] = filled_memory(Board(settings))
            reader = Board(settings)
            followed = Followed(reader)
            strip = Kept("feed", lambda: reader.rows("feed", COLUMNS["feed"]))
            trends = Kept("categories", lambda: categories(followed))
            asked = page_questions(followed, trends, strip) | questions(store, Board(settings))
            result["idle_ms"] = {name: took(name, ask, given.asked) for name, ask in asked.items()}
            with loaded(settings, given.markets, given.rate) as told:
                result["loaded_ms"] = {name: took(name, ask, given.asked) for name, ask in asked.items()}
                for ahead in (followed, trends, strip):
                    ahead.close()
                result["memory"] |= looks(Board(settings), given.asked)
            result["rows_a_second"] = told["rows"] / told["s"]
        finally:
            store.close()
            service.terminate()
    for state in ("idle_ms", "loaded_ms"):
        scan = result[state]["plain_scan"]["p50"]
        result[state.replace("_ms", "_by_plain_scan")] = {
            name: round(of["p50"] / scan, 2) for name, of in result[state].items()
        }
    print(write(given.json, result))
    return 0


def fill(store: Store, markets: int) -> None:
    """Writes all tables that the questions read."""
    bound = {"markets": markets, "seed": 0}
    store.command(_MARKETS, bound)
    store.command(_MOVES, {**bound, "rows": markets, "all": True})
    store.command(_TICKS, {**bound, "rows": 5 * markets})
    store.command(_BARS, bound)
    store.command(_FEEDS, {})


def questions(store: Store, board: Board) -> dict[str, Callable[[], object]]:
    """What a page asks, by name."""
    token, until = store.rows(_ONE_MARKET)[0][0], datetime.now(tz=UTC)
    others: dict[str, dict[str, Any]] = {
        "categories": {"windows": list(_WINDOWS), "threshold_pp": 5.0, "min_volume_usd": 10_000.0},
        "coverage": {"window": "15m"},
        "feed": {},
    }
    asked: dict[str, Callable[[], object]] = {"plain_scan": lambda: store.rows(_PLAIN_SCAN)}
    for name, changed in _FILTERS.items():
        asked[name] = lambda changed=changed: board.rows("board", COLUMNS["board"], **{**_BOARD, **changed})  # type: ignore[misc]
    for name, given in others.items():
        asked[name] = lambda name=name, given=given: board.rows(name, COLUMNS[name], **given)  # type: ignore[misc]
    asked["market_bars"] = lambda: bars.market_bars(board, token, until, *CHART_OF_A_DAY)
    return asked


def page_questions(
    followed: Followed, trends: Kept[pd.DataFrame], strip: Kept[pd.DataFrame]
) -> dict[str, Callable[[], object]]:
    """The same of what the page server keeps in memory, by name. Categories as they are kept ready, and made anew."""
    asked: dict[str, Callable[[], object]] = {}
    for name, changed in _FILTERS.items():
        window = str({**_BOARD, **changed}["window"])
        wanted = {key: value for key, value in {**_BOARD, **changed}.items() if key != "window"}
        filters = BoardFilters(
            **{**wanted, "venues": tuple(wanted["venues"]), "categories": tuple(wanted["categories"])}
        )
        asked[f"page_{name}"] = lambda window=window, filters=filters: ask(  # type: ignore[misc]
            followed, lambda moves: ranking.board(moves, window, filters)
        )
    asked["page_categories_new"] = lambda: categories(followed)
    asked["page_categories"] = trends.answer
    asked["page_feed"] = strip.answer
    asked["page_coverage"] = lambda: ask(followed, lambda moves: ranking.coverage(moves, "15m"))
    return asked


def categories(followed: Followed) -> pd.DataFrame:
    """The categories as their page asks for them."""
    return ask(followed, lambda moves: ranking.categories(moves, _WINDOWS, 5.0, 10_000.0))


def ask(followed: Followed, of: Callable[[Moves], R]) -> R:
    """What `of` makes of the moves in memory; waits while it is filled, as the first, uncounted question does."""
    while (answer := followed.answer(of)) is None:
        time.sleep(0.1)
    return answer


def filled_memory(board: Board) -> dict[str, float]:
    """What filling the board costs: seconds, processor seconds of this process, and the memory it has grown by."""
    followed, before_mb = Followed(board), _resident_mb()
    began_s, cpu_s = time.perf_counter(), time.process_time()
    followed.look()
    return {
        "fill_s": round(time.perf_counter() - began_s, 2),
        "fill_cpu_s": round(time.process_time() - cpu_s, 2),
        "mb": round(_resident_mb() - before_mb),
    }


def looks(board: Board, times: int) -> dict[str, float]:
    """What one look a second costs, middle ones: wall milliseconds, and processor milliseconds of this thread."""
    followed = Followed(board)
    followed.look()
    wall_ms, cpu_ms = [], []
    for _ in range(times):
        time.sleep(1)
        began_s, cpu_s = time.perf_counter(), time.thread_time()
        followed.look()
        wall_ms.append((time.perf_counter() - began_s) * 1e3)
        cpu_ms.append((time.thread_time() - cpu_s) * 1e3)
    return {"look_ms": round(median(wall_ms), 1), "look_cpu_ms": round(median(cpu_ms), 1)}


def _resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def took(name: str, ask: Callable[[], object], times: int) -> dict[str, float]:
    """Milliseconds of so many answers: the middle one, and what nineteen in twenty stay under."""
    ask()
    spent = []
    for _ in range(times):
        began_s = time.perf_counter()
        ask()
        spent.append((time.perf_counter() - began_s) * 1e3)
    told = {"p50": round(median(spent), 1), "p95": round(quantiles(spent, n=20)[18], 1)}
    sys.stderr.write(f"{name:16} {told}\n")
    return told


@contextmanager
def loaded(settings: ClickHouseSettings, markets: int, rate: int) -> Iterator[dict[str, float]]:
    """Stores `rate` rows a second meanwhile, or as many as the store takes; afterwards tells how many those were."""
    stopping, told = threading.Event(), {"rows": 0.0, "s": 0.0}
    ticks = round(rate * BATCH_S / ROWS_OF_A_TICK)

    def insert() -> None:
        store, began_s, number = Store(settings), time.monotonic(), 0
        while not stopping.is_set():
            number += 1
            bound = {"markets": markets, "seed": number, "rows": ticks, "all": False}
            store.command(_TICKS, bound)
            store.command(_MOVES, bound)
            told["rows"] += ticks * ROWS_OF_A_TICK
            stopping.wait(max(0.0, began_s + number * BATCH_S - time.monotonic()))
        told["s"] = time.monotonic() - began_s
        store.close()

    thread = threading.Thread(target=insert)
    thread.start()
    try:
        time.sleep(5)  # so that there are parts that are not merged yet
        yield told
    finally:
        stopping.set()
        thread.join()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

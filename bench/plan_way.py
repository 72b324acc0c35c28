"""The plan's original way beside ours, on the same ticks: PostgreSQL, with movers found by SQL when somebody asks.

    python -m bench plan_way [--markets 1000] [--minutes 60] [--json FILE]

Needs PostgreSQL's programs (Debian: `apt-get install postgresql`); starts a server of its own in a temporary folder,
reached by a socket there, with Debian's settings. One table of snapshots with an index on (token_id, ts), filled by
COPY in batches of 2,000, each committed; the board is one statement that finds each market's newest price and the one
in force a window ago. Ours: ClickHouse filled as the sink fills it, ticks and newest moves, and the board as the
dashboard asks for it; the moves come from the analytics, whose cost `bench processing` tells. Wall time, the client's
own share included.
"""

from __future__ import annotations

import argparse
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from bench import RESULTS, write
from bench.house_ticks import house_ticks
from dashboard.columns import COLUMNS
from dashboard.store import Store as Board
from kernel.settings import ClickHouseSettings
from processors.analytics import moves
from processors.analytics.windows import History, WindowPlan
from schemas.events import Move, Tick
from schemas.units import PPM, US_PER_S
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.rows import MOVERS_LATEST, SNAPSHOTS, keep_newest, move_rows, tick_row
from sinks.clickhouse.store import Store
from tests.stack.processes import ServiceProcess

BATCH, ASKED, WINDOW_S = 2_000, 30, 900

_TABLE = """
CREATE TABLE snapshots (ts timestamptz NOT NULL, token_id text NOT NULL, market_id text NOT NULL, venue text NOT NULL,
    price numeric(9,6), bid numeric(9,6), ask numeric(9,6), last numeric(9,6), volume_24h_usd double precision,
    market_status text NOT NULL, ts_received timestamptz NOT NULL);
CREATE INDEX snapshots_by_token ON snapshots (token_id, ts DESC);
"""
_COPY = "COPY snapshots FROM STDIN"
_BOARD = f"""
WITH tokens AS (SELECT DISTINCT token_id FROM snapshots),
newest AS (SELECT max(ts) AS ts FROM snapshots)
SELECT t.token_id, now.price, past.price, abs(now.price - past.price) * 100 * ln(1 + now.volume_24h_usd) AS score
FROM tokens AS t, newest AS n,
LATERAL (SELECT price, volume_24h_usd, ts FROM snapshots s WHERE s.token_id = t.token_id
         ORDER BY ts DESC LIMIT 1) AS now,
LATERAL (SELECT price FROM snapshots s WHERE s.token_id = t.token_id AND s.ts <= now.ts - interval '{WINDOW_S} s'
         ORDER BY ts DESC LIMIT 1) AS past
WHERE now.volume_24h_usd >= 10000 AND now.price <> past.price
ORDER BY score DESC LIMIT 50;
"""


def main(argv: list[str]) -> int:
    """Fills both, asks both, prints and writes the ratios; 0 when it ran, 2 without PostgreSQL."""
    parser = argparse.ArgumentParser(prog="bench plan_way", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--markets", type=int, default=1_000)
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--json", type=Path, default=RESULTS / "plan_way.json")
    given = parser.parse_args(argv)
    programs = _programs()
    if programs is None:
        sys.stderr.write("PostgreSQL's programs are not here; on Debian: apt-get install postgresql\n")
        return 2
    ticks = list(house_ticks(given.markets, given.minutes))
    result: dict[str, Any] = {"ticks": len(ticks), "markets": given.markets, "load": os.getloadavg()[0]}
    result["postgres"], result["ours"] = postgres(programs, ticks), ours(ticks)
    result["ratio"] = {k: result["postgres"][k] / v for k, v in result["ours"].items() if result["postgres"].get(k)}
    print(write(given.json, result))
    return 0


def _programs() -> Path | None:
    """The newest installed version's folder of programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


@contextmanager
def server(programs: Path) -> Iterator[Callable[[str, str], str]]:
    """A server; gives a function that sends psql a statement, and what follows it, and gives its output."""
    user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name  # PostgreSQL refuses to run as root
    as_user = ["runuser", "-u", user, "--"] if os.geteuid() == 0 else []
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    shutil.chown(folder, user)

    def run(*command: str | Path, text: str = "") -> str:
        argv = [*as_user, *map(str, command)]
        done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False, cwd=folder)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip() or done.stdout.strip())
        return done.stdout

    data, options = folder / "data", f"-c listen_addresses='' -k {folder}"
    try:
        run(programs / "initdb", "-D", data, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8")
        run(programs / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start")
        psql = (programs / "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", folder, "-d", "postgres")
        yield lambda sql, rest: run(*psql, text=f"{sql}\n{rest}")
        run(programs / "pg_ctl", "-D", data, "-w", "-m", "fast", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def postgres(programs: Path, ticks: Sequence[Tick]) -> dict[str, float]:
    """Microseconds to store a tick, bytes that it takes, and milliseconds of the board."""
    with server(programs) as ask:
        ask(_TABLE, "")
        began_s = time.perf_counter()
        ask("", "".join(_batches(ticks)))
        stored_us = (time.perf_counter() - began_s) / len(ticks) * 1e6
        ask("VACUUM ANALYZE snapshots;", "")
        size = int(ask("SELECT pg_total_relation_size('snapshots');", ""))
        rows = len(ask(_BOARD, "").splitlines())
        told = ask("\\timing on", _BOARD * ASKED)
        took = [float(line.split()[1]) for line in told.splitlines() if line.startswith("Time:")]
        return {"stored_us": stored_us, "bytes": size / len(ticks), **_board(took), "rows": rows}


def _batches(ticks: Sequence[Tick]) -> Iterator[str]:
    """psql's script: a COPY of each batch, each its own transaction."""
    source = iter(ticks)
    while batch := list(islice(source, BATCH)):
        yield f"{_COPY};\n" + "".join(map(_line, batch)) + "\\.\n"


def _line(tick: Tick) -> str:
    fields = (
        _stamp(tick.ts_event_us), tick.token_id, tick.market_id, tick.venue, _price(tick.price_ppm),
        _price(tick.bid_ppm), _price(tick.ask_ppm), _price(tick.last_ppm),
        "\\N" if tick.volume_24h_usd is None else repr(tick.volume_24h_usd), tick.market_status,
        _stamp(tick.ts_received_us),
    )  # fmt: skip
    return "\t".join(fields) + "\n"


def _stamp(ts_us: int) -> str:
    seconds, micros = divmod(ts_us, US_PER_S)
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(seconds))}.{micros:06d}+00"


def _price(ppm: int | None) -> str:
    return "\\N" if ppm is None else f"{ppm / PPM:.6f}"


def ours(ticks: Sequence[Tick]) -> dict[str, float]:
    """The same of our store. Storing counts the ticks and the newest moves of each batch."""
    plan, histories = WindowPlan((300, 900, 3600, 86_400)), dict[str, History | None]()
    with tempfile.TemporaryDirectory() as folder:
        service = ServiceProcess.start("movers.local.warehouse.service", Path(folder) / "warehouse")
        settings = ClickHouseSettings(clickhouse_port=service.port)
        migrate(settings)
        store, board = Store(settings), Board(settings)
        spent_s, source, number = 0.0, iter(ticks), 0
        try:
            while batch := list(islice(source, BATCH)):
                made: dict[str, Move] = {}
                for tick in batch:
                    histories[tick.market_id], move = moves.update(histories.get(tick.market_id), tick, plan)
                    if move is not None:
                        keep_newest(made, move)
                began_s = time.perf_counter()
                rows = [tick_row(tick, 0, number + place) for place, tick in enumerate(batch)]
                store.insert(SNAPSHOTS, rows, f"ticks {number}")
                store.insert(MOVERS_LATEST, move_rows(made.values()), f"moves {number}")
                spent_s += time.perf_counter() - began_s
                number += len(batch)
            store.command("OPTIMIZE TABLE snapshots FINAL", {})
            size = store.rows(
                "SELECT sum(data_compressed_bytes) FROM system.parts "
                "WHERE active AND database = currentDatabase() AND table = 'snapshots'"
            )[0][0]
            took, rows_told = _ask(board)
        finally:
            store.close()
            service.terminate()
    return {
        "stored_us": spent_s / len(ticks) * 1e6,
        "bytes": size / len(ticks),
        **_board(took),
        "rows": rows_told,
    }


def _ask(board: Board) -> tuple[list[float], int]:
    parameters: dict[str, Any] = {"window": "15m", "venues": [], "categories": [], "min_volume_usd": 10_000.0}
    parameters |= {"min_window_usd": 0.0, "max_spread_pp": 100.0, "hide_settling": False, "limit": 50}
    took, rows = [], 0
    for _ in range(ASKED):
        began_s = time.perf_counter()
        rows = len(board.rows("board", COLUMNS["board"], **parameters))
        took.append((time.perf_counter() - began_s) * 1e3)
    return took, rows


def _board(took_ms: Sequence[float]) -> dict[str, float]:
    return {"board_p50_ms": median(took_ms), "board_p95_ms": quantiles(took_ms, n=20)[18]}

"""Bytes that a snapshot takes in the store, column by column, and what storing and merging it costs
the store.

    python -m bench store                 the house tape, each market once a minute, as a sweep tells it
    python -m bench store --streamed      the same tape, a tick at each change of a quote, at its own microsecond
    python -m bench store --tape FILE     a recording (`movers simulate convert`), a tick at each of its quotes

Ticks of a stream are received 20 ms and an irregular delay after they happened, so that stamps cost as much as live.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from random import Random

import psutil

from bench.house_ticks import START_US, SWEEP_S, house_ticks
from kernel.settings import ClickHouseSettings
from movers.backtest.tapes import merged, read, ticks_of
from schemas.events import Tick
from schemas.units import US_PER_S
from simulator.house import HouseTape
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.rows import SNAPSHOTS, Row, tick_row
from sinks.clickhouse.store import Store
from tests.stack.processes import ServiceProcess

SEED = 7
PARTITIONS, BATCH_ROWS = 4, 2_000

_COLUMNS = """
SELECT column, sum(column_data_compressed_bytes) / sum(rows) AS bytes
FROM system.parts_columns
WHERE database = currentDatabase() AND table = 'snapshots' AND active
GROUP BY column ORDER BY bytes DESC
"""


def main(arguments: list[str]) -> int:
    """Stores ticks in batches, as the sink does, merges them, and prints what each column takes."""
    parser = argparse.ArgumentParser(prog="python -m bench store", description=__doc__)
    parser.add_argument("--markets", type=int, default=1_000)
    parser.add_argument("--minutes", type=int, default=120)
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--streamed", action="store_true")
    shape.add_argument("--tape", type=Path)
    chosen = parser.parse_args(arguments)
    ticks = list(_ticks(chosen))
    with tempfile.TemporaryDirectory() as folder:
        service = ServiceProcess.start("movers.local.warehouse.service", Path(folder) / "warehouse")
        settings = ClickHouseSettings(clickhouse_port=service.port)
        migrate(settings)
        store = Store(settings)
        try:
            # A part under 10 MB keeps no size of each column else.
            store.command("ALTER TABLE snapshots MODIFY SETTING min_bytes_for_wide_part = 0", {})
            process = psutil.Process(service.pid)
            begun_s = _cpu_s(process)
            fill(store, ticks)
            filled_s = _cpu_s(process)
            store.command("OPTIMIZE TABLE snapshots FINAL", {})
            merged_s = _cpu_s(process)
            rows = store.rows("SELECT count() FROM snapshots")[0][0]
            columns = store.rows(_COLUMNS)
        finally:
            store.close()
            service.terminate()
    sys.stdout.write(f"{rows} ticks: {sum(size for _, size in columns):.1f} bytes each\n")
    for name, size in columns:
        sys.stdout.write(f"  {name:24} {size:6.2f}\n")
    stored_us, once_us = ((to_s - from_s) / rows * 1e6 for from_s, to_s in ((begun_s, filled_s), (filled_s, merged_s)))
    sys.stdout.write(
        f"the store's CPU a tick: {stored_us:.1f} µs while storing, merges of then included; "
        f"{once_us:.1f} µs to merge it once more\n"
    )
    return 0


def _ticks(chosen: argparse.Namespace) -> Iterable[Tick]:
    if chosen.tape:
        return _received_later(read(chosen.tape).ticks)
    if not chosen.streamed:
        return house_ticks(chosen.markets, chosen.minutes, SEED)
    until_us = START_US + chosen.minutes * SWEEP_S * US_PER_S
    told = ticks_of(merged(HouseTape(SEED, chosen.markets, START_US)))
    return _received_later(takewhile(lambda tick: tick.ts_event_us <= until_us, told))


def _received_later(ticks: Iterable[Tick]) -> Iterator[Tick]:
    draw = Random(SEED).expovariate
    for tick in ticks:
        yield replace(tick, ts_received_us=tick.ts_event_us + 20_000 + round(draw(1 / 15_000)))


def _cpu_s(process: psutil.Process) -> float:
    """Processor seconds that a process has used, all its threads."""
    spent = process.cpu_times()
    return float(spent.user + spent.system)


def fill(store: Store, ticks: Iterable[Tick]) -> None:
    """Stores ticks in batches, each partition's offsets in order, as the sink does."""
    offsets = [0] * PARTITIONS
    batch: list[Row] = []
    for number, tick in enumerate(ticks):
        partition = zlib.crc32(tick.market_id.encode()) % PARTITIONS
        batch.append(tick_row(tick, partition, offsets[partition]))
        offsets[partition] += 1
        if len(batch) == BATCH_ROWS:
            store.insert(SNAPSHOTS, batch, f"bench {number}")
            batch.clear()
    if batch:
        store.insert(SNAPSHOTS, batch, "bench, the rest")

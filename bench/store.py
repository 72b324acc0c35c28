"""Bytes that a snapshot takes in the store, column by column, for ticks of the house tape."""

from __future__ import annotations

import argparse
import sys
import tempfile
import zlib
from pathlib import Path

from bench.house_ticks import house_ticks
from kernel.settings import ClickHouseSettings
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.rows import SNAPSHOTS, Row, tick_row
from sinks.clickhouse.store import Store
from tests.stack.processes import ServiceProcess

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
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        service = ServiceProcess.start("movers.local.warehouse.service", Path(folder) / "warehouse")
        settings = ClickHouseSettings(clickhouse_port=service.port)
        migrate(settings)
        store = Store(settings)
        try:
            _fill(store, chosen.markets, chosen.minutes)
            rows = store.rows("SELECT count() FROM snapshots")[0][0]
            columns = store.rows(_COLUMNS)
        finally:
            store.close()
            service.terminate()
    sys.stdout.write(f"{rows} ticks: {sum(size for _, size in columns):.1f} bytes each\n")
    for name, size in columns:
        sys.stdout.write(f"  {name:24} {size:6.2f}\n")
    return 0


def _fill(store: Store, markets: int, minutes: int) -> None:
    offsets = [0] * PARTITIONS
    batch: list[Row] = []
    for number, tick in enumerate(house_ticks(markets, minutes)):
        partition = zlib.crc32(tick.market_id.encode()) % PARTITIONS
        batch.append(tick_row(tick, partition, offsets[partition]))
        offsets[partition] += 1
        if len(batch) == BATCH_ROWS:
            store.insert(SNAPSHOTS, batch, f"bench {number}")
            batch.clear()
    if batch:
        store.insert(SNAPSHOTS, batch, "bench, the rest")
    store.command("OPTIMIZE TABLE snapshots FINAL", {})

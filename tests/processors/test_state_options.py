"""What RocksDB writes beside the state itself stays small, however often and however long a processor runs."""

from __future__ import annotations

from pathlib import Path

from quixstreams.state.rocksdb.partition import RocksDBStorePartition

from processors.state_options import StateOptions


def test_starts_leave_no_more_than_a_few_logs_behind(tmp_path: Path) -> None:
    for _ in range(8):
        RocksDBStorePartition(str(tmp_path), options=StateOptions()).close()

    assert len(list(tmp_path.glob("LOG*"))) <= 3


def test_no_file_beside_the_state_grows_without_end(tmp_path: Path) -> None:
    RocksDBStorePartition(str(tmp_path), options=StateOptions()).close()
    [*_, newest] = sorted(tmp_path.glob("OPTIONS-*"))
    told = dict(line.strip().split("=", 1) for line in newest.read_text("utf-8").splitlines() if "=" in line)

    assert 0 < int(told["max_log_file_size"]) <= 2 << 20
    assert 0 < int(told["max_manifest_file_size"]) <= 16 << 20
    assert int(told["max_total_wal_size"]) == 2 * int(told["write_buffer_size"]) == 16 << 20

"""How RocksDB keeps a partition's state: little memory, and files of its own that stay small however long it runs."""

from __future__ import annotations

from dataclasses import dataclass

import rocksdict
from quixstreams.state.rocksdb import RocksDBOptions

_MIB = 1 << 20
_BLOCK_CACHE_BYTES = 64 * _MIB
_WRITE_BUFFER_BYTES = 8 * _MIB
"""What a partition's state keeps in memory before it becomes a file; three times that at most. Its journal on disk may
be twice as long. With Quix's own 64 and 128 MiB both grow for hours on a laptop, and look like a leak."""

_LOG_FILES = 3
_LOG_FILE_BYTES = 2 * _MIB
"""What RocksDB tells of itself. By its defaults a file of any size for each start, and a thousand of them."""

_MANIFEST_BYTES = 16 * _MIB
"""Which files there are, a record for each change; begun anew beyond. By default it may become 1 GiB."""


@dataclass(frozen=True)
class StateOptions(RocksDBOptions):  # type: ignore[misc]  # Quix ships no types
    """RocksDB's options for the state of one partition."""

    block_cache_size: int = _BLOCK_CACHE_BYTES
    write_buffer_size: int = _WRITE_BUFFER_BYTES
    max_total_wal_size: int = 2 * _WRITE_BUFFER_BYTES

    def to_options(self) -> rocksdict.Options:
        """As Quix hands them to RocksDB, and what it has no words for."""
        options: rocksdict.Options = super().to_options()
        options.set_keep_log_file_num(_LOG_FILES)
        options.set_max_log_file_size(_LOG_FILE_BYTES)
        options.set_max_manifest_file_size(_MANIFEST_BYTES)
        return options

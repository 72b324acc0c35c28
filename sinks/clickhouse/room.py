"""Room on the store's disks: told early, because a full disk stops everything, and looked at again and again."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from kernel.errors import StoreAwayError, UserError
from kernel.logs import get_logger
from sinks.clickhouse.store import Store

log = get_logger(__name__)

LOW_MIB = 2_048
FULL_MIB = 16
"""With less nothing more can be stored: ClickHouse sets a MiB aside for each part, and merges need more."""
LOOK_S = 5.0

_FREE = "SELECT min(free_space) FROM system.disks"


class Room:
    """Free space of the fullest disk of the store, as `/health` shows it. `look` belongs to the sink's thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._looked_s = float("-inf")
        self._free_mib: int | None = None
        self._is_low = False

    def look(self) -> None:
        """Asks the store, at most each `LOOK_S`; says so once when room gets low, and once when it is back."""
        now_s = time.monotonic()
        if now_s - self._looked_s < LOOK_S:
            return
        self._looked_s = now_s
        try:
            self._free_mib = int(self._store.rows(_FREE)[0][0]) >> 20
        except (StoreAwayError, UserError) as error:
            # Not known now, or this user may not ask: inserts go on, and tell by themselves when the disk is full.
            self._free_mib = None
            log.debug("store_room_unknown", detail=str(error))
            return
        is_low = self._free_mib < LOW_MIB
        if is_low != self._is_low:
            log.warning("store_disk_low" if is_low else "store_disk_has_room", free_mib=self._free_mib, low_mib=LOW_MIB)
        self._is_low = is_low

    def facts(self) -> Mapping[str, Any]:
        """For /health, which a full disk makes bad before an insert has failed."""
        is_full = self._free_mib is not None and self._free_mib < FULL_MIB
        told = {"store_free_mib": self._free_mib, "store_disk_low": self._is_low, "store_disk_full": is_full}
        return {**told, "ok": not is_full}

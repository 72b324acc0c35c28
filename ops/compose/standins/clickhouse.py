"""ClickHouse's image as docker-compose.yml uses it: HTTP on 8123, the user and password of its two variables."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ops.compose.standins.front import front, login_of
from ops.compose.standins.run import serve, start

DATA = Path("/var/lib/clickhouse")
PORT = 8123
_BEHIND = 18123


def main() -> int:
    """Serves until SIGTERM."""
    user, password = os.environ["CLICKHOUSE_USER"], os.environ["CLICKHOUSE_PASSWORD"]
    warehouse = start("movers.local.warehouse.service", "--port", _BEHIND, "--data", DATA, "--memory-mb", 1536)
    return serve(front(f"http://127.0.0.1:{_BEHIND}", login_of(user, password)), PORT, [warehouse])


if __name__ == "__main__":
    sys.exit(main())

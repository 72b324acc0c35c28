"""ClickHouse's image as docker-compose.yml uses it: HTTP on 8123, the user of its two variables, those of `users.d`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ops.compose.standins.front import front, login_of
from ops.compose.standins.run import serve, start
from ops.compose.standins.users import EVERYTHING, User, Users, of_files

DATA = Path("/var/lib/clickhouse")
USERS = Path("/etc/clickhouse-server/users.d")
PORT = 8123
_BEHIND = 18123


def main() -> int:
    """Serves until SIGTERM."""
    owner = {os.environ["CLICKHOUSE_USER"]: User(os.environ["CLICKHOUSE_PASSWORD"], EVERYTHING)}
    users = Users({**of_files(sorted(USERS.glob("*.xml"))), **owner})
    warehouse = start("movers.local.warehouse.service", "--port", _BEHIND, "--data", DATA, "--memory-mb", 1536)
    return serve(front(f"http://127.0.0.1:{_BEHIND}", login_of(users)), PORT, [warehouse])


if __name__ == "__main__":
    sys.exit(main())

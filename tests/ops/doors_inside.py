"""Run by `test_doors` inside its network namespace: starts the services, tries them, prints one line of JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import psutil

from dashboard.login import hash_password
from movers.local.ports import free_port
from tests.stack.processes import Child, ServiceProcess, child_environment
from tests.stack.waiting import wait_until

PATHS = ("/", "/top_movers", "/_stcore/health", "/_stcore/host-config", "/_stcore/metrics", "/media/x", "/login")


def status(url: str, host: str | None = None) -> int:
    """HTTP status of a GET; 0 where nothing answers."""
    request = urllib.request.Request(url, headers={"Host": host} if host else {})  # noqa: S310  our own
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def main(address: str, folder: Path) -> None:
    """Starts, tries, tells, stops."""
    warehouse = ServiceProcess.start("movers.local.warehouse.service", folder / "warehouse")
    registry = ServiceProcess.start("movers.local.registry.service", folder / "registry")
    dashboard_port, metrics_port = free_port(), free_port()
    settings = {
        "DASHBOARD_HOST": "0.0.0.0",
        "DASHBOARD_PORT": str(dashboard_port),
        "DASHBOARD_ALLOWED_HOSTS": address,
        "METRICS_PORT": str(metrics_port),
        "CLICKHOUSE_PORT": str(warehouse.port),
        "SCHEMA_REGISTRY_URL": registry.url,
        "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}",
        "MOVERS_HOME": str(folder / "home"),
    }
    argv = [sys.executable, "-m", "movers", "dashboard"]
    refused = subprocess.run(argv, env=child_environment(settings), capture_output=True, timeout=60, check=False)
    locked = {**settings, "DASHBOARD_PASSWORD_HASH": hash_password("a long password", log2_n=4)}
    dashboard = Child(argv, folder / "dashboard.log", locked)
    home = f"http://127.0.0.1:{dashboard_port}"
    wait_until(lambda: status(f"{home}/_stcore/health") == 200, "the dashboard", 60, ended=dashboard.ended)
    names = {
        warehouse.port: "warehouse",
        registry.port: "registry",
        dashboard_port: "dashboard",
        metrics_port: "metrics",
    }
    children = {child.pid for child in psutil.Process().children(recursive=True)}
    listening = {
        connection.laddr.port
        for connection in psutil.net_connections("tcp")
        if connection.laddr and connection.status == psutil.CONN_LISTEN and connection.pid in children
    }
    told = {
        "at_home": {
            "warehouse": status(f"{warehouse.url}/ping"),
            "registry": status(f"{registry.url}/subjects"),
            "dashboard": status(f"{home}/_stcore/health"),
            "metrics": status(f"http://127.0.0.1:{metrics_port}/health"),
        },
        "open_ports": sorted(names.get(port, str(port)) for port in listening if _accepts(address, port)),
        "stranger": {path: status(f"http://{address}:{dashboard_port}{path}") for path in PATHS},
        "foreign_name": status(f"http://{address}:{dashboard_port}/login", "evil.example"),
        "without_password": refused.returncode,
    }
    dashboard.kill()
    registry.terminate()
    warehouse.terminate()
    print(json.dumps(told))


def _accepts(address: str, port: int) -> bool:
    import socket

    with socket.socket() as probe:
        probe.settimeout(3)
        return probe.connect_ex((address, port)) == 0


if __name__ == "__main__":
    sys.path.insert(0, os.getcwd())
    main(sys.argv[1], Path(sys.argv[2]))

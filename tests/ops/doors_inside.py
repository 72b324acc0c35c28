"""Run by `test_doors` inside its network namespace: starts the services, tries them, prints one line of JSON."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil

from dashboard.login import hash_password
from tests.stack.ports import free_port
from tests.stack.processes import KafkaProcess, MoversProcess, ServiceProcess, SimulatorProcess, child_environment
from tests.stack.waiting import wait_until

PATHS = ("/", "/top_movers", "/_stcore/health", "/_stcore/host-config", "/_stcore/metrics", "/media/x", "/login")
TOKEN = "a token for metrics"
COMMANDS = {
    "produce-kalshi": ("produce", "kalshi"),
    "produce-polymarket": ("produce", "polymarket"),
    "process-analytics": ("process", "analytics"),
    "sink-clickhouse": ("sink", "clickhouse"),
    "dashboard": ("dashboard",),
}
"""Every process of ours that has a port."""


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


def answer(url: str, token: str) -> int:
    """HTTP status of a GET that shows a token."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})  # noqa: S310  our own
    try:
        with urllib.request.urlopen(request, timeout=10) as got:  # noqa: S310
            return int(got.status)
    except urllib.error.HTTPError as error:
        return error.code


def main(address: str, folder: Path) -> None:
    """Starts, tries, tells, stops."""
    with ExitStack() as until_end:
        told = _tried(address, folder, until_end)
    print(json.dumps(told))


def _tried(address: str, folder: Path, until_end: ExitStack) -> dict[str, Any]:
    kafka = KafkaProcess(folder / "node")
    until_end.callback(kafka.stop)
    warehouse = ServiceProcess.start("movers.local.warehouse.service", folder / "warehouse")
    until_end.callback(warehouse.terminate)
    registry = ServiceProcess.start("movers.local.registry.service", folder / "registry")
    until_end.callback(registry.terminate)
    venues = SimulatorProcess.start(folder / "venues.log", "--host", "0.0.0.0", "--markets", "20")
    until_end.callback(venues.terminate)
    venues.url = venues.url.replace("0.0.0.0", "127.0.0.1")
    everywhere = {
        **venues.venue_settings(),
        "DASHBOARD_HOST": "0.0.0.0",
        "DASHBOARD_ALLOWED_HOSTS": address,
        "METRICS_HOST": "0.0.0.0",
        "CLICKHOUSE_PORT": str(warehouse.port),
        "SCHEMA_REGISTRY_URL": registry.url,
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap,
        "KAFKA_PARTITIONS": "1",
        "MOVERS_HOME": str(folder / "home"),
        "STATE_DIR": str(folder / "state"),
    }
    unlocked = {name: _refused(*command, settings=everywhere) for name, command in COMMANDS.items()}
    locked = {**everywhere, "METRICS_TOKEN": TOKEN}
    for made in (["topics", "create"], ["schemas", "register"], ["migrate"]):
        subprocess.run([sys.executable, "-m", "movers", *made], env=child_environment(locked), check=True, stdout=2)
    unlocked["dashboard without a password"] = _refused("dashboard", settings=locked)
    dashboard_port = free_port()
    locked |= {
        "DASHBOARD_PORT": str(dashboard_port),
        "DASHBOARD_PASSWORD_HASH": hash_password("a long password", log2_n=4),
    }
    ours: dict[str, MoversProcess] = {}
    for name, command in COMMANDS.items():
        own = {**locked, "SPILL_DIR": str(folder / name)}
        ours[name] = MoversProcess.start(*command, log=folder / f"{name}.log", settings=own)
        until_end.callback(ours[name].terminate)
    home = f"http://127.0.0.1:{dashboard_port}"
    for process in ours.values():
        _await_health(process)
    wait_until(lambda: status(f"{home}/_stcore/health") == 200, "the dashboard", 60, ended=ours["dashboard"].ended)
    names = {
        kafka.kafka.port: "kafka",
        kafka.kafka.controller_port: "kafka's controller",
        warehouse.port: "warehouse",
        registry.port: "registry",
        venues.port: "simulator",
        dashboard_port: "dashboard",
        **{process.metrics_port: f"metrics of {name}" for name, process in ours.items()},
    }
    listening = _listening()
    metrics = {name: f":{process.metrics_port}/metrics" for name, process in ours.items()}
    return {
        "listening": sorted({names.get(port, str(port)) for port in listening}),
        "open": sorted({names.get(port, str(port)) for port in listening if _accepts(address, port)}),
        "without_a_lock": unlocked,
        "stranger": {path: status(f"http://{address}:{dashboard_port}{path}") for path in PATHS},
        "foreign_name": status(f"http://{address}:{dashboard_port}/login", "evil.example"),
        "metrics": {name: status(f"http://{address}{place}") for name, place in metrics.items()},
        "metrics_at_home": {name: status(f"http://127.0.0.1{place}") for name, place in metrics.items()},
        "metrics_with_token": {name: answer(f"http://{address}{place}", TOKEN) for name, place in metrics.items()},
        "metrics_with_another": {name: answer(f"http://{address}{place}", "x") for name, place in metrics.items()},
        "orders": status(f"http://{address}:{venues.port}/simulator/status"),
        "orders_at_home": status(f"{venues.url}/simulator/status"),
    }


def _await_health(process: MoversProcess) -> None:
    wait_until(lambda: process.healthy, "each process", 120, ended=process.ended)


def _refused(*command: str, settings: dict[str, str]) -> str:
    """What a command that must not start says last; empty where it started."""
    given = child_environment({"METRICS_PORT": str(free_port()), **settings})
    argv = [sys.executable, "-m", "movers", *command]
    done = subprocess.run(argv, env=given, capture_output=True, text=True, timeout=120, check=False)
    return done.stderr.strip().splitlines()[-1] if done.returncode == 2 else ""


def _listening() -> set[int]:
    children = {child.pid for child in psutil.Process().children(recursive=True)}
    return {
        connection.laddr.port
        for connection in psutil.net_connections("tcp")
        if connection.laddr and connection.status == psutil.CONN_LISTEN and connection.pid in children
    }


def _accepts(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(3)
        return probe.connect_ex((address, port)) == 0


if __name__ == "__main__":
    sys.path.insert(0, os.getcwd())
    main(sys.argv[1], Path(sys.argv[2]))

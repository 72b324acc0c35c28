"""Which port each part of a one-machine run listens on, and the settings that lead others there. All on loopback."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kernel.settings import Settings
from movers.local.ports import choose_port, free_port
from processors.registry import PROCESSORS
from schemas.topics import VENUES


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Ports of one run."""

    kafka: int
    kafka_controller: int
    registry: int
    warehouse: int
    simulator: int
    dashboard: int
    metrics: Mapping[str, int]

    def environment(self) -> dict[str, str]:
        """Settings that lead any process of ours, and the commands of a user, to this run."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{self.kafka}",
            "SCHEMA_REGISTRY_URL": f"http://127.0.0.1:{self.registry}",
            "CLICKHOUSE_HOST": "127.0.0.1",
            "CLICKHOUSE_PORT": str(self.warehouse),
            "DASHBOARD_HOST": "127.0.0.1",
            "DASHBOARD_PORT": str(self.dashboard),
        }

    def simulated_venues(self) -> dict[str, str]:
        """Settings that lead the producers to the simulator."""
        http, ws = f"http://127.0.0.1:{self.simulator}", f"ws://127.0.0.1:{self.simulator}"
        return {
            "POLYMARKET_GAMMA_URL": f"{http}/gamma",
            "POLYMARKET_CLOB_URL": f"{http}/clob",
            "POLYMARKET_WS_URL": f"{ws}/poly-ws/ws/market",
            "POLYMARKET_WITNESS_URL": f"{ws}/poly-bolt/ws",
            "POLYMARKET_REQUESTS_PER_S": "500",
            "KALSHI_API_URL": f"{http}/kalshi/trade-api/v2",
            "KALSHI_WS_URL": f"{ws}/kalshi/trade-api/ws/v2",
            "KALSHI_REQUESTS_PER_S": "500",
        }


PROCESSES = (
    *(f"process-{name}" for name in PROCESSORS),
    "sink-clickhouse",
    *(f"produce-{venue}" for venue in VENUES),
)
"""Processes of ours with a metrics port."""


def choose_addresses(settings: Settings) -> Addresses:
    """Free ports: the configured ones where free, others where somebody else has them.

    Raises:
        UserError: the user asked for a dashboard port by name and it is taken.
    """
    asked = settings.process.dashboard_port if "DASHBOARD_PORT" in settings.given else None
    taken: set[int] = set()

    def pick(preferred: int, what: str, asked: int | None = None) -> int:
        port = choose_port(preferred, what, asked)
        while port in taken:
            port = free_port()
        taken.add(port)
        return port

    return Addresses(
        kafka=pick(19092, "kafka"),
        kafka_controller=pick(19093, "kafka_controller"),
        registry=pick(18081, "registry"),
        warehouse=pick(18123, "warehouse"),
        simulator=pick(18090, "simulator"),
        dashboard=pick(settings.process.dashboard_port, "dashboard", asked),
        metrics={name: pick(19500 + i, name) for i, name in enumerate(PROCESSES)},
    )

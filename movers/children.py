"""Every process of a one-machine run: its command line, its settings, its address, and what its health is asked."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from dashboard import launch
from kernel.settings import Settings
from movers.addresses import Addresses
from movers.local.broker.node import LocalKafka
from movers.local.ports import accepts
from movers.probes import KafkaReady, answers, stuck
from movers.supervisor import ChildSpec
from processors.registry import PROCESSORS
from schemas.topics import VENUES


class Children:
    """What the supervisor is given to start, by the stage at which it starts.

    Args:
        environment: settings of ours that lead each process to this run; `settings` are those, read.
        data: folder of this run's data.
        simulator_args: arguments of the simulated venues; None for the live ones.
    """

    def __init__(
        self,
        addresses: Addresses,
        environment: Mapping[str, str],
        settings: Settings,
        kafka: LocalKafka,
        data: Path,
        simulator_args: Sequence[str] | None,
    ) -> None:
        self._addresses, self._environment, self._settings = addresses, environment, settings
        self._kafka, self._data, self._simulator_args = kafka, data, simulator_args

    def servers(self) -> list[ChildSpec]:
        """Kafka, schema registry and the store."""
        a = self._addresses
        return [
            ChildSpec(
                name="kafka",
                argv=self._kafka.argv(),
                ready=KafkaReady(self._kafka, a.kafka),
                stuck=lambda: not accepts(a.kafka),
                address=self._kafka.bootstrap,
            ),
            ChildSpec(
                name="registry",
                argv=_python("movers.local.registry.service", "--port", a.registry, "--data", self._data / "registry"),
                ready=answers(f"http://127.0.0.1:{a.registry}/subjects"),
                stuck=stuck(f"http://127.0.0.1:{a.registry}/subjects"),
                address=f"http://127.0.0.1:{a.registry}",
            ),
            ChildSpec(
                name="warehouse",
                argv=_python(
                    "movers.local.warehouse.service", "--port", a.warehouse, "--data", self._data / "warehouse"
                ),
                ready=answers(f"http://127.0.0.1:{a.warehouse}/ping"),
                stuck=stuck(f"http://127.0.0.1:{a.warehouse}/ping"),
                address=f"http://127.0.0.1:{a.warehouse}",
            ),
        ]

    def venues(self) -> list[ChildSpec]:
        """The simulated venues; none where the live ones are asked."""
        if self._simulator_args is None:
            return []
        url = f"http://127.0.0.1:{self._addresses.simulator}"
        args = ("--port", self._addresses.simulator, *self._simulator_args)
        return [
            ChildSpec(
                name="simulator",
                argv=_python("movers", "simulate", *args),
                env=self._environment,
                ready=answers(f"{url}/simulator/status"),
                stuck=stuck(f"{url}/simulator/status"),
                address=url,
            )
        ]

    def workers(self) -> list[ChildSpec]:
        """Processors and sink."""
        return [
            *(self._ours(f"process-{app}", "process", app) for app in PROCESSORS),
            self._ours("sink-clickhouse", "sink", "clickhouse"),
        ]

    def producers(self) -> list[ChildSpec]:
        """A collector for each venue."""
        return [self._ours(f"produce-{venue}", "produce", venue) for venue in VENUES]

    def dashboard(self) -> ChildSpec:
        """The dashboard."""
        return ChildSpec(
            name="dashboard",
            argv=[sys.executable, *launch.argv(self._settings)],
            env=self._environment,
            ready=answers(f"{self.dashboard_url()}/_stcore/health"),
            stuck=stuck(f"{self.dashboard_url()}/_stcore/health"),
            address=self.dashboard_url(),
        )

    def _ours(self, name: str, *command: str) -> ChildSpec:
        return ChildSpec(
            name=name,
            argv=_python("movers", *command),
            env={**self._environment, "METRICS_PORT": str(self._addresses.metrics[name])},
            ready=answers(f"{self.metrics_url(name)}/health"),
            stuck=stuck(f"{self.metrics_url(name)}/health"),
            address=self.metrics_url(name) or "",
        )

    def dashboard_url(self) -> str:
        """Where the dashboard answers."""
        return f"http://127.0.0.1:{self._addresses.dashboard}"

    def metrics_url(self, name: str) -> str | None:
        """Where a process tells its health and metrics; None for one that is not of ours."""
        port = self._addresses.metrics.get(name)
        return None if port is None else f"http://127.0.0.1:{port}"


def _python(module: str, *args: object) -> list[str]:
    return [sys.executable, "-m", module, *(str(arg) for arg in args)]

"""`rpk redpanda start …` and `rpk cluster health`, as far as docker-compose.yml uses them, over Apache Kafka.

An option that the compose file does not use is refused: what cannot be stood in for must not look as if it worked.
"""

from __future__ import annotations

import argparse
import socket
import sys
import threading
import urllib.request
from pathlib import Path

from movers.local.broker.node import LocalKafka
from ops.compose.standins.front import front
from ops.compose.standins.run import serve, start, start_program

DATA = Path("/var/lib/redpanda/data")
CACHE = Path("/opt/standins/cache")
READY = Path("/tmp/ready")  # noqa: S108  the container's own
_REGISTRY_BEHIND = 18081
_CONTROLLER = 19093
_IGNORED = ("smp", "memory", "reserve-memory", "check", "node-id", "rpc-addr", "advertise-rpc-addr")
_PROPERTIES = {"redpanda.auto_create_topics_enabled=false"}  # which is how our node is set anyway


class StandInKafka(LocalKafka):
    """A node with the named listeners of Redpanda's command line.

    Args:
        listeners: name to address to bind, `internal` first.
        advertised: name to address that clients are told.
    """

    def __init__(self, listeners: dict[str, str], advertised: dict[str, str]) -> None:
        self._listeners = {name.upper(): address for name, address in listeners.items()}
        self._advertised = {name.upper(): address for name, address in advertised.items()}
        internal_port = int(next(iter(self._listeners.values())).rpartition(":")[2])
        super().__init__(DATA / "kafka", CACHE, internal_port, _CONTROLLER, heap_mb=512)

    def properties(self) -> dict[str, str | int]:
        """The node's settings with these listeners in place of the loopback one."""
        values = super().properties()
        names = list(self._listeners)
        controller = f"CONTROLLER://127.0.0.1:{self.controller_port}"
        values["listeners"] = ",".join([*(f"{n}://{a}" for n, a in self._listeners.items()), controller])
        values["advertised.listeners"] = ",".join(f"{n}://{a}" for n, a in self._advertised.items())
        values["listener.security.protocol.map"] = ",".join(f"{n}:PLAINTEXT" for n in [*names, "CONTROLLER"])
        values["inter.broker.listener.name"] = names[0]
        return values


def main(arguments: list[str]) -> int:
    """Exit code of the command, as rpk's."""
    if arguments[:2] == ["cluster", "health"]:
        return _health()
    if arguments[:2] == ["redpanda", "start"]:
        return _start(arguments[2:])
    print(f"stand-in: no such command: rpk {' '.join(arguments)}", file=sys.stderr)  # noqa: T201
    return 2


def _start(arguments: list[str]) -> int:
    options = _options(arguments)
    kafka = StandInKafka(_named(options.kafka_addr), _named(options.advertise_kafka_addr))
    kafka.prepare(lambda text: print(text, flush=True))  # noqa: T201
    children = [
        start_program(kafka.argv()),
        start("movers.local.registry.service", "--port", _REGISTRY_BEHIND, "--data", DATA / "registry"),
    ]
    READY.unlink(missing_ok=True)
    threading.Thread(target=_announce, args=(kafka,), daemon=True).start()
    port = int(options.schema_registry_addr.rpartition(":")[2])
    code = serve(front(f"http://127.0.0.1:{_REGISTRY_BEHIND}"), port, children)
    kafka.release()
    return code


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="rpk redpanda start", allow_abbrev=False)
    parser.add_argument("--kafka-addr", required=True)
    parser.add_argument("--advertise-kafka-addr", required=True)
    parser.add_argument("--schema-registry-addr", required=True)
    parser.add_argument("--overprovisioned", action="store_true")
    parser.add_argument("--set", action="append", default=[], choices=sorted(_PROPERTIES))
    for name in _IGNORED:
        parser.add_argument(f"--{name}")
    return parser.parse_args(arguments)


def _named(addresses: str) -> dict[str, str]:
    """`internal://0.0.0.0:9092,external://…` as name to host:port."""
    parts = (address.partition("://") for address in addresses.split(","))
    return {name: address for name, _, address in parts}


def _announce(kafka: LocalKafka) -> None:
    kafka.wait_ready(120)
    READY.write_text(str(kafka.port), "ascii")


def _health() -> int:
    healthy = READY.exists() and _listens(int(READY.read_text("ascii"))) and _registry_answers()
    print(f"CLUSTER HEALTH OVERVIEW\n=======================\nHealthy:                          {str(healthy).lower()}")  # noqa: T201
    return 0


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _registry_answers() -> bool:
    try:
        with urllib.request.urlopen("http://127.0.0.1:8081/subjects", timeout=3) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Three Kafka nodes on this machine: every topic three times, and no write acknowledged by fewer than two."""

from __future__ import annotations

from pathlib import Path

from confluent_kafka.admin import AdminClient

from movers.local.broker.node import LocalKafka
from movers.local.ports import LOOPBACK
from tests.stack.ports import free_port
from tests.stack.processes import JAR_CACHE, Child
from tests.stack.waiting import wait_until

NODES = 3


class _Member(LocalKafka):
    """One of the nodes; `voters` are the controllers of all."""

    def __init__(self, number: int, folder: Path, port: int, controller_port: int, voters: str) -> None:
        super().__init__(folder / f"node {number}", JAR_CACHE, port, controller_port)
        self.number = number
        self._voters = voters

    def properties(self) -> dict[str, str | int]:
        return {
            **super().properties(),
            "node.id": self.number,
            "controller.quorum.voters": self._voters,
            "default.replication.factor": NODES,
            "min.insync.replicas": 2,
            "offsets.topic.replication.factor": NODES,
            "transaction.state.log.replication.factor": NODES,
            "transaction.state.log.min.isr": 2,
            "share.coordinator.state.topic.replication.factor": NODES,
            "share.coordinator.state.topic.min.isr": 2,
            # A test waits for it; five minutes by default.
            "leader.imbalance.check.interval.seconds": 5,
        }


class KafkaCluster:
    """The nodes, by number from 1. `stop` ends them."""

    def __init__(self, folder: Path) -> None:
        ports = [(free_port(), free_port()) for _ in range(NODES)]
        voters = ",".join(f"{number}@{LOOPBACK}:{controller}" for number, (_, controller) in enumerate(ports, 1))
        self._log = folder
        self._nodes = {
            number: _Member(number, folder, port, controller, voters)
            for number, (port, controller) in enumerate(ports, 1)
        }
        cluster_id = self._nodes[1].cluster_id
        for node in self._nodes.values():
            node.cluster_id = cluster_id
            node.prepare(lambda _message: None)
        self._running = {number: self._start(number) for number in self._nodes}
        wait_until(lambda: self.alive() == NODES, "three nodes", 90)
        self._nodes[1].wait_ready(90)

    @property
    def bootstrap(self) -> str:
        """`bootstrap.servers` of all nodes."""
        return ",".join(node.bootstrap for node in self._nodes.values())

    def alive(self) -> int:
        """Nodes that the cluster counts; 0 while nobody answers."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 2})
        try:
            return len(admin.list_topics(timeout=5).brokers)
        except Exception:  # confluent_kafka's, whatever it is: nobody answers
            return 0

    def in_sync(self) -> bool:
        """Whether every partition has all its replicas."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 2})
        topics = admin.list_topics(timeout=10).topics.values()
        return all(len(p.isrs) == len(p.replicas) for topic in topics for p in topic.partitions.values())

    def leaders(self) -> set[int]:
        """Nodes that lead a partition."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 2})
        topics = admin.list_topics(timeout=10).topics.values()
        return {partition.leader for topic in topics for partition in topic.partitions.values()}

    def kill(self, *numbers: int) -> None:
        """kill -9 of nodes."""
        for number in numbers:
            self._running[number].kill()

    def restart(self, *numbers: int) -> None:
        """Starts them again; returns once every partition has all its replicas."""
        for number in numbers:
            self._running[number] = self._start(number)
        wait_until(lambda: self.alive() == NODES and self.in_sync(), "all replicas in sync", 120)

    def stop(self) -> None:
        """Ends all."""
        for number, child in self._running.items():
            child.kill()
            self._nodes[number].release()

    def _start(self, number: int) -> Child:
        node = self._nodes[number]
        return Child(node.argv(), self._log / f"node {number}.log")

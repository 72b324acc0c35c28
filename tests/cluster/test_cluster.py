"""The pipeline on three Kafka nodes that die, come back and change their leaders: the ledger holds.

`make test-cluster`. Each test says what it measured; the figures stand in `docs/reliability.md`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos.run import MARKETS, audited
from tests.chaos.trouble import more_partitions
from tests.chaos.world import World
from tests.stack.cluster import KafkaCluster
from tests.stack.made_tape import made_tape
from tests.stack.waiting import wait_until

pytestmark = [
    pytest.mark.stack,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        os.environ.get("MOVERS_CLUSTER") != "1", reason="`make test-cluster` runs it: three Kafka nodes"
    ),
]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    cluster = KafkaCluster(tmp_path / "cluster")
    world = World(tmp_path / "world", made_tape(21, MARKETS, 20_000), cluster=cluster)
    try:
        world.start()
        yield world
    finally:
        world.close()
        cluster.stop()


def cluster_of(world: World) -> KafkaCluster:
    assert world.cluster is not None
    return world.cluster


def flows(world: World, what: str) -> float:
    """Seconds until new ticks are stored again."""
    began_s, before = time.monotonic(), world.stored()
    wait_until(lambda: world.stored() > before, what, 180, ended=world.given_up)
    took_s = time.monotonic() - began_s
    print(f"| {what} | {took_s:.1f} s |")
    return took_s


def one_dies(world: World) -> None:
    cluster_of(world).kill(1)
    flows(world, "one node killed: rows again after")
    cluster_of(world).restart(1)
    flows(world, "the node back and in sync: rows again after")


def two_die(world: World) -> None:
    cluster_of(world).kill(2, 3)
    world.wait(5)
    cluster_of(world).restart(2, 3)
    flows(world, "two nodes killed and, after 5 s, started: rows again after")


def leaders_move(world: World) -> None:
    cluster = cluster_of(world)
    for number in (1, 2, 3):
        cluster.kill(number)
        wait_until(lambda gone=number: gone not in cluster.leaders(), "other leaders", 60)  # type: ignore[misc]
        cluster.restart(number)
    flows(world, "every leader moved, node after node: rows again after")


def processors_come_and_go(world: World) -> None:
    world.add_replica("process-analytics")
    flows(world, "a second processor joined: rows again after")
    world.drop_replica("process-analytics")
    flows(world, "the second processor ended: rows again after")


def partitions_are_added(world: World) -> None:
    more_partitions(world, 0)
    flows(world, "a partition more in every topic: rows again after")


@pytest.mark.parametrize(
    "trouble", [one_dies, two_die, leaders_move, processors_come_and_go, partitions_are_added], ids=lambda t: t.__name__
)
def test_the_ledger_holds_when(world: World, trouble: Callable[[World], None]) -> None:
    trouble(world)
    world.settle()

    verdict = audited(world)

    assert verdict.good, "\n".join([verdict.line(0, 21), *verdict.details()])
    assert verdict.counted["stored"] > 500

"""A right to read that is taken away from a running sink, on a Kafka that asks for rights."""

from __future__ import annotations

from pathlib import Path

import pytest
from confluent_kafka.admin import AclOperation, ResourceType

from kernel.kafka.topics import create_topics
from kernel.schema_registry import SchemaRegistry
from kernel.settings import ClickHouseSettings
from schemas.topics import CATALOGUE, TICKS
from sinks.clickhouse.membership import GROUP
from tests.stack.processes import MoversProcess, ServiceProcess, kafka_at
from tests.stack.rights import Right, guarded_kafka
from tests.stack.waiting import wait_until

pytestmark = pytest.mark.stack

TAKEN: tuple[tuple[Right, str], ...] = (
    ((ResourceType.TOPIC, TICKS.name, AclOperation.READ), f"topic {TICKS.name}"),
    ((ResourceType.GROUP, GROUP, AclOperation.READ), f"group {GROUP}, or a topic of it"),
)


def test_a_sink_whose_right_to_read_is_taken_away_ends_in_one_line_and_reads_on_once_it_is_back(
    tmp_path: Path, registry: ServiceProcess, warehouse_port: int, database: ClickHouseSettings
) -> None:
    schemas = SchemaRegistry(registry.url)
    schemas.register(CATALOGUE)
    schemas.close()
    with guarded_kafka(tmp_path / "a folder") as (node, rights):
        create_topics(kafka_at(node.bootstrap))
        store = {"CLICKHOUSE_PORT": str(warehouse_port), "CLICKHOUSE_DATABASE": database.clickhouse_database}
        settings = {**rights.settings, "SCHEMA_REGISTRY_URL": registry.url, **store}

        def started(log: Path) -> MoversProcess:
            process = MoversProcess.start("sink", "clickhouse", log=log, settings=settings, cwd=tmp_path)
            wait_until(lambda: "positions_taken" in process.said, "it reads", ended=process.ended)
            return process

        for number, (right, what) in enumerate(TAKEN):
            sink = started(tmp_path / f"sink {number}.log")
            try:
                with rights.taken(right):
                    wait_until(lambda sink=sink: not sink.running, "it has ended")  # type: ignore[misc]
                assert "Traceback" not in sink.said
                assert f"Kafka does not let us read {what}: give our user the right to READ it" in sink.said
            finally:
                sink.kill()
        last = started(tmp_path / "the last sink.log")
        assert last.terminate(60) == 0

"""A right to read that is taken away from a running processor, on a Kafka that asks for rights."""

from __future__ import annotations

from pathlib import Path

import pytest
from confluent_kafka.admin import AclOperation, ResourceType

from kernel.kafka.topics import create_topics
from kernel.schema_registry import SchemaRegistry
from schemas.topics import CATALOGUE, TICKS
from tests.stack.processes import MoversProcess, ServiceProcess, kafka_at
from tests.stack.rights import guarded_kafka
from tests.stack.waiting import wait_until

pytestmark = pytest.mark.stack


def test_a_processor_whose_right_to_read_is_taken_away_ends_in_one_line_and_reads_on_once_it_is_back(
    tmp_path: Path, registry: ServiceProcess
) -> None:
    schemas = SchemaRegistry(registry.url)
    schemas.register(CATALOGUE)
    schemas.close()
    with guarded_kafka(tmp_path / "a folder") as (node, rights):
        create_topics(kafka_at(node.bootstrap))
        settings = {**rights.settings, "SCHEMA_REGISTRY_URL": registry.url, "STATE_DIR": str(tmp_path / "state")}
        log = tmp_path / "processor.log"

        def started() -> MoversProcess:
            process = MoversProcess.start("process", "analytics", log=log, settings=settings, cwd=tmp_path)
            wait_until(lambda: process.healthy, "it works", ended=process.ended)
            return process

        first = started()
        try:
            with rights.taken((ResourceType.TOPIC, TICKS.name, AclOperation.READ)):
                wait_until(lambda: not first.running, "it has ended")
            assert "Traceback" not in first.said
            assert f"Kafka does not let us read {TICKS.name}: give our user the right to READ it" in first.said
        finally:
            first.kill()
        second = started()
        assert second.terminate(60) == 0

"""A processor is a folder and a line in the registry, and then it runs like ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernel.errors import UserError
from kernel.kafka.topics import create_topics
from kernel.schema_registry import SchemaRegistry
from processors import registry as processors
from schemas.topics import CATALOGUE, TICKS
from tests.processors.jumps.app import JUMPS
from tests.processors.on_kafka import Stack
from tests.processors.ticks import make_tick
from tests.stack.processes import KafkaProcess, ServiceProcess, kafka_at


def test_every_name_in_the_registry_is_that_of_its_stage() -> None:
    assert {processors.load(name).stage.name for name in processors.PROCESSORS} == set(processors.PROCESSORS)


def test_a_name_that_is_not_in_the_registry_is_one_clear_line() -> None:
    with pytest.raises(UserError, match="unknown processor nothing; known: analytics"):
        processors.load("nothing")


@pytest.mark.stack
def test_a_processor_of_somebody_elses_runs_from_its_folder(
    tmp_path: Path, registry: ServiceProcess, kafka_stack: KafkaProcess
) -> None:
    client = SchemaRegistry(registry.url)
    client.register((*CATALOGUE, JUMPS))
    create_topics(kafka_at(kafka_stack.bootstrap), (*CATALOGUE, JUMPS))
    stack = Stack(kafka_stack.bootstrap, registry.url, client, tmp_path, others={JUMPS.name: JUMPS})
    stack.start("jumps", "tests.processors.jumps")

    stack.publish(
        TICKS.name, [make_tick(i * 60, price) for i, price in enumerate((400_000, 440_000, 500_000, 430_000))]
    )
    found = stack.wait_for(JUMPS.name, "both jumps", lambda jumps: len(jumps) == 2)

    assert [(j.open_ppm, j.close_ppm) for j in found] == [(440_000, 500_000), (500_000, 430_000)]
    stack.end()
    client.close()

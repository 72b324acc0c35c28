"""`movers topics former` on a broker of its own: what it shows, what it deletes, what it leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from kernel.kafka.topics import create_topics, existing_topics
from movers.former_topics import show
from processors.log_watch import look
from schemas.topics import CATALOGUE, TICKS
from tests.stack.processes import KafkaProcess, kafka_at
from tests.stack.waiting import wait_until


@pytest.mark.stack
def test_changelogs_of_earlier_versions_are_shown_and_deleted_and_the_one_in_use_is_not(tmp_path: Path) -> None:
    node = KafkaProcess(tmp_path / "node")
    kafka = kafka_at(node.bootstrap)
    create_topics(kafka)
    in_use = f"changelog__movers-analytics-{look(kafka, TICKS.name).identity}--ticks--default"
    former = "changelog__movers-bars-0000000a--ticks--default"
    admin = AdminClient({"bootstrap.servers": node.bootstrap})
    for future in admin.create_topics([NewTopic(name, 1, 1) for name in (in_use, former)]).values():
        future.result(60)
    said: list[str] = []

    show(kafka, delete=False, write=said.append)
    assert said[0] == f"{former}\t0 messages"
    assert existing_topics(kafka) >= {in_use, former}
    show(kafka, delete=True, write=said.append)
    wait_until(lambda: former not in existing_topics(kafka), "the deletion")
    show(kafka, delete=True, write=said.append)

    assert said[1:] == [
        "delete them with --delete; a processor of the version that made them would begin anew",
        said[0],
        "deleted 1",
        "none",
    ]
    assert existing_topics(kafka) >= {in_use, *(topic.name for topic in CATALOGUE)}
    node.stop()

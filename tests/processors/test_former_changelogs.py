"""Changelogs of logs that are no more are removed, those that somebody may go on with are not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient, NewTopic

from kernel.settings import KafkaSettings
from processors.former_changelogs import former, remove, remove_of_former_logs
from tests.stack.processes import KafkaProcess, kafka_at
from tests.stack.waiting import wait_until

pytestmark = pytest.mark.stack

STAGE, GROUP = "movers-gone", "movers-gone-0000000a"
IN_USE = f"changelog__{GROUP}--prices--default"
BEFORE = "changelog__movers-gone-0000000b--prices--default"
FOLLOWED = "changelog__movers-gone-0000000c--prices--default"
OTHERS = (
    "changelog__movers-gone--prices--default",  # of a broker that gave no ids
    "changelog__movers-gone-more-0000000b--prices--default",  # of another stage
    "changelog__movers-gone-0000000b--other--default",  # of another input
    "changelog__theirs-0000000b--prices--default",
)


@pytest.fixture
def kafka(kafka_stack: KafkaProcess) -> Iterator[KafkaSettings]:
    """With all of these topics, and somebody in the group of one."""
    settings = kafka_at(kafka_stack.bootstrap)
    admin = AdminClient({"bootstrap.servers": kafka_stack.bootstrap})
    topics = [NewTopic(name, 1, 1) for name in (IN_USE, BEFORE, FOLLOWED, *OTHERS)]
    for future in admin.create_topics(topics).values():
        future.result(60)
    reader = Consumer({"bootstrap.servers": kafka_stack.bootstrap, "group.id": "movers-gone-0000000c"})
    reader.subscribe([FOLLOWED])
    wait_until(lambda: reader.poll(0.2) is None and reader.assignment(), "a member")
    yield settings
    reader.close()
    left = [name for name in names(settings) if "gone" in name or "theirs" in name]
    for future in admin.delete_topics(left).values():
        future.result(60)


def names(kafka: KafkaSettings) -> set[str]:
    admin = AdminClient({"bootstrap.servers": kafka.kafka_bootstrap_servers})
    return {name for name in admin.list_topics(timeout=60).topics if name.startswith("changelog__")}


def test_only_the_changelog_of_a_log_that_is_no_more_is_removed(kafka: KafkaSettings) -> None:
    remove_of_former_logs(kafka, STAGE, GROUP, "prices")

    wait_until(lambda: BEFORE not in names(kafka), "the removal")
    assert names(kafka) >= {IN_USE, FOLLOWED, *OTHERS}


def test_a_group_that_is_not_named_after_a_log_proves_nothing(kafka: KafkaSettings) -> None:
    remove_of_former_logs(kafka, STAGE, STAGE, "prices")

    assert BEFORE in names(kafka)


def test_a_person_sees_what_no_processor_uses_and_removes_it(kafka: KafkaSettings) -> None:
    found = {one.topic: one for one in former(kafka, {(GROUP, "prices")})}

    assert found.keys() >= {BEFORE, FOLLOWED, *OTHERS[:3]}
    assert not found.keys() & {IN_USE, OTHERS[3]}
    assert (found[BEFORE].members, found[FOLLOWED].members) == (0, 1)
    remove(kafka, [BEFORE])
    wait_until(lambda: BEFORE not in names(kafka), "the removal")

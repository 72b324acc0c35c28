"""Topics that were made by an earlier version get the limits of this one; what somebody has set stays."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from kernel.kafka.topics import create_topics
from schemas.topics import TICKS, Topic
from tests.stack.processes import KafkaProcess, kafka_at

pytestmark = pytest.mark.stack


def set_on(bootstrap: str, topic: str) -> dict[str, str]:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    resource = ConfigResource(ResourceType.TOPIC, topic)
    found = admin.describe_configs([resource])[resource].result(60)
    return {name: entry.value for name, entry in found.items() if not entry.is_default}


def a_topic(**config: str) -> Topic:
    return Topic(name="an.old.topic", subject_file="ticks", event=TICKS.event, key="market_id", config=config)


def test_topics_made_by_several_at_once_are_made_for_all_of_them(kafka_stack: KafkaProcess) -> None:
    kafka = kafka_at(kafka_stack.bootstrap)
    topics = [replace(a_topic(), name=f"a.topic.of.all.{number}") for number in range(8)]

    with ThreadPoolExecutor(8) as starting:
        made = list(starting.map(lambda _: create_topics(kafka, topics), range(8)))

    assert sorted(name for names in made for name in names) == [t.name for t in topics], "each by one of them"


def test_a_topic_that_exists_gets_the_limits_that_nobody_has_set(kafka_stack: KafkaProcess) -> None:
    kafka = kafka_at(kafka_stack.bootstrap)
    create_topics(kafka, [a_topic(**{"retention.ms": "3600000"})])

    made = create_topics(kafka, [a_topic(**{"retention.ms": "7200000", "retention.bytes": "1048576"})])

    assert made == []
    found = set_on(kafka_stack.bootstrap, "an.old.topic")
    assert found["retention.bytes"] == "1048576"
    assert found["retention.ms"] == "3600000", "what was set there is somebody's choice"

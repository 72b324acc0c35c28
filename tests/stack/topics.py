"""Our topics, made anew on a Kafka that has served other tests."""

from __future__ import annotations

from confluent_kafka.admin import AdminClient

from kernel.kafka.topics import create_topics
from schemas.topics import CATALOGUE
from tests.stack.processes import kafka_at
from tests.stack.waiting import wait_until


def topics_made_anew(bootstrap: str, partitions: int) -> None:
    """Deletes all our topics and makes them again, empty: offsets start at 0 and every topic has a new id."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    names = [topic.name for topic in CATALOGUE]
    present = [name for name in names if name in admin.list_topics(timeout=60).topics]
    if present:
        for future in admin.delete_topics(present, operation_timeout=60).values():
            future.result(60)
        wait_until(lambda: not set(names) & set(admin.list_topics(timeout=60).topics), "topics deleted")
    create_topics(kafka_at(bootstrap, partitions))

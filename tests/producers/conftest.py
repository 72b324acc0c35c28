"""Kafka with our topics and the registry with our schemas, for collectors that really publish."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from kernel.kafka.readers import read_to_end
from kernel.kafka.topics import create_topics
from kernel.schema_registry import SchemaRegistry
from schemas.codec import Codec
from schemas.events import Event
from schemas.topics import CATALOGUE, Topic
from tests.stack.processes import KafkaProcess, ServiceProcess, kafka_at
from tests.stack.processes import kafka_stack as kafka_stack
from tests.stack.processes import registry as registry
from tests.stack.processes import stack_dir as stack_dir
from tests.stack.topics import topics_made_anew

Message = tuple[Event, str, dict[str, bytes]]


@dataclass(frozen=True, slots=True)
class Stack:
    """Addresses of Kafka and the registry."""

    bootstrap: str
    registry_url: str

    def read(self, topic: Topic) -> list[Message]:
        """All messages of a topic: event, key, headers. In order within a partition."""
        store = SchemaRegistry(self.registry_url)
        codec = Codec(topic, store, topic.event)
        try:
            return [
                (codec.decode(message.value()), message.key().decode(), dict(message.headers() or ()))
                for message in read_to_end(kafka_at(self.bootstrap), topic.name)
            ]
        finally:
            store.close()


def prepared(node: KafkaProcess, schemas: ServiceProcess, topics: Sequence[Topic] = CATALOGUE) -> Stack:
    """Topics made and schemas registered."""
    create_topics(kafka_at(node.bootstrap, 2), topics)
    store = SchemaRegistry(schemas.url)
    store.register(CATALOGUE)
    store.close()
    return Stack(node.bootstrap, schemas.url)


@pytest.fixture(scope="module")
def stack(kafka_stack: KafkaProcess, registry: ServiceProcess) -> Stack:
    """Topics of each file's own: a collector that starts takes up what they already say."""
    topics_made_anew(kafka_stack.bootstrap, 2)
    return prepared(kafka_stack, registry)

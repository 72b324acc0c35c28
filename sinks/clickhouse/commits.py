"""Commits of one Kafka client, and what was answered to them.

librdkafka (2.12.1) does not come back from a commit that waits for its answer while Kafka is away, nor from closing a
client that has one on its way: measured, over two minutes each. So none waits inside the library; answers come when the
client is polled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, TopicPartition


class Commits:
    """What is on its way, and the errors that came back since they were last taken. One thread."""

    def __init__(self) -> None:
        self.on_their_way = 0
        self._errors: list[KafkaError] = []

    def config(self) -> dict[str, Any]:
        """librdkafka settings that make a client report here."""
        return {"on_commit": self._answered}

    def send(self, client: Consumer, offsets: Sequence[TopicPartition]) -> None:
        """Sends one.

        Raises:
            KafkaException: the client refuses it at once.
        """
        client.commit(offsets=list(offsets), asynchronous=True)
        self.on_their_way += 1

    def take_errors(self) -> list[KafkaError]:
        """Those of what was answered since the last call."""
        errors, self._errors = self._errors, []
        return errors

    def _answered(self, error: KafkaError | None, _partitions: Sequence[TopicPartition]) -> None:
        self.on_their_way -= 1
        if error is not None:
            self._errors.append(error)

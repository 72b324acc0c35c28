"""Dead letters on a Kafka that lets nobody write for a while: their client is broken for good by that."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernel.clock import SystemClock
from kernel.dead_letters import DeadLetters, Refused
from kernel.errors import BadMessageError, KafkaAwayError
from kernel.kafka.readers import read_to_end
from kernel.kafka.topics import create_topics
from schemas.topics import DEAD_LETTERS
from tests.stack.processes import kafka_at
from tests.stack.rights import ANYWHERE, guarded_kafka

pytestmark = pytest.mark.stack


class _OneId:
    """A registry where every schema has one id."""

    def id_of(self, subject: str, schema: str) -> int:
        return 7

    def by_id(self, schema_id: int) -> str:
        raise AssertionError


def test_letters_refused_with_every_right_to_write_are_asked_for_again_and_filed_once_it_is_back(
    tmp_path: Path,
) -> None:
    refused = [Refused("ticks", 0, number, "kalshi", BadMessageError("not_avro", "odd", b"")) for number in range(3)]
    with guarded_kafka(tmp_path / "a folder") as (node, rights):
        create_topics(kafka_at(node.bootstrap))
        letters = DeadLetters(rights.kafka, _OneId(), "store", SystemClock())
        with rights.taken(*ANYWHERE):
            for _ in range(3):
                with pytest.raises(KafkaAwayError):
                    letters.put(refused)
        letters.put(refused)
        letters.close()

        filed = [message.key() for message in read_to_end(kafka_at(node.bootstrap), DEAD_LETTERS.name)]
    assert filed == [each.place.encode() for each in refused]

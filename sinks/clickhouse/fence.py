"""Where to read on: the position of each topic-partition is the one the store recorded, not the one Kafka remembers.

The store's `ingest_offsets` say up to where everything is stored; reading goes on one after. So an offset committed too
late doubles nothing, and a store that was emptied or set back is filled again from what Kafka still holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from confluent_kafka import Consumer, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

from kernel.errors import KafkaAwayError, UserError
from kernel.logs import get_logger

log = get_logger(__name__)

_TIMEOUT_S = 10.0


def topic_epochs(bootstrap: str, topics: Iterable[str]) -> dict[str, str]:
    """What tells a topic from an earlier one of the same name: its id, or the cluster's where topics have none.

    Kafka gives topics an id (KIP-516); a broker without them answers zero (seen with confluent-kafka 2.12.2).

    Raises:
        KafkaAwayError: the broker does not answer, or a topic is missing.
    """
    # Level 4: without the client's remark, at each end, that a background queue was not empty.
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 4})
    try:
        cluster_id = str(admin.list_topics(timeout=_TIMEOUT_S).cluster_id)
        futures = admin.describe_topics(TopicCollection(list(topics)), request_timeout=_TIMEOUT_S)
        described = {name: future.result(_TIMEOUT_S) for name, future in futures.items()}
    except (KafkaException, TimeoutError) as error:
        raise KafkaAwayError(f"Kafka at {bootstrap} cannot describe our topics: {error}") from error
    return {name: _epoch(topic.topic_id, cluster_id) for name, topic in described.items()}


def _epoch(topic_id: object, cluster_id: str) -> str:
    """22 characters of base64; all A is the zero id."""
    text = str(topic_id)
    return text if topic_id is not None and text.strip("A") else cluster_id


def starting_offsets(
    reader: Consumer, partitions: Iterable[TopicPartition], fences: Mapping[tuple[str, int], int]
) -> dict[tuple[str, int], int]:
    """Offset to read next, by (topic, partition): one after the fence, else the oldest that Kafka holds.

    Raises:
        KafkaAwayError: the broker does not answer.
        UserError: the store is ahead of the log, so the topic was made anew under the same epoch.
    """
    offsets: dict[tuple[str, int], int] = {}
    for partition in partitions:
        key = (partition.topic, partition.partition)
        try:
            low, high = reader.get_watermark_offsets(partition, timeout=_TIMEOUT_S)
        except KafkaException as error:
            raise KafkaAwayError(f"Kafka does not tell the ends of {key}: {error}") from error
        wanted = fences.get(key, -1) + 1
        if wanted > high:
            raise UserError(
                f"{key[0]} partition {key[1]} ends at offset {high}, but the store has it up to {wanted - 1}; if the "
                f"topic was made anew, delete its rows from the table ingest_offsets and start again"
            )
        if 0 < wanted < low:
            log.error("messages_lost", topic=key[0], partition=key[1], stored_to=wanted - 1, kafka_from=low)
        offsets[key] = max(wanted, low)
    return offsets

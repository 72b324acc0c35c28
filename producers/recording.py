"""Records what a venue said: a tape of raw messages. What plays them: `replaying.py`.

A tape is gzipped JSON lines. The first is the header `{"format": "movers-raw/1", "venue": …}`, each other one a
`RawMessage` by field, `body` as base64. They stand in their order of arrival.
"""

from __future__ import annotations

import base64
import gzip
import heapq
import time
import zlib
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import orjson
from confluent_kafka import KafkaException, TopicPartition

from kernel.errors import KafkaAwayError, UserError
from kernel.kafka.readers import consumer, offsets_since, partition_ends
from kernel.settings import KafkaSettings
from schemas import topics
from schemas.codec import Codec, SchemaStore
from schemas.events import RawMessage
from schemas.units import US_PER_MS

FORMAT = "movers-raw/1"
_FIELDS = {f.name for f in fields(RawMessage)}
_ANSWER_S = 10.0
_POLL_S = 0.5
_SILENT_S = 30.0
"""So long without a message, and Kafka is taken to be away."""


def arrival(raw: RawMessage) -> tuple[int, str, int]:
    """What raw messages are ordered by."""
    return raw.ts_received_us, raw.connection_id, raw.sequence


# ── from the topic ───────────────────────────────────────────────────────────────────────────────────────────────────


def read_range(
    kafka: KafkaSettings, store: SchemaStore, venue: str, since_us: int, until_us: int
) -> Iterator[RawMessage]:
    """What a venue said between two moments (when it was published), in the order of arrival.

    Raises:
        KafkaAwayError: it does not answer; or, while iterating, gives no more of what it has.
    """
    topic = topics.BY_NAME[topics.raw_topic(venue)]
    asking = consumer(kafka, f"record-{venue}", from_start=True)
    try:
        known = asking.list_topics(topic.name, timeout=_ANSWER_S).topics[topic.name].partitions
        starts = [TopicPartition(topic.name, p, since_us // US_PER_MS) for p in known]
        first = {p.partition: p.offset for p in offsets_since(asking, starts, _ANSWER_S)}
        ends = {p: partition_ends(asking, TopicPartition(topic.name, p), _ANSWER_S)[1] for p in known}
    except KafkaException as error:
        raise KafkaAwayError(f"Kafka does not tell what {topic.name} holds: {error.args[0].str()}") from error
    finally:
        asking.close()
    codec = Codec(topic, store, RawMessage)
    # Within a partition messages stand in their order of arrival, so a merge puts them all in order.
    parts = [_partition(kafka, topic.name, p, first[p], ends[p], codec) for p in known if 0 <= first[p] < ends[p]]
    for raw in heapq.merge(*parts, key=arrival):
        if raw.ts_received_us > until_us:
            return
        yield raw


def _partition(
    kafka: KafkaSettings, topic: str, partition: int, first: int, end: int, codec: Codec[RawMessage]
) -> Iterator[RawMessage]:
    reader = consumer(kafka, f"record-{topic}-{partition}", from_start=True)
    try:
        reader.assign([TopicPartition(topic, partition, first)])
        heard_s = time.monotonic()
        while reader.position([TopicPartition(topic, partition)])[0].offset < end:
            messages = [message for message in reader.consume(100, timeout=_POLL_S) if message.error() is None]
            for message in messages:
                if message.offset() < end:
                    yield codec.decode(message.value())
            if messages:
                heard_s = time.monotonic()
            elif time.monotonic() - heard_s > _SILENT_S:
                raise KafkaAwayError(f"{topic}: nothing for {_SILENT_S:.0f} s, and its end is not reached")
    finally:
        reader.close()


# ── tapes ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def write_tape(path: Path, venue: str, messages: Iterator[RawMessage]) -> int:
    """Writes a tape; returns how many messages are on it.

    Raises:
        UserError: it cannot be written.
    """
    written = 0
    try:
        with gzip.open(path, "wb", compresslevel=4) as file:
            file.write(orjson.dumps({"format": FORMAT, "venue": venue}) + b"\n")
            for raw in messages:
                file.write(orjson.dumps({**asdict(raw), "body": base64.b64encode(raw.body).decode()}) + b"\n")
                written += 1
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    return written


def read_tape(path: Path) -> tuple[str, Iterator[RawMessage]]:
    """A tape's venue and messages.

    Raises:
        UserError: it cannot be read, or is no such tape. While iterating too: it is cut, or a line is none.
    """
    lines = _lines(path)
    header = next(lines, None)
    if not isinstance(header, dict) or header.get("format") != FORMAT or not isinstance(header.get("venue"), str):
        raise UserError(f"{path} is no recording: its first line does not say {FORMAT}")
    return header["venue"], (_raw(path, number, line) for number, line in enumerate(lines, start=2))


def is_noted(messages: Iterator[RawMessage]) -> bool:
    """Whether collectors' notes are among the messages."""
    return any(raw.kind == "notes" for raw in messages)


def _lines(path: Path) -> Iterator[Any]:
    try:
        with gzip.open(path, "rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    yield orjson.loads(line)
                except orjson.JSONDecodeError as error:
                    raise UserError(f"{path} line {number}: {error}") from error
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error


def _raw(path: Path, number: int, line: Any) -> RawMessage:
    try:
        known = {name: value for name, value in line.items() if name in _FIELDS}
        return RawMessage(**{**known, "body": base64.b64decode(line["body"])})
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise UserError(f"{path} line {number}: no raw message: {error}") from error

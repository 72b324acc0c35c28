"""Every subject has examples, and every example is a valid event that survives the wire."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fastavro
import pytest

from schemas.avro_files import schema_text
from schemas.codec import Codec, parsed_schema
from schemas.topics import CATALOGUE, Topic

ROOT = Path(__file__).resolve().parents[2] / "schemas" / "examples"
EXAMPLES = sorted(ROOT.glob("*/v1/*.json"))
TOPICS = {topic.subject_file: topic for topic in CATALOGUE}


class OneSchemaStore:
    """Knows one schema under one id."""

    def __init__(self, text: str, schema_id: int = 3) -> None:
        self._text, self._id = text, schema_id

    def id_of(self, subject: str, schema: str) -> int:
        assert schema == self._text
        return self._id

    def by_id(self, schema_id: int) -> str:
        if schema_id != self._id:
            raise LookupError(schema_id)
        return self._text


def load(path: Path) -> dict[str, Any]:
    """An example as an Avro record. Bytes stand in JSON as Latin-1 text, as in Avro's own JSON encoding."""
    record: dict[str, Any] = json.loads(path.read_text("utf-8"))
    if "body" in record:
        record["body"] = record["body"].encode("latin-1")
    return record


def test_every_subject_has_an_example() -> None:
    assert {path.parts[-3] for path in EXAMPLES} == set(TOPICS)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: f"{p.parts[-3]}/{p.stem}")
def test_example_fits_its_schema_strictly(path: Path) -> None:
    subject = path.parts[-3]

    assert fastavro.validate(load(path), parsed_schema(subject), strict=True)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: f"{p.parts[-3]}/{p.stem}")
def test_example_survives_the_wire(path: Path) -> None:
    topic: Topic = TOPICS[path.parts[-3]]
    codec = Codec(topic, OneSchemaStore(schema_text(topic.subject_file)), topic.event)
    event = codec._from_record(load(path))

    data = codec.encode(event)

    assert data[:5] == b"\x00\x00\x00\x00\x03"
    assert codec.decode(data) == event

"""What the codec refuses, and that it reads what an older writer wrote."""

from __future__ import annotations

import json
from io import BytesIO

import fastavro
import pytest

from schemas.avro_files import schema_text
from schemas.codec import Codec, UndecodableError
from schemas.events import FeedStatus, Tick
from schemas.topics import FEED_STATUS, TICKS
from tests.schemas.test_examples import ROOT, OneSchemaStore, load

TEXT = schema_text("feed_status")


def codec(text: str = TEXT) -> Codec[FeedStatus]:
    return Codec(FEED_STATUS, OneSchemaStore(text), FeedStatus)


def event() -> FeedStatus:
    return codec()._from_record(load(ROOT / "feed_status" / "v1" / "connected.json"))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "shorter than"),
        (b"\x01\x00\x00\x00\x03abc", "magic byte"),
        (b"\x00\x00\x00\x00\x63abc", "unknown schema id"),
        (b"\x00\x00\x00\x00\x03", "does not explain"),
        (b"\x00\x00\x00\x00\x03\x04\xff\xff", "does not explain"),
    ],
)
def test_bytes_that_are_no_event_are_refused_with_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(UndecodableError, match=reason):
        codec().decode(data)


def test_bytes_left_over_after_the_record_are_refused() -> None:
    data = codec().encode(event())

    with pytest.raises(UndecodableError, match="left over"):
        codec().decode(data + b"\x00")


def test_every_cut_of_a_message_is_refused() -> None:
    data = codec().encode(event())

    for length in range(len(data)):
        with pytest.raises(UndecodableError):
            codec().decode(data[:length])


def test_a_missing_required_field_cannot_be_encoded() -> None:
    record = {**load(ROOT / "feed_status" / "v1" / "connected.json"), "detail": None}

    with pytest.raises((TypeError, ValueError)):  # compiled, it cannot even be made
        codec().encode(FeedStatus(**record))


def test_a_codec_for_another_topics_event_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="carries Tick"):
        Codec(TICKS, OneSchemaStore(schema_text("ticks")), FeedStatus)
    Codec(TICKS, OneSchemaStore(schema_text("ticks")), Tick)


def test_a_message_of_an_older_schema_is_read_with_the_defaults_of_ours() -> None:
    older = json.loads(TEXT)
    older["fields"] = [field for field in older["fields"] if field["name"] != "clock_skew_us"]
    record = load(ROOT / "feed_status" / "v1" / "connected.json")
    del record["clock_skew_us"]
    out = BytesIO(b"\x00\x00\x00\x00\x03")
    out.seek(5)
    fastavro.schemaless_writer(out, fastavro.parse_schema(older), record, strict=True)

    read = codec(json.dumps(older)).decode(out.getvalue())

    assert read.clock_skew_us is None
    assert read.detail == record["detail"]

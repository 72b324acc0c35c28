"""The codecs written for hot topics give the very bytes that fastavro gives, and accept nothing that it refuses."""

from __future__ import annotations

import typing
from dataclasses import fields, is_dataclass, replace
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import generate
from schemas.avro_files import schema_text
from schemas.codec import Codec, UndecodableError, fast_codec
from schemas.topics import TICKS, Topic
from tests.processors.ticks import make_tick
from tests.schemas.test_examples import OneSchemaStore

LIMITS = {"int": 2**31, "long": 2**63}


def interpreted(topic: Topic) -> Any:
    module = ModuleType("fast")
    exec(generate.source(topic), module.__dict__)  # noqa: S102  # what is tested
    return module


def codec(topic: Topic) -> Codec[Any]:
    return Codec(topic, OneSchemaStore(schema_text(topic.subject_file)), topic.event)


def values(kind: Any, item: Any) -> st.SearchStrategy[Any]:
    """Anything that fits an Avro type."""
    if isinstance(kind, list):
        return st.none() | values(kind[1], item)
    if isinstance(kind, dict):
        inner = values(kind["items"], None) if item is None else events(kind["items"], item)
        return st.lists(inner, max_size=3).map(tuple)
    if kind in LIMITS:
        return st.integers(-LIMITS[kind], LIMITS[kind] - 1)
    if kind == "double":
        return st.floats(allow_nan=False)
    return st.text(max_size=20) if kind == "string" else st.booleans()


def events(schema: dict[str, Any], event: type[Any]) -> st.SearchStrategy[Any]:
    """Events of a class, filled with anything that fits."""
    hints = typing.get_type_hints(event)
    items = {name: typing.get_args(hint)[0] for name, hint in hints.items() if typing.get_origin(hint) is tuple}
    made = {}
    for field in schema["fields"]:
        item = items.get(field["name"])
        made[field["name"]] = values(field["type"], item if is_dataclass(item) else None)
    return st.builds(event, **made)


@pytest.mark.parametrize("topic", generate.HOT, ids=lambda topic: topic.name)
@settings(max_examples=60)
@given(data=st.data())
def test_both_give_the_same_bytes_and_read_them_the_same(topic: Topic, data: st.DataObject) -> None:
    from schemas.codec import parsed_schema

    event = data.draw(events(dict(parsed_schema(topic.subject_file)), topic.event))
    ours, reference = interpreted(topic), codec(topic)

    body = ours.encode(event)

    assert body == reference._reference_bytes(event)
    assert ours.decode(body, 0) == event
    assert reference.decode(reference.encode(event)) == event


@pytest.mark.parametrize("topic", generate.HOT, ids=lambda topic: topic.name)
@settings(max_examples=60)
@given(data=st.data())
def test_spoiled_bytes_are_read_as_fastavro_reads_them_or_not_at_all(topic: Topic, data: st.DataObject) -> None:
    from schemas.codec import parsed_schema

    event = data.draw(events(dict(parsed_schema(topic.subject_file)), topic.event))
    ours, reference = interpreted(topic), codec(topic)
    good = bytearray(reference._reference_bytes(event))
    place = data.draw(st.integers(0, len(good) - 1))
    good[place] = data.draw(st.integers(0, 255))
    spoiled = bytes(good[: data.draw(st.integers(0, len(good)))])

    try:
        read = ours.decode(spoiled, 0)
    except Exception:
        return
    try:
        expected = reference._reference_event(b"\0" * 5 + spoiled, 1, reference._schema)
    except UndecodableError:
        pytest.fail("accepted what fastavro refuses")
    assert repr(read) == repr(expected)


@pytest.mark.parametrize("number", [63, 2**48 - 1, 2**48, 2**55 - 1, 2**55, 2**61, 2**62 - 1, 2**62, 2**63 - 1])
def test_numbers_at_the_ends_of_a_machine_word_are_read_compiled_too(number: int) -> None:
    fast = fast_codec("ticks") or interpreted(TICKS)
    body = codec(TICKS)._reference_bytes(replace(make_tick(0, 400_000), ts_received_us=number, ts_sent_us=-number - 1))

    assert fast.encode(fast.decode(body, 0)) == body
    assert (fast.decode(body, 0).ts_received_us, fast.decode(body, 0).ts_sent_us) == (number, -number - 1)


@pytest.mark.parametrize("topic", generate.HOT, ids=lambda topic: topic.name)
def test_a_length_as_large_as_a_number_can_be_is_refused_compiled_too(topic: Topic) -> None:
    fast = fast_codec(topic.subject_file) or interpreted(topic)

    with pytest.raises(ValueError, match="cut short"):
        fast.decode(b"\xfe" + b"\xff" * 8 + b"\x01" + b"text", 0)


@pytest.mark.parametrize("topic", generate.HOT, ids=lambda topic: topic.name)
def test_a_field_of_a_wrong_type_is_left_to_the_reference(topic: Topic) -> None:
    ours = interpreted(topic)
    for field in fields(topic.event):
        wrong: dict[str, Any] = {f.name: object() if f.name == field.name else "" for f in fields(topic.event)}
        with pytest.raises((AttributeError, TypeError, ValueError)):
            ours.encode(topic.event(**wrong))

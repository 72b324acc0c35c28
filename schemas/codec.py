"""Events to bytes and back: Confluent wire format (magic 0, schema id, Avro), strict in both directions."""

from __future__ import annotations

import json
import struct
import typing
from dataclasses import fields, is_dataclass
from functools import cache
from importlib import import_module
from io import BytesIO
from types import ModuleType
from typing import Any, Generic, Protocol, TypeVar

import fastavro
from fastavro.types import Schema

from schemas import compiled, generate
from schemas.avro_files import schema_text
from schemas.events import Event
from schemas.topics import Topic

EventT = TypeVar("EventT", bound=Event)
_Nested = tuple[type[Any], tuple[str, ...]]

_HEADER = struct.Struct(">bI")
_MAGIC = 0
_STUMBLED = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, struct.error)


class UndecodableError(Exception):
    """Bytes that are not an event of the expected schema. The message says why, in a few words."""


class SchemaStore(Protocol):
    """Where schema ids live: the registry of the running stack. Both calls may block on the network."""

    def id_of(self, subject: str, schema: str) -> int:
        """Id under which exactly this schema is registered. Raises when it is not registered."""

    def by_id(self, schema_id: int) -> str:
        """Schema text of an id. Raises when unknown."""


@cache
def parsed_schema(subject_file: str) -> Schema:
    """The `.avsc` of a subject, parsed for fastavro."""
    return fastavro.parse_schema(json.loads(schema_text(subject_file)))


class FastCodec(Protocol):
    """What `schemas.generate` writes. Both raise one of `_STUMBLED` where fastavro is to be asked."""

    def encode(self, event: Any) -> bytes:
        """The record, without the wire format's header."""

    def decode(self, data: bytes, at: int) -> Any:
        """The event whose record begins there and ends with the data."""


@cache
def fast_codec(subject_file: str) -> FastCodec | None:
    """The codec written for a hot topic's own schema: compiled where it is, else the same source interpreted."""
    if subject_file not in {topic.subject_file for topic in generate.HOT} or compiled.turned_off():
        return None
    name = generate.MODULE.format(subject_file=subject_file)
    try:
        return typing.cast("FastCodec", import_module(name))
    except ModuleNotFoundError:
        module = ModuleType(name)
        topic = next(topic for topic in generate.HOT if topic.subject_file == subject_file)
        exec(compile(generate.source(topic), name, "exec"), module.__dict__)  # noqa: S102  # our own text
        return typing.cast("FastCodec", module)


class Codec(Generic[EventT]):
    """Encoder and decoder for one topic's events.

    fastavro is the reference. A hot topic has a codec written for it (`schemas.generate`), which does the common case,
    our own version of the schema; it gives the same bytes and leaves every doubtful case to the reference.

    Asks the store for the schema's id at the first `encode`, and for the writer's schema of each new id met by
    `decode`; both are kept. Not thread-safe before those first calls.
    """

    def __init__(self, topic: Topic, store: SchemaStore, event: type[EventT]) -> None:
        if topic.event is not event:
            raise TypeError(f"topic {topic.name} carries {topic.event.__name__}, not {event.__name__}")
        self._topic = topic
        self._store = store
        self._event = event
        self._schema = parsed_schema(topic.subject_file)
        self._names = tuple(f.name for f in fields(event))
        self._nested = _nested_records(event)
        self._fast = fast_codec(topic.subject_file)
        self._header: bytes | None = None
        self._writers: dict[int, Schema] = {}
        self._own: tuple[bytes, ...] = ()
        """Headers under which records of our own schema come: no other record begins with one of them."""

    def encode(self, event: EventT) -> bytes:
        """Bytes of an event. Raises ValueError or TypeError when a field does not fit the schema."""
        if self._header is None:
            schema_id = self._store.id_of(self._topic.subject, schema_text(self._topic.subject_file))
            self._header = _HEADER.pack(_MAGIC, schema_id)
        if self._fast is not None:
            try:
                return self._header + self._fast.encode(event)
            except _STUMBLED:
                pass  # the reference decides
        return self._header + self._reference_bytes(event)

    def _reference_bytes(self, event: EventT) -> bytes:
        out = BytesIO()
        fastavro.schemaless_writer(out, self._schema, self._to_record(event), strict=True)
        return out.getvalue()

    def decode(self, data: bytes) -> EventT:
        """The event in the bytes, read with the writer's schema and resolved to ours.

        Raises:
            UndecodableError: not our wire format, an unknown schema id, or bytes the schema does not explain.
        """
        if self._fast is not None and data.startswith(self._own):
            try:
                return typing.cast("EventT", self._fast.decode(data, _HEADER.size))
            except _STUMBLED:
                pass  # the reference decides
        if len(data) < _HEADER.size:
            raise UndecodableError(f"{len(data)} bytes, shorter than the wire format's header")
        magic, schema_id = _HEADER.unpack_from(data)
        if magic != _MAGIC:
            raise UndecodableError(f"magic byte {magic}, expected {_MAGIC}")
        writer = self._writers.get(schema_id) or self._fetch_writer(schema_id)
        return self._reference_event(data, schema_id, writer)

    def _reference_event(self, data: bytes, schema_id: int, writer: Schema) -> EventT:
        body = BytesIO(data)
        body.seek(_HEADER.size)
        try:
            # Resolution costs twice the time; it is needed only when the writer used another version.
            reader = None if writer is self._schema else self._schema
            record = fastavro.schemaless_reader(body, writer, reader)
        except Exception as error:  # fastavro raises EOFError, IndexError, ValueError, UnicodeDecodeError, …
            raise UndecodableError(f"schema {schema_id} does not explain the bytes: {error!r}") from error
        if body.tell() != len(data):
            raise UndecodableError(f"{len(data) - body.tell()} bytes left over after the record")
        return self._from_record(typing.cast("dict[str, Any]", record))

    def _fetch_writer(self, schema_id: int) -> Schema:
        try:
            text = self._store.by_id(schema_id)
        except LookupError as error:
            raise UndecodableError(f"unknown schema id {schema_id}") from error
        parsed = fastavro.parse_schema(json.loads(text))
        same = json.loads(text) == json.loads(schema_text(self._topic.subject_file))
        self._writers[schema_id] = self._schema if same else parsed
        if same:
            self._own += (_HEADER.pack(_MAGIC, schema_id),)
        return self._writers[schema_id]

    def _to_record(self, event: EventT) -> dict[str, Any]:
        record = {name: getattr(event, name) for name in self._names}
        for name, (_, names) in self._nested.items():
            record[name] = [{n: getattr(item, n) for n in names} for item in record[name]]
        return record

    def _from_record(self, record: dict[str, Any]) -> EventT:
        for name, value in record.items():
            if type(value) is list:
                nested = self._nested.get(name)
                record[name] = tuple(nested[0](**item) for item in value) if nested else tuple(value)
        return self._event(**record)


def _nested_records(event: type[Any]) -> dict[str, _Nested]:
    """Fields that are tuples of dataclasses: the class, and its field names."""
    nested: dict[str, _Nested] = {}
    for name, hint in typing.get_type_hints(event).items():
        if typing.get_origin(hint) is tuple:
            item = typing.get_args(hint)[0]
            if isinstance(item, type) and is_dataclass(item):
                nested[name] = (item, tuple(f.name for f in fields(item)))
    return nested

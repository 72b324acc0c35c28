"""The resolution rules of the Avro specification, case by case, and against fastavro's own reading."""

from __future__ import annotations

import io
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from movers.local.registry.compatibility import InvalidSchemaError, parse, problems


def record(*fields: dict[str, Any], name: str = "R", **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": list(fields), **more}


def field(name: str, kind: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, **more}


def enum(*symbols: str, **more: Any) -> dict[str, Any]:
    return {"type": "enum", "name": "E", "symbols": list(symbols), **more}


def fixed(size: int) -> dict[str, Any]:
    return {"type": "fixed", "name": "F", "size": size}


A, B = field("a", "int"), field("b", "string")
NODE = record(field("value", "int"), field("next", ["null", "Node"]), name="Node")
LONG_NODE = record(field("value", "long"), field("next", ["null", "Node"]), name="Node")
MONEY = {"type": "long", "logicalType": "timestamp-micros"}

CASES: dict[str, tuple[Any, Any, bool]] = {
    # name: reader, writer, can read
    "same primitive": ("int", "int", True),
    "int as long": ("long", "int", True),
    "int as double": ("double", "int", True),
    "long as float": ("float", "long", True),
    "float as double": ("double", "float", True),
    "long as int": ("int", "long", False),
    "double as float": ("float", "double", False),
    "bytes as string": ("string", "bytes", True),
    "string as bytes": ("bytes", "string", True),
    "string as int": ("int", "string", False),
    "boolean as int": ("int", "boolean", False),
    "logical type is its base type": (MONEY, "long", True),
    "field removed": (record(A), record(A, B), True),
    "field added without default": (record(A, B), record(A), False),
    "field added with default": (record(A, {**B, "default": ""}), record(A), True),
    "field added with null default": (
        record(A, field("c", ["null", "int"], default=None)),
        record(A),
        True,
    ),
    "field promoted": (record(field("a", "long")), record(A), True),
    "field narrowed": (record(A), record(field("a", "long")), False),
    "field renamed": (record(field("z", "int")), record(A), False),
    "field renamed with alias": (record(field("z", "int", aliases=["a"])), record(A), True),
    "fields in another order": (record(B, A), record(A, B), True),
    "record renamed": (record(A, name="Other"), record(A), False),
    "record renamed with alias": (record(A, name="Other", aliases=["R"]), record(A), True),
    "record in another namespace": (record(A, namespace="x"), record(A, namespace="y"), False),
    "alias takes the namespace": (
        record(A, name="Other", namespace="x", aliases=["R"]),
        record(A, namespace="x"),
        True,
    ),
    "enum symbol added": (enum("A", "B"), enum("A"), True),
    "enum symbol removed": (enum("A"), enum("A", "B"), False),
    "enum symbol removed with default": (enum("A", default="A"), enum("A", "B"), True),
    "fixed of one size": (fixed(4), fixed(4), True),
    "fixed of another size": (fixed(4), fixed(5), False),
    "array items promoted": ({"type": "array", "items": "long"}, {"type": "array", "items": "int"}, True),
    "array items narrowed": ({"type": "array", "items": "int"}, {"type": "array", "items": "long"}, False),
    "map values narrowed": ({"type": "map", "values": "int"}, {"type": "map", "values": "long"}, False),
    "array as map": ({"type": "map", "values": "int"}, {"type": "array", "items": "int"}, False),
    "made nullable": (["null", "int"], "int", True),
    "made required": ("int", ["null", "int"], False),
    "union branch added": (["null", "int", "string"], ["null", "int"], True),
    "union branch removed": (["null", "int"], ["null", "int", "string"], False),
    "union in another order": (["int", "null"], ["null", "int"], True),
    "promotion into a union": (["null", "long"], "int", True),
    "nested record narrowed": (
        record(field("in", record(A, name="In"))),
        record(field("in", record(field("a", "long"), name="In"))),
        False,
    ),
    "record that holds itself": (LONG_NODE, NODE, True),
    "record that holds itself, narrowed": (NODE, LONG_NODE, False),
}


@pytest.mark.parametrize(("reader", "writer", "readable"), CASES.values(), ids=CASES.keys())
def test_case(reader: Any, writer: Any, readable: bool) -> None:
    found = problems(parse(reader), parse(writer))

    assert (not found) == readable, found


def test_a_problem_says_where() -> None:
    reader = record(field("in", record(A, B, name="In")))
    writer = record(field("in", record(A, name="In")))

    assert problems(parse(reader), parse(writer)) == ["/in/b: has no default and is not in the data"]


@pytest.mark.parametrize("schema", [{}, {"type": "nonsense"}, {"type": "record", "name": "R"}, "R", 5, None])
def test_nonsense_is_not_a_schema(schema: Any) -> None:
    with pytest.raises(InvalidSchemaError):
        parse(schema)


primitives = st.sampled_from(["int", "long", "float", "double", "string", "bytes", "boolean"])
values: dict[str, Any] = {
    "int": 1,
    "long": 2**40,
    "float": 0.5,
    "double": 0.1,
    "string": "text",
    "bytes": b"text",
    "boolean": True,
}
kinds = st.one_of(primitives, primitives.map(lambda kind: ["null", kind]))
field_sets = st.dictionaries(st.sampled_from("abcd"), kinds, min_size=1)


def _value(kind: Any) -> Any:
    return values[kind if isinstance(kind, str) else kind[1]]


@given(field_sets, field_sets, st.booleans())
def test_what_is_called_readable_is_read_by_fastavro(
    written: dict[str, Any], read: dict[str, Any], has_defaults: bool
) -> None:
    defaults = {name: ({"default": None} if isinstance(kind, list) else {}) for name, kind in read.items()}
    reader = record(*(field(n, k, **(defaults[n] if has_defaults else {})) for n, k in read.items()))
    writer = record(*(field(n, k) for n, k in written.items()))
    if problems(parse(reader), parse(writer)):
        return
    data = io.BytesIO()
    fastavro.schemaless_writer(data, fastavro.parse_schema(writer), {n: _value(k) for n, k in written.items()})
    data.seek(0)

    result = fastavro.schemaless_reader(data, fastavro.parse_schema(writer), fastavro.parse_schema(reader))

    assert set(result) == set(read)


@given(field_sets)
def test_every_schema_can_read_itself(fields: dict[str, Any]) -> None:
    schema = parse(record(*(field(name, kind) for name, kind in fields.items())))

    assert problems(schema, schema) == []

"""Whether data written with one Avro schema can be read with another: the resolution rules of the Avro specification.

Logical types do not take part, as in Avro's own checker: they change meaning, not bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fastavro.schema import SchemaParseException, parse_schema

_PROMOTIONS = {
    "int": {"long", "float", "double"},
    "long": {"float", "double"},
    "float": {"double"},
    "string": {"bytes"},
    "bytes": {"string"},
}
_NAMED = ("record", "error", "enum", "fixed")


class InvalidSchemaError(Exception):
    """Not an Avro schema. The text says why."""


@dataclass(frozen=True, slots=True)
class ParsedSchema:
    """A schema with all names full and looked up in `names`."""

    root: Any
    names: dict[str, Any] = field(hash=False)


def parse(schema: Any) -> ParsedSchema:
    """Checks and parses a schema given as decoded JSON. Raises InvalidSchemaError."""
    names: dict[str, Any] = {}
    try:
        _require_fields(schema)
        return ParsedSchema(parse_schema(schema, named_schemas=names), names)
    except (SchemaParseException, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidSchemaError(f"{type(error).__name__}: {error}") from None


def _require_fields(schema: Any) -> None:
    """fastavro takes a record without fields for an empty one; the specification asks for them."""
    for part in schema if isinstance(schema, list) else [schema]:
        if not isinstance(part, dict):
            continue
        if part.get("type") in ("record", "error") and not isinstance(part.get("fields"), list):
            raise ValueError(f"record {part.get('name')} has no fields")
        inner = [part.get("type"), part.get("items"), part.get("values")]
        inner += [field.get("type") for field in part.get("fields") or ()]
        for one in inner:
            _require_fields(one)


def problems(reader: ParsedSchema, writer: ParsedSchema) -> list[str]:
    """Why `reader` cannot read all data of `writer`; empty when it can."""
    return _Comparison(reader.names, writer.names).compare(reader.root, writer.root, "")


class _Comparison:
    def __init__(self, reader_names: dict[str, Any], writer_names: dict[str, Any]) -> None:
        self._reader_names = reader_names
        self._writer_names = writer_names
        self._seen: set[tuple[str, str]] = set()

    def compare(self, reader: Any, writer: Any, path: str) -> list[str]:
        reader = self._reader_names.get(reader, reader) if isinstance(reader, str) else reader
        writer = self._writer_names.get(writer, writer) if isinstance(writer, str) else writer
        if isinstance(writer, list):
            return [problem for branch in writer for problem in self.compare(reader, branch, path)]
        if isinstance(reader, list):
            return self._compare_with_union(reader, writer, path)
        reader_type, writer_type = _type(reader), _type(writer)
        if reader_type != writer_type:
            if reader_type in _PROMOTIONS.get(writer_type, ()):
                return []
            return [f"{path or '/'}: {writer_type} cannot be read as {reader_type}"]
        if reader_type in _NAMED:
            return self._compare_named(reader, writer, path)
        if reader_type == "array":
            return self.compare(reader["items"], writer["items"], f"{path}/items")
        if reader_type == "map":
            return self.compare(reader["values"], writer["values"], f"{path}/values")
        return []

    def _compare_with_union(self, reader: list[Any], writer: Any, path: str) -> list[str]:
        seen = set(self._seen)
        for branch in reader:
            if not self.compare(branch, writer, path):
                return []
            self._seen = set(seen)  # what a branch that failed took for granted counts for nothing
        return [f"{path or '/'}: {_type(writer)} fits no branch of the union"]

    def _compare_named(self, reader: dict[str, Any], writer: dict[str, Any], path: str) -> list[str]:
        if not _same_name(reader, writer):
            return [f"{path or '/'}: {writer['name']} is not {reader['name']} nor one of its aliases"]
        pair = (reader["name"], writer["name"])
        if pair in self._seen:  # a record that holds itself
            return []
        self._seen.add(pair)
        if reader["type"] == "enum":
            return _enum_problems(reader, writer, path)
        if reader["type"] == "fixed":
            same_size = reader["size"] == writer["size"]
            return [] if same_size else [f"{path or '/'}: fixed size {writer['size']} is not {reader['size']}"]
        return self._record_problems(reader, writer, path)

    def _record_problems(self, reader: dict[str, Any], writer: dict[str, Any], path: str) -> list[str]:
        written = {one["name"]: one for one in writer["fields"]}
        found = []
        for one in reader["fields"]:
            names = [one["name"], *one.get("aliases", ())]
            source = next((written[name] for name in names if name in written), None)
            here = f"{path}/{one['name']}"
            if source is not None:
                found += self.compare(one["type"], source["type"], here)
            elif "default" not in one:
                found.append(f"{here}: has no default and is not in the data")
        return found


def _type(schema: Any) -> str:
    if isinstance(schema, list):
        return "union"
    if isinstance(schema, dict):
        inner = schema["type"]
        return inner if isinstance(inner, str) else _type(inner)
    return str(schema)


def _same_name(reader: dict[str, Any], writer: dict[str, Any]) -> bool:
    # Aliases without a namespace stand in the reader's.
    namespace = reader["name"].rpartition(".")[0]
    aliases = [a if "." in a or not namespace else f"{namespace}.{a}" for a in reader.get("aliases", ())]
    return writer["name"] in (reader["name"], *aliases)


def _enum_problems(reader: dict[str, Any], writer: dict[str, Any], path: str) -> list[str]:
    unknown = [symbol for symbol in writer["symbols"] if symbol not in reader["symbols"]]
    if unknown and "default" not in reader:
        return [f"{path or '/'}: enum symbols {', '.join(unknown)} are unknown to the reader"]
    return []

"""The dataclasses say exactly what the `.avsc` files say."""

from __future__ import annotations

import dataclasses
import functools
import json
import operator
import types
import typing
from pathlib import Path
from typing import Any

import pytest

from schemas import events
from schemas.avro_files import schema_text
from schemas.topics import CATALOGUE, Topic

PRIMITIVES = {"string": str, "long": int, "int": int, "double": float, "boolean": bool, "bytes": bytes}
SUBJECTS = {topic.subject_file: topic for topic in CATALOGUE}


def python_type(avro: Any) -> Any:
    """The annotation that an Avro type asks for."""
    if isinstance(avro, list):
        assert avro[0] == "null", "optional fields list null first"
        return python_type(avro[1]) | None
    if isinstance(avro, dict) and avro["type"] == "array":
        return tuple[python_type(avro["items"]), ...]  # type: ignore[misc]
    if isinstance(avro, dict):
        return getattr(events, avro["name"])
    return PRIMITIVES[avro]


def python_default(field: dict[str, Any]) -> Any:
    """The default that an Avro field asks for: an empty array is an empty tuple."""
    default = field.get("default", dataclasses.MISSING)
    return tuple(default) if isinstance(default, list) else default


def plain(annotation: Any) -> Any:
    """The annotation with each closed word list as `str`; `test_words.py` holds the words."""
    if typing.get_origin(annotation) is typing.Literal:
        return str
    if typing.get_origin(annotation) is tuple:
        return tuple[plain(typing.get_args(annotation)[0]), ...]  # type: ignore[misc]
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        return functools.reduce(operator.or_, (plain(part) for part in typing.get_args(annotation)))
    return annotation


def records(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """A record and those nested in its arrays."""
    found = [schema]
    for field in schema["fields"]:
        kind = field["type"]
        if isinstance(kind, dict) and isinstance(kind.get("items"), dict):
            found += records(kind["items"])
    return found


@pytest.mark.parametrize("topic", SUBJECTS.values(), ids=SUBJECTS.keys())
def test_dataclass_has_the_fields_types_and_defaults_of_the_schema(topic: Topic) -> None:
    for record in records(json.loads(schema_text(topic.subject_file))):
        cls = getattr(events, record["name"])
        hints = typing.get_type_hints(cls)
        declared = {field.name: (plain(hints[field.name]), field.default) for field in dataclasses.fields(cls)}

        expected = {field["name"]: (python_type(field["type"]), python_default(field)) for field in record["fields"]}

        assert list(declared) == list(expected)
        assert declared == expected


@pytest.mark.parametrize("topic", SUBJECTS.values(), ids=SUBJECTS.keys())
def test_every_field_is_documented_and_numbers_name_their_unit(topic: Topic) -> None:
    unitless = {
        "sequence",
        "http_status",
        "trades",
        "ticks",
        "partition",
        "offset",
        "score",
        "usual_step",
        "changes",
        "window_trades",
    }
    counted = ("markets_", "ticks_", "bad_")
    for record in records(json.loads(schema_text(topic.subject_file))):
        for field in record["fields"]:
            assert len(field["doc"]) > 5, field["name"]
            kind = field["type"][1] if isinstance(field["type"], list) else field["type"]
            if kind in ("long", "int", "double") and field["name"] not in unitless:
                assert field["name"].endswith(("_us", "_s", "_ppm", "_pp", "_usd", "_contracts", "_to_close")) or field[
                    "name"
                ].startswith(counted), field["name"]


def test_events_are_slotted_and_frozen_for_the_type_checker(repo_dir: Path) -> None:
    text = (repo_dir / "schemas" / "events.py").read_text("utf-8")

    assert text.count("@dataclass(frozen=True, slots=True, kw_only=True)\nclass ") == text.count("\nclass ")
    assert not any("__dict__" in vars(topic.event) for topic in CATALOGUE)

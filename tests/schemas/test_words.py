"""The closed word lists are the same in Python's types and in the `.avsc` files."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from typing import Any, Literal, get_args, get_origin

import pytest

from schemas.avro_files import schema_text
from schemas.topics import CATALOGUE, Topic

SUBJECTS = {topic.subject_file: topic for topic in CATALOGUE}


def words_of(annotation: Any) -> list[str]:
    """The words that a field may hold, nested types and null looked through; empty when it is no closed list."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    if get_origin(annotation) in (tuple, types.UnionType, typing.Union):
        return [word for part in get_args(annotation) for word in words_of(part)]
    return []


@pytest.mark.parametrize("topic", SUBJECTS.values(), ids=SUBJECTS.keys())
def test_the_words_of_a_field_are_the_same_in_type_and_schema(topic: Topic) -> None:
    schema = json.loads(schema_text(topic.subject_file))
    hints = typing.get_type_hints(topic.event)

    declared = {field.name: words_of(hints[field.name]) for field in dataclasses.fields(topic.event)}

    assert {f["name"]: f.get("words", []) for f in schema["fields"]} == declared


def test_every_word_is_told_to_the_reader_of_a_schema() -> None:
    untold = [
        (subject, field["name"], word)
        for subject in SUBJECTS
        for field in json.loads(schema_text(subject))["fields"]
        for word in field.get("words", [])
        if word
        and not {word, word.replace("_", " ")} & set(field["doc"].replace(",", " ").replace(".", " ").split())
        and "as in the tick" not in field["doc"]
        and "Our category;" not in field["doc"]
    ]

    assert untold == []

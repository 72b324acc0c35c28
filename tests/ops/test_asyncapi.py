"""The AsyncAPI document says what the topic catalogue and the Avro schemas say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.asyncapi import PATH, text
from schemas.avro_files import schema_text
from schemas.topics import CATALOGUE, Topic


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The committed file."""
    found: dict[str, Any] = yaml.safe_load(PATH.read_text("utf-8"))
    return found


def test_the_file_is_what_the_catalogue_makes() -> None:
    assert PATH.read_text("utf-8") == text(), "run `python -m ops.asyncapi`"


@pytest.mark.parametrize("topic", CATALOGUE, ids=lambda topic: topic.name)
def test_each_topic_has_its_channel_settings_and_schema(document: dict[str, Any], topic: Topic) -> None:
    channel = next(channel for channel in document["channels"].values() if channel["address"] == topic.name)
    settings = channel["bindings"]["kafka"]["topicConfiguration"]
    message = document["components"]["messages"][topic.event.__name__]

    assert {name: _flat(value) for name, value in settings.items()} == dict(topic.config)
    assert list(channel["messages"]) == [topic.event.__name__]
    assert message["payload"]["schema"] == json.loads(schema_text(topic.subject_file))


def _flat(value: object) -> str:
    return ",".join(value) if isinstance(value, list) else str(value)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    references: list[str] = []

    def collect(node: object) -> None:
        if isinstance(node, dict):
            references.extend(value for key, value in node.items() if key == "$ref")
            for value in node.values():
                collect(value)
        elif isinstance(node, list):
            for value in node:
                collect(value)

    collect(document)
    assert references
    for reference in references:
        at: Any = document
        for part in reference.removeprefix("#/").split("/"):
            at = at[part]


def test_the_document_is_asyncapi_3_with_its_required_parts(document: dict[str, Any]) -> None:
    assert document["asyncapi"] == "3.0.0"
    assert document["info"].keys() >= {"title", "version"}
    assert {operation["action"] for operation in document["operations"].values()} == {"send"}


def test_the_guide_names_the_topic_its_retention_and_every_example(repo_dir: Path) -> None:
    guide = (repo_dir / "docs" / "consuming_alerts.md").read_text("utf-8")
    examples = repo_dir / "examples" / "subscribers"
    files = [path for path in examples.rglob("*") if path.suffix in {".py", ".sh"} or path.name == "main.go"]

    assert len(files) == 4
    assert [path.name for path in files if f"{path.relative_to(examples)}`" not in guide] == []
    assert "30 days" in guide
    assert "`alerts-value`" in guide

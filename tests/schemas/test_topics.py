"""The catalogue is whole: each topic has a schema of its event, and names are unique."""

from __future__ import annotations

import json
from importlib.resources import files

from schemas.avro_files import schema_text
from schemas.topics import BY_NAME, CATALOGUE, GIB


def test_each_topic_names_a_schema_of_its_event() -> None:
    for topic in CATALOGUE:
        assert json.loads(schema_text(topic.subject_file))["name"] == topic.event.__name__


def test_no_schema_file_is_left_without_a_topic() -> None:
    names = {path.name for path in files("schemas").joinpath("avro").iterdir()}

    assert names == {f"{topic.subject_file}.v1.avsc" for topic in CATALOGUE}


def test_names_are_unique_and_subjects_follow_the_topic() -> None:
    assert len(BY_NAME) == len(CATALOGUE)
    assert all(topic.subject == f"{topic.name}-value" for topic in CATALOGUE)


def test_every_topic_says_how_it_is_cleaned_up() -> None:
    for topic in CATALOGUE:
        assert "retention.ms" in topic.config, topic.name
        assert "delete" in topic.config["cleanup.policy"], topic.name


def test_every_topic_has_a_limit_in_bytes() -> None:
    """Sizes of a partition. Without one a busy day fills the disk before anything is old enough to go."""
    limits = {topic.name: int(topic.config["retention.bytes"]) for topic in CATALOGUE}

    assert all(0 < limit <= 8 * GIB for limit in limits.values()), limits

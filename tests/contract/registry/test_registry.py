"""What we rely on of a schema registry, asked of any."""

from __future__ import annotations

import json
from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest

from kernel.errors import UserError
from kernel.schema_registry import COMPATIBILITY, SchemaRegistry
from schemas.avro_files import schema_text
from schemas.topics import CATALOGUE, TICKS

pytestmark = pytest.mark.stack

V1 = {"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}]}
WITH_DEFAULT = {**V1, "fields": [*V1["fields"], {"name": "b", "type": ["null", "int"], "default": None}]}
WITHOUT_DEFAULT = {**V1, "fields": [*V1["fields"], {"name": "c", "type": "int"}]}


@pytest.fixture
def http(registry_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=registry_url, trust_env=False, timeout=30) as client:
        yield client


@pytest.fixture
def subject(http: httpx.Client) -> str:
    name = f"contract-{uuid4().hex}-value"
    http.put(f"/config/{name}", json={"compatibility": COMPATIBILITY}).raise_for_status()
    return name


def register(http: httpx.Client, subject: str, schema: object) -> httpx.Response:
    return http.post(f"/subjects/{subject}/versions", json={"schema": json.dumps(schema)})


def test_the_same_schema_has_one_id_and_is_found_by_it(http: httpx.Client, subject: str) -> None:
    first = register(http, subject, V1).raise_for_status().json()["id"]
    again = register(http, subject, V1).raise_for_status().json()["id"]

    found = http.get(f"/schemas/ids/{first}").raise_for_status().json()["schema"]

    assert first == again
    assert json.loads(found) == V1


def test_a_field_with_a_default_is_taken_and_one_without_is_refused(http: httpx.Client, subject: str) -> None:
    register(http, subject, V1).raise_for_status()

    assert register(http, subject, WITH_DEFAULT).status_code == 200
    assert register(http, subject, WITHOUT_DEFAULT).status_code == 409


def test_our_catalogue_registers_twice_under_the_same_ids(registry_url: str) -> None:
    registry = SchemaRegistry(registry_url)

    first, again = registry.register(CATALOGUE), registry.register(CATALOGUE)

    assert first == again
    assert registry.id_of(TICKS.subject, schema_text(TICKS.subject_file)) == first[TICKS.subject]
    registry.close()


def test_what_was_never_registered_is_one_clear_line(registry_url: str) -> None:
    registry = SchemaRegistry(registry_url)

    with pytest.raises(UserError, match="not registered"):
        registry.id_of(f"contract-{uuid4().hex}-value", json.dumps(V1))
    registry.close()

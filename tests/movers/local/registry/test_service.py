"""The schema registry as its clients see it."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from movers.local.registry.store import RegistryError, Store
from tests.stack.processes import REPO, ServiceProcess

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # authlib, which it imports, warns about httpx
    from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
    from confluent_kafka.schema_registry.error import SchemaRegistryError

MODULE = "movers.local.registry.service"


def schema(*extra: dict[str, Any]) -> str:
    fields = [{"name": "a", "type": "int"}, *extra]
    return json.dumps({"type": "record", "name": "R", "fields": fields})


OPTIONAL = {"name": "b", "type": ["null", "int"], "default": None}
REQUIRED = {"name": "c", "type": "int"}


@pytest.fixture
def http(registry: ServiceProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=registry.url, timeout=60) as client:
        yield client


@pytest.fixture
def subject() -> str:
    return f"s {uuid.uuid4().hex}/value"


@pytest.mark.stack
def test_confluents_own_client_works(registry: ServiceProcess, subject: str) -> None:
    with SchemaRegistryClient({"url": registry.url}) as client:
        first = client.register_schema(subject, Schema(schema(), "AVRO"))
        again = client.register_schema(subject, Schema(schema(), "AVRO"))
        client.set_compatibility(subject_name=subject, level="FULL_TRANSITIVE")
        second = client.register_schema(subject, Schema(schema(OPTIONAL), "AVRO"))

        assert first == again != second
        assert client.get_versions(subject) == [1, 2]
        assert client.get_latest_version(subject).schema_id == second
        assert json.loads(client.get_schema(first).schema_str) == json.loads(schema())
        assert client.lookup_schema(subject, Schema(schema(), "AVRO")).version == 1
        assert client.get_compatibility(subject) == "FULL_TRANSITIVE"
        assert client.test_compatibility(subject, Schema(schema(REQUIRED), "AVRO")) is False
        assert subject in client.get_subjects()
        with pytest.raises(SchemaRegistryError) as caught:
            client.register_schema(subject, Schema(schema(REQUIRED), "AVRO"))
    assert (caught.value.http_status_code, caught.value.error_code) == (409, 409)


@pytest.mark.stack
@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/subjects/absent/versions", None, 404, 40401),
        ("GET", "/subjects/absent/versions/latest", None, 404, 40401),
        ("GET", "/schemas/ids/99999", None, 404, 40403),
        ("GET", "/schemas/ids/x", None, 404, 40403),
        ("POST", "/subjects/absent", {"schema": '"int"'}, 404, 40401),
        ("POST", "/subjects/s/versions", {"schema": "{}"}, 422, 42201),
        ("POST", "/subjects/s/versions", {"schema": "not JSON"}, 422, 42201),
        ("POST", "/subjects/s/versions", {}, 422, 42201),
        ("POST", "/subjects/s/versions", {"schema": '"int"', "schemaType": "PROTOBUF"}, 422, 42201),
        ("PUT", "/config", {"compatibility": "SOMETIMES"}, 422, 42203),
        ("GET", "/config/absent", None, 404, 40408),
        ("GET", "/nowhere", None, 404, 404),
        ("DELETE", "/subjects/s", None, 405, 405),
    ],
)
def test_errors_have_the_registrys_codes(
    http: httpx.Client, method: str, path: str, body: dict[str, str] | None, status: int, code: int
) -> None:
    answer = http.request(method, path, json=body)

    assert answer.status_code == status
    assert answer.json()["error_code"] == code


@pytest.mark.stack
def test_a_body_that_is_not_json_is_a_clear_400(http: httpx.Client) -> None:
    answer = http.post("/subjects/s/versions", content=b"\xff{")

    assert answer.status_code == 400
    assert "not JSON" in answer.json()["message"]


@pytest.mark.stack
def test_versions_are_found_by_number_and_name(http: httpx.Client) -> None:
    subject = f"plain-{uuid.uuid4().hex}"
    http.post(f"/subjects/{subject}/versions", json={"schema": schema()}).raise_for_status()

    assert http.get(f"/subjects/{subject}/versions/1").json()["version"] == 1
    assert http.get(f"/subjects/{subject}/versions/2").json()["error_code"] == 40402
    assert http.get(f"/subjects/{subject}/versions/zero").json()["error_code"] == 42202


@pytest.mark.stack
def test_a_foreign_web_page_gets_nothing(http: httpx.Client) -> None:
    answer = http.put("/config", json={"compatibility": "NONE"}, headers={"Origin": "https://example.org"})

    assert answer.status_code == 403


def test_who_hangs_up_before_the_answer_leaves_no_trace_in_its_log(tmp_path: Path) -> None:
    service = ServiceProcess.start(MODULE, tmp_path / "data")
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", service.port)) as rude:
            rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # the end is a reset
            rude.sendall(b"GET /subjects HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20)

    assert httpx.get(f"{service.url}/subjects", trust_env=False, timeout=60).json() == []
    assert service.terminate() == 0
    assert [line for line in service.said.splitlines() if not line.startswith("{")] == []


@pytest.mark.stack
def test_a_killed_registry_keeps_what_it_answered(tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    first = ServiceProcess.start(MODULE, folder)
    known = httpx.post(f"{first.url}/subjects/s/versions", json={"schema": schema()}, timeout=60).json()["id"]
    httpx.put(f"{first.url}/config", json={"compatibility": "FULL"}, timeout=60).raise_for_status()
    first.kill()

    second = ServiceProcess.start(MODULE, folder)

    assert httpx.get(f"{second.url}/subjects/s/versions/latest", timeout=60).json()["id"] == known
    assert httpx.get(f"{second.url}/config", timeout=60).json() == {"compatibilityLevel": "FULL"}
    assert second.terminate() == 0


@pytest.mark.stack
def test_a_registry_that_cannot_start_says_why_in_one_line(registry: ServiceProcess, tmp_path: Path) -> None:
    def run(port: int, folder: Path) -> str:
        command = [sys.executable, "-m", MODULE, "--port", str(port), "--data", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False, cwd=REPO)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        return done.stderr

    (tmp_path / "registry.json").write_text("{")
    assert "is in use" in run(registry.port, tmp_path / "x")
    assert "in use by another registry" in run(0, registry.folder)
    assert "cannot be read" in run(0, tmp_path)


@pytest.mark.parametrize(
    ("level", "second", "third", "allowed"),
    [
        # 1: {a}; 2: as given; 3: as given. Only the transitive levels look past version 2.
        ("BACKWARD", [OPTIONAL], [OPTIONAL, {**REQUIRED, "default": 0}], True),
        ("BACKWARD", [], [REQUIRED], False),
        ("FORWARD", [], [REQUIRED], True),
        ("FULL", [], [REQUIRED], False),
        ("NONE", [], [REQUIRED], True),
    ],
)
def test_levels_decide_what_may_follow(
    tmp_path: Path, level: str, second: list[dict[str, Any]], third: list[dict[str, Any]], allowed: bool
) -> None:
    store = Store(tmp_path)
    store.set_level("s", level)
    store.register("s", schema())
    store.register("s", schema(*second))

    assert (not store.check("s", schema(*third), None)) == allowed


def test_transitive_levels_look_at_all_versions(tmp_path: Path) -> None:
    """Each step alone is fine: b was added with a default, then the default went; version 1 knows no b."""
    steps = [schema(), schema({"name": "b", "type": "int", "default": 1}), schema({"name": "b", "type": "int"})]
    store = Store(tmp_path)
    for step in steps[:2]:
        store.register("s", step)

    store.set_level("s", "BACKWARD")
    assert store.check("s", steps[2], None) == []
    store.set_level("s", "BACKWARD_TRANSITIVE")
    assert store.check("s", steps[2], None) == ["reading old data: /b: has no default and is not in the data"]


def test_one_schema_has_one_id_in_all_subjects(tmp_path: Path) -> None:
    store = Store(tmp_path)

    first, second = store.register("s", schema()), store.register("t", schema())

    assert first.schema_id == second.schema_id
    assert [one.subject for one in store.uses(first.schema_id)] == ["s", "t"]


def test_a_refused_schema_leaves_no_trace(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.register("s", schema())

    with pytest.raises(RegistryError):
        store.register("s", schema(REQUIRED))

    assert store.versions("s") == [1]
    assert Store(tmp_path).versions("s") == [1]

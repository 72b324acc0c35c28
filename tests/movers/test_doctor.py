"""The doctor's table: what is well, what is not, and the fix, on a machine where nothing runs and on a whole one."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kernel.errors import MoversError
from kernel.kafka.topics import create_topics
from kernel.settings import Settings
from movers.doctor import examine
from tests.stack.ports import free_port
from tests.stack.processes import KafkaProcess, child_environment, kafka_at


def doctor(folder: Path, **settings: str) -> tuple[int, dict[str, dict[str, str]]]:
    """Its exit code and its rows by part."""
    nowhere = {
        "MOVERS_HOME": str(folder / "home"),
        "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}",
        "SCHEMA_REGISTRY_URL": f"http://127.0.0.1:{free_port()}",
        "CLICKHOUSE_PORT": str(free_port()),
    }
    done = subprocess.run(
        [sys.executable, "-m", "movers", "doctor", "--json"],
        cwd=folder,
        env=child_environment({**nowhere, **settings}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return done.returncode, {row["part"]: row for row in rows}


def test_where_nothing_runs_each_part_that_is_not_well_has_a_fix(tmp_path: Path) -> None:
    code, rows = doctor(tmp_path)

    assert code == 1
    assert {part for part, row in rows.items() if row["state"] == "well"} == {"python", "java", "disk", "processes"}
    for row in rows.values():
        assert bool(row["fix"]) == (row["state"] == "NOT WELL"), row
    assert "does not answer" in rows["kafka"]["found"]


def test_a_store_that_takes_the_connection_and_never_answers_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        code, rows = doctor(tmp_path, CLICKHOUSE_PORT=str(silent.getsockname()[1]))

    assert code == 1
    assert "does not answer" in rows["clickhouse"]["found"]
    assert "or start it" in rows["clickhouse"]["fix"]
    assert rows["data"]["fix"] == "first clickhouse"


def test_parts_that_do_not_answer_are_waited_for_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = threading.Barrier(2, timeout=60)

    def look(_: Settings) -> str:
        return f"{both.wait()} came first"

    def nothing(_: Settings) -> str:
        raise MoversError("nothing there")

    for part, looks in {"kafka": look, "clickhouse": look, "topics": nothing, "tables": nothing}.items():
        monkeypatch.setattr(f"movers.doctor._{part}", looks)
    findings = {finding.part: finding for finding in examine(Settings({"MOVERS_HOME": str(tmp_path)}))}

    assert {findings[part].well for part in ("kafka", "clickhouse")} == {True}


@pytest.mark.stack
def test_a_disk_with_too_little_room_is_told(tmp_path: Path, kafka_stack: KafkaProcess) -> None:
    _, rows = doctor(tmp_path, DISK_LOW_MIB=str(1 << 40), KAFKA_BOOTSTRAP_SERVERS=kafka_stack.bootstrap)

    assert rows["disk"]["state"] == "NOT WELL"
    assert "DISK_LOW_MIB" in rows["disk"]["found"]


@pytest.mark.stack
def test_a_kafka_without_our_topics_is_well_and_the_fix_makes_them(tmp_path: Path, kafka_stack: KafkaProcess) -> None:
    _, before = doctor(tmp_path, KAFKA_BOOTSTRAP_SERVERS=kafka_stack.bootstrap)
    create_topics(kafka_at(kafka_stack.bootstrap))
    _, after = doctor(tmp_path, KAFKA_BOOTSTRAP_SERVERS=kafka_stack.bootstrap)

    assert (before["kafka"]["state"], before["topics"]["state"]) == ("well", "NOT WELL")
    assert before["topics"]["fix"] == "movers topics create"
    assert (after["kafka"]["state"], after["topics"]["state"]) == ("well", "well")

"""The warehouse as a process: what survives a kill, how it stops, what it says when it cannot start."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from pathlib import Path

import clickhouse_connect
import httpx
import pytest
from clickhouse_connect.driver.exceptions import Error

from tests.stack.processes import REPO, ServiceProcess
from tests.stack.waiting import wait_until

pytestmark = pytest.mark.stack
MODULE = "movers.local.warehouse.service"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", MODULE, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=REPO)


def test_a_killed_warehouse_keeps_every_acknowledged_row(tmp_path: Path) -> None:
    folder = tmp_path / "a folder" / "data"
    service = ServiceProcess.start(MODULE, folder)
    acknowledged: list[int] = []

    def insert_until_it_dies() -> None:
        with clickhouse_connect.get_client(host="127.0.0.1", port=service.port) as client:
            client.command("CREATE TABLE kept (a UInt64) ENGINE = MergeTree ORDER BY a")
            for batch in range(100_000):
                try:
                    client.insert("kept", [[batch * 10 + n] for n in range(10)])
                except Error:
                    return
                acknowledged.append(batch)

    writer = threading.Thread(target=insert_until_it_dies)
    writer.start()
    wait_until(lambda: len(acknowledged) >= 50, "50 batches are acknowledged")
    service.kill()
    writer.join(90)

    again = ServiceProcess.start(MODULE, folder)
    try:
        with clickhouse_connect.get_client(host="127.0.0.1", port=again.port) as client:
            rows = [value for (value,) in client.query("SELECT a FROM kept ORDER BY a").result_rows]
    finally:
        assert again.terminate() == 0

    expected = [batch * 10 + n for batch in acknowledged for n in range(10)]
    assert rows[: len(expected)] == expected
    assert len(rows) <= len(expected) + 10  # at most the one batch that was under way


def test_who_hangs_up_in_the_middle_of_an_insert_leaves_no_trace(tmp_path: Path) -> None:
    """As a sink does that is killed: half of its statement is nothing, and nothing to be told."""
    service = ServiceProcess.start(MODULE, tmp_path / "data")
    httpx.post(service.url, content="CREATE TABLE kept (a String) ENGINE = MergeTree ORDER BY a").raise_for_status()

    with socket.create_connection(("127.0.0.1", service.port)) as sink:
        request = "POST /?query=INSERT%20INTO%20kept%20FORMAT%20TSV HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        sink.sendall(f"{request}Content-Length: 100\r\n\r\nhalf of it\n".encode())

    assert httpx.post(service.url, content="SELECT count() FROM kept").text == "0\n"
    assert service.terminate() == 0
    assert "Traceback" not in service.said


def test_a_stop_during_a_statement_is_clean(tmp_path: Path) -> None:
    service = ServiceProcess.start(MODULE, tmp_path / "data")
    sql = "SELECT count() FROM numbers(1000000000000) WHERE number % 7 = 3"
    failures: list[Exception] = []

    def read() -> None:
        try:
            httpx.post(service.url, content=sql, timeout=60)
        except httpx.HTTPError as error:
            failures.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    running = "SELECT count() FROM system.processes WHERE query LIKE '%number \\% 7%' AND query NOT LIKE '%processes%'"
    wait_until(lambda: httpx.post(service.url, content=running, timeout=60).text == "1\n", "the statement runs")

    assert service.terminate() == 0
    reader.join(90)
    assert not reader.is_alive()


def test_a_second_process_is_kept_out_of_the_folder(warehouse: ServiceProcess) -> None:
    done = run("--port", "0", "--data", str(warehouse.folder))

    assert done.returncode == 2
    assert done.stderr == (
        f"error: data folder {warehouse.folder} is in use by another warehouse (pid {warehouse.process.pid})\n"
    )


def test_a_port_in_use_is_one_clear_line(warehouse: ServiceProcess, tmp_path: Path) -> None:
    done = run("--port", str(warehouse.port), "--data", str(tmp_path / "data"))

    assert done.returncode == 2
    assert done.stderr.startswith(f"error: port {warehouse.port} (warehouse) is in use")
    assert done.stderr.count("\n") == 1


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    done = run("--port", "0", "--data", str(tmp_path / "file" / "data"))

    assert done.returncode == 2
    assert "cannot be written" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [(), ("--port", "x", "--data", "d"), ("--port", "70000", "--data", "d")])
def test_bad_arguments_are_exit_code_2_without_a_traceback(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)

    assert done.returncode == 2
    assert "Traceback" not in done.stderr

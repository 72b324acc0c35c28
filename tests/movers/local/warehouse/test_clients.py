"""An unmodified clickhouse-connect against the warehouse."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, StreamFailureError

from tests.stack.processes import ServiceProcess
from tests.stack.waiting import wait_until

pytestmark = pytest.mark.stack

COLUMNS = {
    "id": "UInt64",
    "ts": "DateTime64(6, 'UTC')",
    "price": "Decimal(9, 6)",
    "maybe": "Nullable(Float64)",
    "category": "LowCardinality(String)",
    "flags": "Array(LowCardinality(String))",
    "code": "FixedString(4)",
    "size": "Float64",
    "is_open": "Bool",
    "maybe_text": "LowCardinality(Nullable(String))",
    "name": "String",
}
NOW = datetime(2026, 11, 23, 12, 30, 15, 123456, tzinfo=UTC)


def row(number: int) -> list[Any]:
    return [
        number + 2**63,
        NOW,
        Decimal("0.123456"),
        None if number % 2 else number / 3,
        f"category {number % 3}",
        ["a", "b"] if number % 2 else [],
        b"ab\x00\xff",
        number * 0.5,
        bool(number % 2),
        None if number % 2 else "text",
        "\n\t'\\\u00e9\U0001f600",
    ]


@pytest.fixture
def client(warehouse: ServiceProcess) -> Iterator[Client]:
    with clickhouse_connect.get_client(host="127.0.0.1", port=warehouse.port, database="movers") as client:
        yield client


@pytest.fixture
def table(client: Client) -> Iterator[str]:
    columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    client.command(f"CREATE TABLE types ({columns}) ENGINE = MergeTree ORDER BY id")
    yield "types"
    client.command("DROP TABLE types SYNC")


@pytest.mark.parametrize("compress", ["lz4", "zstd", "gzip", False])
def test_every_column_type_comes_back_as_it_was_inserted(
    warehouse: ServiceProcess, table: str, compress: str | bool
) -> None:
    rows = [row(number) for number in range(1000)]
    with clickhouse_connect.get_client(host="127.0.0.1", port=warehouse.port, compress=compress, tz_mode="aware") as c:
        summary = c.insert(table, rows, column_names=list(COLUMNS))
        result = c.query(f"SELECT * FROM {table} ORDER BY id", column_formats={"code": "bytes"})

    assert summary.written_rows == 1000
    assert result.column_names == tuple(COLUMNS)
    assert [list(one) for one in result.result_rows] == rows


@pytest.mark.parametrize("count", [9, 10, 13, 32, 59])
def test_native_data_may_begin_with_any_byte(client: Client, count: int) -> None:
    """The first byte of Native data is the number of columns: 10 is a newline, 32 a blank, 59 a semicolon."""
    client.command(f"CREATE TABLE wide ({', '.join(f'c{n} UInt8' for n in range(count))}) ENGINE = Memory")
    try:
        client.insert("wide", [list(range(count))] * 3)
        assert client.query("SELECT * FROM wide").result_rows == [tuple(range(count))] * 3
    finally:
        client.command("DROP TABLE wide")


@pytest.mark.parametrize("value", ["plain", "tab\tnew\nline", "quote ' back \\ slash", "é \U0001f600", ""])
def test_bound_parameters_are_values_not_sql(client: Client, value: str) -> None:
    result = client.query("SELECT {v:String}, {n:Array(UInt64)}", parameters={"v": value, "n": [1, 2**63]})

    assert result.result_rows == [(value, [1, 2**63])]


def test_identifier_and_time_parameters(client: Client, table: str) -> None:
    client.insert(table, [row(1)], column_names=list(COLUMNS))

    result = client.query(
        "SELECT count() FROM {t:Identifier} WHERE ts >= {since:DateTime64(6)}", parameters={"t": table, "since": NOW}
    )

    assert result.result_rows == [(1,)]


def test_a_session_keeps_its_settings_and_temporary_tables_to_itself(warehouse: ServiceProcess, client: Client) -> None:
    client.command("SET max_threads = 1")
    client.command("CREATE TEMPORARY TABLE mine (a UInt8)")
    client.insert("mine", [[7]])

    assert client.command("SELECT toUInt8(getSetting('max_threads'))") == 1
    assert client.query("SELECT a FROM mine").result_rows == [(7,)]
    with clickhouse_connect.get_client(host="127.0.0.1", port=warehouse.port) as other:
        assert other.command("SELECT toUInt8(getSetting('max_block_size') > 0)") == 1
        with pytest.raises(DatabaseError, match="UNKNOWN_TABLE"):
            other.query("SELECT a FROM mine")


def test_a_setting_of_one_request_does_not_stay_in_the_session(client: Client) -> None:
    read = "SELECT getSetting('max_block_size')"
    before = client.command(read)

    assert client.command(read, settings={"max_block_size": 1234}) == 1234
    assert client.command(read) == before
    client.command("SET max_block_size = 99", settings={"max_block_size": 1234})
    assert client.command(read) == 99
    assert client.command(read, settings={"max_block_size": 1234}) == 1234
    assert client.command(read) == 99


def test_use_changes_the_database_of_the_session_only(warehouse: ServiceProcess) -> None:
    with clickhouse_connect.get_client(host="127.0.0.1", port=warehouse.port) as client:
        assert client.command("SELECT currentDatabase()") == "movers"
        client.command("USE system")
        assert client.command("SELECT currentDatabase()") == "system"
    with clickhouse_connect.get_client(host="127.0.0.1", port=warehouse.port, database="system") as client:
        assert client.command("SELECT currentDatabase()") == "system"


@pytest.mark.parametrize(
    ("sql", "code", "name"),
    [
        ("SELECT * FROM absent", 60, "UNKNOWN_TABLE"),
        ("SELEC 1", 62, "SYNTAX_ERROR"),
        ("SELECT 1; SELECT 2", 62, "SYNTAX_ERROR"),
        ("SELECT absent", 47, "UNKNOWN_IDENTIFIER"),
        ("SELECT throwIf(1)", 395, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"),
        ("SELECT toUInt8('x')", 6, "CANNOT_PARSE_TEXT"),
        ("SELECT 1 INTO OUTFILE '/dev/null'", 183, "INTO_OUTFILE_NOT_ALLOWED"),
    ],
)
def test_errors_carry_clickhouses_code_and_name(client: Client, sql: str, code: int, name: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        client.command(sql)

    assert caught.value.code == code
    assert caught.value.name == name
    assert str(caught.value).count("Code: ") == 1


def test_an_unknown_setting_is_refused_by_the_engine(client: Client) -> None:
    with pytest.raises(DatabaseError) as caught:
        client.command("SELECT 1", settings={"no_such_setting": "1"})

    assert caught.value.code == 115


def test_a_failure_after_the_first_blocks_reaches_the_client_as_a_failure(client: Client) -> None:
    with pytest.raises(StreamFailureError, match="throwIf"):
        _ = client.query("SELECT throwIf(number = 3000000), number FROM numbers(10000000)").result_rows

    assert client.command("SELECT 1") == 1


def test_a_repeated_token_writes_no_second_row(client: Client) -> None:
    client.command(
        "CREATE TABLE once (a UInt64) ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 100"
    )
    try:
        for token in ("ticks/0/1-3", "ticks/0/1-3", "ticks/0/4-6"):
            client.insert("once", [[1], [2], [3]], settings={"insert_deduplication_token": token, "async_insert": 0})

        assert client.command("SELECT count() FROM once") == 6
    finally:
        client.command("DROP TABLE once SYNC")


def test_data_frames_and_arrow_work(client: Client) -> None:
    frame = client.query_df("SELECT number AS n, toString(number) AS s FROM numbers(5)")

    assert frame["n"].tolist() == [0, 1, 2, 3, 4]
    assert client.query_arrow("SELECT 1 AS one").to_pylist() == [{"one": 1}]


def test_a_slow_read_does_not_hold_up_a_fast_one(client: Client, warehouse: ServiceProcess) -> None:
    slow = "SELECT count() FROM numbers(100000000000) WHERE number % 7 = 3 SETTINGS max_execution_time = 200"
    failures: list[Exception] = []

    def run_slow() -> None:
        try:
            _ = client.query(slow).result_rows
        except DatabaseError as error:
            failures.append(error)

    thread = threading.Thread(target=run_slow)
    thread.start()
    with clickhouse_connect.get_client(host="127.0.0.1", port=warehouse.port) as other:
        running = (
            "SELECT count() FROM system.processes WHERE query LIKE '%number \\% 7%' AND query NOT LIKE '%processes%'"
        )
        wait_until(lambda: other.command(running) == 1, "the slow read runs")
        assert other.command("SELECT 1") == 1
        assert other.command(running) == 1, "the slow one runs on: nobody waited for it"
        other.command("KILL QUERY WHERE query LIKE '%number \\% 7%' AND query NOT LIKE '%KILL%' SYNC")
    thread.join(90)
    assert "QUERY_WAS_CANCELLED" in str(failures[0])


WRITER = """
import sys, clickhouse_connect
port, writer = int(sys.argv[1]), int(sys.argv[2])
with clickhouse_connect.get_client(host="127.0.0.1", port=port) as client:
    for batch in range(10):
        client.insert("crowd", [[writer, batch * 100 + n] for n in range(100)], column_names=["writer", "n"])
        count = client.query("SELECT count() FROM crowd WHERE writer = {w:UInt8}", parameters={"w": writer})
        assert count.result_rows == [((batch + 1) * 100,)]
"""


def test_several_processes_write_and_read_at_once(client: Client, warehouse: ServiceProcess) -> None:
    client.command("CREATE TABLE crowd (writer UInt8, n UInt64) ENGINE = MergeTree ORDER BY (writer, n)")
    try:
        command = [sys.executable, "-c", WRITER, str(warehouse.port)]
        writers = [subprocess.Popen([*command, str(writer)], stderr=subprocess.PIPE) for writer in range(4)]
        for writer in writers:
            _, errors = writer.communicate(timeout=60)
            assert writer.returncode == 0, errors.decode()

        counts = client.query("SELECT writer, count(), uniqExact(n) FROM crowd GROUP BY writer ORDER BY writer")
        assert counts.result_rows == [(writer, 1000, 1000) for writer in range(4)]
    finally:
        client.command("DROP TABLE crowd SYNC")

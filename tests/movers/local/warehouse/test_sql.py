"""Where a statement ends and its data begins."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from movers.local.warehouse.sql import split


@pytest.mark.parametrize(
    ("sql", "sql_part", "fmt", "data"),
    [
        (b"INSERT INTO t FORMAT CSV\n1,2\n", b"INSERT INTO t ", "CSV", b"1,2\n"),
        (b"INSERT INTO t FORMAT CSV\r\n1,2", b"INSERT INTO t ", "CSV", b"1,2"),
        (b"insert into t (a, format) format Native\n\n", b"insert into t (a, format) ", "Native", b"\n"),
        (b"/* FORMAT x */ INSERT INTO format FORMAT TSV 1", b"/* FORMAT x */ INSERT INTO format ", "TSV", b"1"),
        (
            b"INSERT INTO db.format SETTINGS a='FORMAT' FORMAT TSV",
            b"INSERT INTO db.format SETTINGS a='FORMAT' ",
            "TSV",
            b"",
        ),
    ],
)
def test_inline_data_is_cut_off_behind_the_format(sql: bytes, sql_part: bytes, fmt: str, data: bytes) -> None:
    statement = split(b"", sql)

    assert (statement.sql, statement.insert_format, statement.data) == (sql_part, fmt, data)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (b"INSERT INTO t (a) FORMAT CSV 1", b"INSERT INTO t (a)  FROM INFILE '/f' COMPRESSION 'none'  FORMAT CSV"),
        (
            b"INSERT INTO settings SETTINGS a = 1 FORMAT TSV\n1",
            b"INSERT INTO settings  FROM INFILE '/f' COMPRESSION 'none' SETTINGS a = 1  FORMAT TSV",
        ),
    ],
)
def test_data_in_a_file_is_named_before_the_settings(sql: bytes, expected: bytes) -> None:
    assert split(b"", sql).insert_from_file("/f") == expected


@pytest.mark.parametrize(
    "sql",
    [
        b"INSERT INTO t VALUES ('FORMAT CSV')",
        b"INSERT INTO t SELECT 1 FORMAT CSV",
        b"INSERT INTO t WITH 1 AS format SELECT format",
        b"SELECT 'INSERT INTO t FORMAT CSV'",
    ],
)
def test_statements_without_inline_data_stay_whole(sql: bytes) -> None:
    statement = split(b"", sql)

    assert statement.sql == sql
    assert statement.insert_format is None


@given(st.binary(max_size=200))
def test_no_byte_of_data_is_touched_when_the_statement_is_in_the_url(data: bytes) -> None:
    statement = split(b"INSERT INTO t FORMAT Native", data)

    assert statement.data == data


@given(st.binary(max_size=200))
def test_any_body_is_read_without_an_error(body: bytes) -> None:
    split(b"", body)


@pytest.mark.parametrize(
    ("sql", "fmt"),
    [
        (b"SELECT 1 FORMAT JSON", "JSON"),
        (b"SELECT 1 format JSONEachRow;", "JSONEachRow"),
        (b"SELECT 1 FORMAT CSV SETTINGS max_threads = 1", "CSV"),
        (b"SELECT 1 -- FORMAT CSV", None),
        (b"SELECT format FROM t", None),
        (b"SELECT (SELECT 1 FORMAT CSV)", None),
        (b"SELECT 'FORMAT CSV'", None),
        (b"SHOW TABLES FORMAT TSVRaw\n", "TSVRaw"),
    ],
)
def test_the_output_format_is_the_clause_at_the_end(sql: bytes, fmt: str | None) -> None:
    assert split(b"", sql).output_format == fmt


def test_files_of_the_server_are_noticed() -> None:
    assert split(b"", b"SELECT 1 INTO OUTFILE 'x'").touches_files
    assert split(b"", b"INSERT INTO t FROM INFILE 'x' FORMAT CSV").touches_files
    assert not split(b"", b"SELECT 'INTO OUTFILE'").touches_files

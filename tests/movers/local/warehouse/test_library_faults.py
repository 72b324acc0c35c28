"""Faults of chDB that we go around: each test fails when a new version has mended one, so that the detour can go."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.stack

SILENT_INSERT = """
from chdb.state.sqlitelike import Connection
connection = Connection(":memory:")
connection.query("CREATE TABLE small (a UInt8, CONSTRAINT few CHECK a < 5) ENGINE = Memory", "Null")
inserter = connection.send_insert("INSERT INTO small", "TSV")
inserter.append(b"9\\n")
written = inserter.finish()
print(written.rows_written, connection.query("SELECT count() FROM small", "TSV").bytes().decode().strip())
"""


def test_a_streamed_insert_that_failed_is_reported_as_written() -> None:
    """chdb-core 26.9.0: `send_insert(...).finish()` says one row is written and raises nothing; none is stored."""
    # In a process of its own: a process can hold one engine only.
    done = subprocess.run([sys.executable, "-c", SILENT_INSERT], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.split() == ["1", "0"], "the library tells now: Engine._insert may stream again"


EMPTY_LINE = """
from chdb.state.sqlitelike import Connection
connection = Connection(":memory:")
connection.query("CREATE TABLE words (a String) ENGINE = Memory", "Null")
connection.query(b"INSERT INTO words FORMAT RawBLOB\\nbefore\\n\\nSELECT 1", "Null")
print(connection.query("SELECT a FROM words", "TSVRaw").bytes().decode().strip())
"""


def test_data_in_the_text_of_an_insert_ends_at_an_empty_line() -> None:
    """chdb-core 26.9.0: what follows an empty line is cut off and run as the next statement."""
    done = subprocess.run([sys.executable, "-c", EMPTY_LINE], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout == "before\n", "the library keeps the data whole now: Engine._insert may send it in the text"

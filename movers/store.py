"""The store as commands ask it: a statement over a client of its own, rows by name, refusals as one clear line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from kernel.clickhouse import connect
from kernel.errors import UserError
from kernel.settings import ClickHouseRole, Settings

Row = Mapping[str, Any]


def query(
    settings: Settings, sql: str, parameters: Mapping[str, Any] | None = None, *, silence_s: int = 120
) -> list[Row]:
    """Rows of one statement.

    Args:
        silence_s: after so long without an answer the store counts as away.

    Raises:
        UserError: ClickHouse refuses us or the statement; the text is its own.
        StoreAwayError: it does not answer.
    """
    with _client(settings, "read", silence_s) as client:
        result = client.query(sql, parameters=dict(parameters or {}))
    return [dict(zip(result.column_names, row, strict=True)) for row in result.result_rows]


def insert(settings: Settings, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Stores rows, if there are any. Raises as `query` does."""
    if not rows:
        return
    with _client(settings, "write", 120) as client:
        client.insert(table, rows, column_names=columns)


@contextmanager
def _client(settings: Settings, role: ClickHouseRole, silence_s: int) -> Iterator[Client]:
    client = connect(settings.clickhouse, client_name="cli", role=role, silence_s=silence_s)
    try:
        yield client
    except ClickHouseError as error:
        raise UserError(f"ClickHouse: {' '.join(str(error).split())[:500]}") from error
    finally:
        client.close()

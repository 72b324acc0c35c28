"""The store as the pages see it: a pool of clients, queries from files, and one error when it cannot answer."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from queue import Empty, Full, LifoQueue
from typing import Any

import numpy as np
import pandas as pd
from clickhouse_connect.datatypes.base import ClickHouseType
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError, OperationalError
from numpy.typing import NDArray

from dashboard.columns import COLUMNS
from kernel.clickhouse import connect
from kernel.errors import TransientError, UserError
from kernel.logs import get_logger
from kernel.settings import ClickHouseSettings

log = get_logger(__name__)

_POOL_SIZE = 8

_SILENCE_S = 10
"""A page waits so long for an answer. A store that hangs, or a network that swallows packets, refuses nobody."""
_SILENCE_OF_BLOCKS_S = 120
"""Many rows are read in the background, from a busy store too."""
_HUNG_S, _LEFT_ALONE_S = 1.0, 5.0
"""A failure that took longer than the first is told to others at once for the second, or each would wait in turn."""

# A number an instant instead of a `datetime` each: of a day's bars that was half of what the page spent on the answer.
_INSTANTS_AS_NUMBERS = {"DateTime*": "int"}
_UNITS = {0: "s", 3: "ms", 6: "us", 9: "ns"}
"""Of an instant, by the decimals of its type in the store; a plain DateTime has none."""


class StoreUnavailableError(TransientError):
    """The store does not answer, or is not set up yet. The text is one calm line for a reader."""


@cache
def query_text(name: str) -> str:
    """The SQL of `queries/<name>.sql` without the lines that are comments.

    A semicolon in one sends clickhouse-connect (1.12) through the whole text twice, in Python, with every question.
    """
    lines = files("dashboard.queries").joinpath(f"{name}.sql").read_text("utf-8").splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith("--"))


class Store:
    """Reads of the dashboard. Threads share it: each call borrows a client of its own.

    Args:
        settings: where ClickHouse is.
        silence_s: after so long without a byte of an answer the store counts as away.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        settings: ClickHouseSettings,
        silence_s: int = _SILENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings, self._silence_s, self._clock = settings, silence_s, clock
        # One pool for each patience, which is a client's own.
        self._idle: Mapping[int, LifoQueue[Client]] = {
            patience_s: LifoQueue(_POOL_SIZE) for patience_s in (silence_s, _SILENCE_OF_BLOCKS_S)
        }
        self._left_alone_until_s = -math.inf

    @property
    def address(self) -> str:
        """Which store this is: the key under which its answers are cached."""
        s = self._settings
        return f"{s.clickhouse_host}:{s.clickhouse_port}/{s.clickhouse_database}"

    def rows(self, query: str, columns: Mapping[str, str], **parameters: Any) -> pd.DataFrame:
        """The answer of `queries/<query>.sql` with exactly these columns (name to pandas dtype), also when empty.

        Raises:
            StoreUnavailableError: the store is away, or has no tables yet.
        """
        told = self.columns(query, columns, **parameters)
        return pd.DataFrame({name: _series(told[name], dtype) for name, dtype in columns.items()}, copy=False)

    def columns(self, query: str, columns: Mapping[str, str], **parameters: Any) -> dict[str, NDArray[Any]]:
        """The same as arrays, for who works on: a frame of a day's bars costs as much as asking for them.

        An instant is a datetime64 of UTC, one that is not there NaT, a number NaN, a text None.

        Raises:
            StoreUnavailableError: the store is away, or has no tables yet.
        """
        with self._client(self._silence_s) as client:
            answer = client.query(
                query_text(query),
                parameters=_bind(parameters),
                query_formats=_INSTANTS_AS_NUMBERS,
                column_oriented=True,
            )
            told: Sequence[Sequence[Any]] = answer.result_columns
        if not answer.column_names:
            return {name: np.array([], _plain(dtype)) for name, dtype in columns.items()}
        if list(answer.column_names) != list(columns):
            raise ValueError(f"{query}.sql gives {list(answer.column_names)}, expected {list(columns)}")
        parts = zip(columns.items(), told, answer.column_types, strict=True)
        return {name: _values(values, kind, dtype) for (name, dtype), values, kind in parts}

    def blocks(self, query: str, **parameters: Any) -> Iterator[dict[str, NDArray[Any]]]:
        """The answer of `queries/<query>.sql` as it comes, some ten thousand rows at a time: name to values.

        For many rows: an array a column, of objects where the column is text.

        Raises:
            StoreUnavailableError: the store is away, or has no tables yet.
        """
        with self._client(_SILENCE_OF_BLOCKS_S) as client:
            names = list(COLUMNS[query])
            with client.query_column_block_stream(query_text(query), parameters=_bind(parameters)) as stream:
                for block in stream:
                    yield {name: _array(column) for name, column in zip(names, block, strict=True)}

    def insert(self, table: str, row: Mapping[str, Any]) -> None:
        """Writes one row. Raises StoreUnavailableError when it was not taken."""
        names: Sequence[str] = list(row)
        with self._client(self._silence_s) as client:
            client.insert(table, [list(row.values())], column_names=names, settings={"async_insert": 0})

    @contextmanager
    def _client(self, patience_s: int) -> Iterator[Client]:
        """Borrows a client; one that failed is thrown away, so that nothing half-read is used again."""
        began_s = self._clock()
        if began_s < self._left_alone_until_s:
            raise StoreUnavailableError("The store does not answer; trying again.")
        try:
            client = self._borrow(patience_s)
            yield client
        except TransientError as error:
            self._leave_alone(began_s)
            raise StoreUnavailableError("The store does not answer yet; trying again.") from error
        except UserError as error:
            if getattr(error.__cause__, "code", None) == _UNKNOWN_DATABASE:
                raise StoreUnavailableError(_NO_TABLES) from error
            raise StoreUnavailableError(f"The store refuses us: {error}") from error
        except (ClickHouseError, OSError) as error:
            if isinstance(error, DatabaseError) and not _is_away(error):
                log.warning("store_query_failed", code=error.code, detail=str(error)[:400])
                raise StoreUnavailableError(_explain(error, client)) from error
            log.warning("store_away", detail=str(error)[:200])
            self._leave_alone(began_s)
            raise StoreUnavailableError("The store does not answer; trying again.") from error
        try:
            self._idle[patience_s].put_nowait(client)
        except Full:
            client.close()

    def _leave_alone(self, began_s: float) -> None:
        """What failed at once is asked again at once: the store may be back."""
        failed_s = self._clock()
        if failed_s - began_s > _HUNG_S:
            self._left_alone_until_s = failed_s + _LEFT_ALONE_S

    def _borrow(self, patience_s: int) -> Client:
        try:
            return self._idle[patience_s].get_nowait()
        except Empty:
            return connect(self._settings, client_name="dashboard", role="read", silence_s=patience_s)


def _bind(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Instants travel as UTC text, so that neither side's time zone has a say."""
    return {
        name: value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f") if isinstance(value, datetime) else value
        for name, value in parameters.items()
    }


def _array(column: Sequence[Any]) -> NDArray[Any]:
    return np.asarray(column, dtype=object if len(column) and isinstance(column[0], str) else None)


def _plain(dtype: str) -> str:
    """numpy's word for pandas' dtype: an instant without its zone."""
    return dtype.removesuffix(", UTC]") + "]" if dtype.startswith("datetime64") else dtype


def _values(values: Sequence[Any], kind: ClickHouseType, dtype: str) -> NDArray[Any]:
    """A column of an answer as numpy's form of pandas' dtype."""
    if dtype.startswith("datetime64"):
        return np.array(values, f"datetime64[{_UNITS[getattr(kind, 'scale', 0)]}]").astype(_plain(dtype))
    if dtype == "object":
        return np.fromiter(values, object, len(values))  # lists stay lists: np.array would make a table of them
    return np.array(values, dtype)


def _series(values: NDArray[Any], dtype: str) -> pd.Series | pd.DatetimeIndex:
    if dtype.startswith("datetime64"):
        return pd.DatetimeIndex(values).tz_localize("UTC")
    return pd.Series(values, dtype=dtype, copy=False)


_UNKNOWN_DATABASE = 81
_NAMES_UNKNOWN = (16, 46, 47, 60)
"""Of a column, a view with parameters, a name inside a query, a table."""
_NO_TABLES = "The store has no tables yet; they come with the first start of the pipeline."
_TABLES = "SELECT count() FROM system.tables WHERE database = currentDatabase()"


def _is_away(error: DatabaseError) -> bool:
    """Whether nobody answered: the driver says so by an error of operation, to which the store has given no number."""
    return isinstance(error, OperationalError) and error.code is None


def _explain(error: DatabaseError, client: Client) -> str:
    if error.code == _UNKNOWN_DATABASE or (error.code in _NAMES_UNKNOWN and not _has_tables(client)):
        return _NO_TABLES
    if error.code in _NAMES_UNKNOWN:
        # Our questions name what the newest migration made. Which those are is the sinks' to know.
        return "The store's tables are of another version than this dashboard: run `movers migrate` to bring them up."
    return "The store could not answer this question; trying again."


def _has_tables(client: Client) -> bool:
    try:
        return bool(client.query(_TABLES).result_rows[0][0])
    except (ClickHouseError, OSError):
        return False

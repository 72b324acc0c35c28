"""The store as the sink sees it: inserts with a deduplication token, the fence, and the questions the sink asks.

Every call may raise `StoreAwayError` (try the same again later) or `UserError` (somebody must act). The caller repeats
a failed insert with the identical rows and token before anything else, so an answer that got lost doubles nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from clickhouse_connect.datatypes.base import ClickHouseType
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, DataError, OperationalError
from urllib3.exceptions import HTTPError

from kernel.clickhouse import connect
from kernel.errors import StoreAwayError, UserError
from kernel.kafka.readers import Place
from kernel.settings import ClickHouseSettings
from schemas.units import US_PER_S
from sinks.clickhouse.batch import Span
from sinks.clickhouse.columns import column_type
from sinks.clickhouse.fence import Fence
from sinks.clickhouse.pending import Pending
from sinks.clickhouse.rows import INGEST_OFFSETS, INGEST_PENDING, TABLES, Row, Table, as_columns

# ClickHouse error numbers that no waiting mends: unknown names, wrong types, syntax, rights, login.
_LASTING_CODES = frozenset({16, 46, 47, 53, 60, 62, 81, 115, 192, 193, 497, 516})

_INSERT_SETTINGS: Mapping[str, Any] = {
    # On by default since ClickHouse 26.2; we batch ourselves and want the answer to mean "stored".
    "async_insert": 0,
    # A replay of a long recording touches many days at once; the limit would refuse it for ever.
    "max_partitions_per_insert_block": 0,
}

WRITTEN = (*(table.name for table in TABLES), "alert_grades", "movers_cache")
"""All tables that the sink writes: rows of its own, and what it has the store work out."""

_HORIZON_US = 3_600 * US_PER_S
_PAIRS_PER_QUERY = 2_000

_COLUMN_TYPES = "SELECT table, name, type FROM system.columns WHERE database = currentDatabase()"
_FENCES = """
SELECT topic, partition, epoch, max(last_offset), argMax(leader_epoch, last_offset),
    toUnixTimestamp64Micro(argMax(stored_at, last_offset))
FROM ingest_offsets WHERE topic IN %(topics)s GROUP BY topic, partition, epoch
"""
_PENDINGS = """
SELECT owner, generation, argMax((number, ranges, skipped), number) FROM ingest_pending GROUP BY owner, generation
"""
# Known from the borders of the parts: nothing is read.
_NEWEST_TS = "SELECT toUnixTimestamp64Micro(max(ts)) FROM snapshots"
# ts alone selects days (partitions); only its hour, the first column of the order, selects within a day.
_NEWEST_TICKS = """
WITH fromUnixTimestamp64Micro(toInt64(%(floor)s), 'UTC') AS floor
SELECT token_id, toUnixTimestamp64Micro(max(ts)) FROM snapshots
WHERE ts >= floor AND toStartOfHour(ts) >= toStartOfHour(floor) GROUP BY token_id
"""
# The list of tokens selects granules within an hour.
_STORED_TICKS = """
WITH
    fromUnixTimestamp64Micro(toInt64(%(first)s), 'UTC') AS first,
    fromUnixTimestamp64Micro(toInt64(%(last)s), 'UTC') AS last
SELECT token_id, toUnixTimestamp64Micro(ts) FROM snapshots
WHERE ts >= first AND ts <= last AND toStartOfHour(ts) BETWEEN toStartOfHour(first) AND toStartOfHour(last)
  AND token_id IN %(tokens)s AND toUnixTimestamp64Micro(ts) IN %(times)s
"""
_OWN_INSERTS = "movers-sink "
# SYNC: they have stopped when it answers. The comment of a statement is what tells ours (a setting, as in any server).
_STOP_INSERTS = "KILL QUERY WHERE Settings['log_comment'] IN %(comments)s SYNC"


class NewestTicks(NamedTuple):
    """Newest stored venue time of each token, microseconds. Complete for tokens with a tick at or after `floor_us`."""

    by_token: dict[str, int]
    floor_us: int


class Store:
    """One client of the store; not thread-safe. Connects when first needed and anew after a failure."""

    def __init__(self, settings: ClickHouseSettings) -> None:
        self._settings = settings
        self._client: Client | None = None
        self._types: dict[tuple[str, str], ClickHouseType] = {}
        self.owner = ""
        """Whose inserts they are, so that a successor can stop them."""

    def close(self) -> None:
        """Closes the connection, if there is one."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def insert(self, table: Table, rows: Sequence[Row], token: str) -> None:
        """Stores rows; done when it returns. A table that keeps tokens stores no token twice."""
        with self._connected() as client:
            client.insert(
                table.name,
                as_columns(rows),
                table.columns,
                column_types=[self._types[table.name, column] for column in table.columns],
                column_oriented=True,
                settings={
                    **_INSERT_SETTINGS,
                    "insert_deduplication_token": token,
                    "log_comment": _OWN_INSERTS + self.owner,
                },
            )

    def command(self, sql: str, parameters: Mapping[str, Any]) -> None:
        """Runs a statement that answers nothing; `%(name)s` in it are bound."""
        with self._connected() as client:
            client.command(sql, parameters=dict(parameters), settings=dict(_INSERT_SETTINGS))

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Sequence[Sequence[Any]]:
        """Rows of a query; `%(name)s` in it are bound."""
        with self._connected() as client:
            return client.query(
                sql, parameters=dict(parameters or {}), settings={"max_query_size": 16 << 20}
            ).result_rows

    def fences(self, topics: Collection[str]) -> list[Fence]:
        """Up to where each partition of the topics is stored, once for each epoch it had."""
        return [Fence((topic, partition), *rest) for topic, partition, *rest in self.rows(_FENCES, {"topics": topics})]

    def store_fences(
        self, offsets: Mapping[Place, int], epochs: Mapping[Place, str], leader_epochs: Mapping[Place, int]
    ) -> None:
        """Records the highest stored offset of places. Only after all rows up to it are stored."""
        rows = [(*at, epochs[at], offset, leader_epochs.get(at, -1)) for at, offset in sorted(offsets.items())]
        self.insert(INGEST_OFFSETS, rows, token="")  # told twice it says the same

    def record(self, pending: Pending) -> None:
        """Records what is about to be inserted; the owner's earlier record goes."""
        ranges = [(*place, *span) for place, span in sorted(pending.spans.items())]
        row = (pending.owner, pending.generation, pending.number, ranges, sorted(pending.skipped))
        self.insert(INGEST_PENDING, [row], token="")

    def pendings(self) -> list[Pending]:
        """The newest record of every owner."""
        return [_pending(owner, generation, *newest) for owner, generation, newest in self.rows(_PENDINGS)]

    def stop_inserts(self, owners: Collection[str]) -> None:
        """Ends the inserts of other sinks that still run; returns when they have ended."""
        self.command(_STOP_INSERTS, {"comments": tuple(_OWN_INSERTS + owner for owner in owners)})

    def newest_ticks(self) -> NewestTicks:
        """What `SeenTicks` starts from: the newest tick of every token of the last hour of stored venue time."""
        newest_us = self.rows(_NEWEST_TS)[0][0]
        floor_us = max(0, newest_us - _HORIZON_US)
        return NewestTicks({token: ts for token, ts in self.rows(_NEWEST_TICKS, {"floor": floor_us})}, floor_us)  # noqa: C416

    def stored_ticks(self, ticks: Sequence[tuple[str, int]]) -> set[tuple[str, int]]:
        """Which of these (token, venue time in microseconds) are stored."""
        found: set[tuple[str, int]] = set()
        for start in range(0, len(ticks), _PAIRS_PER_QUERY):
            part = ticks[start : start + _PAIRS_PER_QUERY]
            times = sorted({ts for _, ts in part})
            bound = {"first": times[0], "last": times[-1], "tokens": tuple({t for t, _ in part}), "times": tuple(times)}
            found.update((token, ts) for token, ts in self.rows(_STORED_TICKS, bound))
        return found.intersection(ticks)

    @contextmanager
    def _connected(self) -> Iterator[Client]:
        try:
            if self._client is None:
                self._client = connect(self._settings, client_name="sink", role="write")
            if not self._types:
                self._types = self._column_types(self._client)
            yield self._client
        except DataError:
            raise  # a value the client cannot encode: a bug of ours, see checks.py
        except (OperationalError, HTTPError, OSError) as error:
            self.close()
            raise StoreAwayError(f"ClickHouse does not answer: {_first_line(error)}") from error
        except DatabaseError as error:
            if error.code in _LASTING_CODES:
                raise UserError(f"ClickHouse refuses: {_first_line(error)}") from error
            raise StoreAwayError(f"ClickHouse cannot now: {_first_line(error)}") from error

    def _column_types(self, client: Client) -> dict[tuple[str, str], ClickHouseType]:
        """The type of each (table, column), of a store that has all we write and lets us write it.

        Asked at the start: a role of an earlier version would else be refused hours later, at a new table's first row.
        """
        types = {(table, name): column_type(type_) for table, name, type_ in client.query(_COLUMN_TYPES).result_rows}
        for table in TABLES:
            missing = [column for column in table.columns if (table.name, column) not in types]
            if missing:
                raise UserError(f"ClickHouse has no {table.name}.{missing[0]}: run `movers migrate` first")
        for name in WRITTEN:
            if not client.command(f"CHECK GRANT INSERT ON {name}"):
                user, _ = self._settings.login("write")
                raise UserError(f"ClickHouse does not let {user} write {name}: run ops/clickhouse/roles.sql again")
        return types


def _pending(owner: str, generation: int, number: int, ranges: Any, skipped: Any) -> Pending:
    spans = {
        (topic, partition): Span(epoch, first, last) for topic, partition, epoch, first, last in map(_plain, ranges)
    }
    return Pending(owner, generation, number, spans, frozenset(_plain(pair) for pair in skipped))


def _plain(value: Any) -> tuple[Any, ...]:
    """A named tuple of the store: the client gives a dict."""
    return tuple(value.values()) if isinstance(value, dict) else tuple(value)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [repr(error)])[0][:300]

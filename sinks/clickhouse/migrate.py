"""Brings the store's tables up to date: numbered, forward-only SQL files, each applied once and never edited after.

ClickHouse has no transaction around DDL and no lock to take, so every statement is written to be repeatable
(`IF NOT EXISTS`): a file cut off half-way is run again from its start, and two processes that migrate at the same
time end with the same tables and one record a file.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from kernel.clickhouse import connect
from kernel.errors import UserError
from kernel.logs import get_logger
from kernel.settings import ClickHouseSettings

log = get_logger(__name__)

_FILE_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")

# Comments, strings and quoted names are stepped over whole, so that a semicolon inside them ends nothing.
_TOKEN = re.compile(
    r"""(?P<comment>--[^\n]*|\#[ !][^\n]*|/\*.*?\*/)
       |(?P<quoted>'(?:\\.|''|[^'\\])*'|"(?:\\.|""|[^"\\])*"|`(?:\\.|``|[^`\\])*`)
       |(?P<end>;)
       |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)

_CREATE_MIGRATIONS = """
CREATE TABLE IF NOT EXISTS schema_migrations
(
    number     UInt16,
    name       String,
    sha256     FixedString(64),
    applied_at DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = ReplacingMergeTree(applied_at)
ORDER BY number
"""

_RETENTION_DAYS = re.compile(r"\bTTL toDateTime\(ts_stored\) \+ toIntervalDay\((\d+)\)")

ALERTS_DAYS = 365
"""Days that alerts, their grades and what other markets said are kept; no setting changes them."""

_AFTER_END_DAYS = 7
"""Days for what is told of a market after its end: bars, the last word of an episode, a grade, a late result."""

_OF_MARKETS = ("markets", "market_tokens")


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: its number, its name without the number's folder, its text."""

    number: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """Fingerprint of the text, 64 hex digits."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrate(settings: ClickHouseSettings) -> list[str]:
    """Creates the database if missing, applies what is not applied yet, sets retention; returns the names applied.

    Safe to run again, and by several processes at once.

    Raises:
        TransientError: nothing answers at the store's address.
        UserError: a file was edited after it had been applied, the store is newer than this code, or a statement fails.
    """
    _create_database(settings)
    client = connect(settings, client_name="migrate", role="migrate")
    try:
        applied = apply(client, packaged_migrations())
        apply_retention(client, retention_days(settings))
    finally:
        client.close()
    return applied


def packaged_migrations() -> list[Migration]:
    """The files of this package, in order of their numbers."""
    folder = files("sinks.clickhouse").joinpath("migrations")
    return in_order(
        [(entry.name, entry.read_text("utf-8")) for entry in folder.iterdir() if entry.name.endswith(".sql")]
    )


def in_order(named_texts: Sequence[tuple[str, str]]) -> list[Migration]:
    """Migrations from (file name, text), by number.

    Raises:
        UserError: a name that is not `NNNN_words.sql`, or a number used twice.
    """
    found: dict[int, Migration] = {}
    for name, text in sorted(named_texts):
        match = _FILE_NAME.fullmatch(name)
        if match is None:
            raise UserError(f"migration {name}: the name must look like 0007_what_it_does.sql")
        number = int(match[1])
        if number in found:
            raise UserError(f"migrations {found[number].name} and {name} have the same number")
        found[number] = Migration(number, name, text)
    return [found[number] for number in sorted(found)]


def apply(client: Client, migrations: Sequence[Migration]) -> list[str]:
    """Applies, in order, what `schema_migrations` does not list; returns the names. Raises as `migrate` does."""
    client.command(_CREATE_MIGRATIONS)
    recorded = _recorded(client)
    _refuse_edited(migrations, recorded)
    todo = [migration for migration in migrations if migration.number not in recorded]
    for migration in todo:
        for statement in statements(migration.sql):
            _run(client, migration, statement)
        row = [migration.number, migration.name, migration.sha256]
        # Two processes may both get here; the second record replaces the first.
        client.insert("schema_migrations", [row], ["number", "name", "sha256"], settings={"async_insert": 0})
        log.info("migration_applied", name=migration.name)
    return [migration.name for migration in todo]


def statements(sql: str) -> Iterator[str]:
    """The statements of a file, without comments; semicolons inside strings, quoted names and comments end nothing."""
    parts: list[str] = []
    for token in _TOKEN.finditer(sql):
        if token.lastgroup == "comment":
            parts.append(" ")
        elif token.lastgroup != "end":
            parts.append(token[0])
        elif statement := "".join(parts).strip():
            yield statement
            parts.clear()
    if statement := "".join(parts).strip():
        yield statement


def retention_days(settings: ClickHouseSettings) -> dict[str, int]:
    """Days that tables keep their rows, counted from when they were stored. Of a market and its outcomes, once it has
    ended: as long as any row is kept that speaks of it, so that whatever is kept has its name."""
    days = {
        "snapshots": settings.snapshots_retention_days,
        "ohlcv_1m": settings.bars_retention_days,
        "movers_cache": settings.movers_cache_retention_days,
        "alerts": ALERTS_DAYS,
        "alert_grades": ALERTS_DAYS,
        "alert_corroboration": ALERTS_DAYS,
    }
    return days | dict.fromkeys(_OF_MARKETS, max(days.values()) + _AFTER_END_DAYS)


def apply_retention(client: Client, days: Mapping[str, int]) -> list[str]:
    """Changes the TTL of tables (name → days) where it differs; returns their names."""
    definitions = "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase()"
    current = {name: _RETENTION_DAYS.search(query) for name, query in client.query(definitions).result_rows}
    changed = []
    for table, wanted in days.items():
        match = current.get(table)
        if match is not None and int(match[1]) == wanted:
            continue
        which = "DELETE WHERE status IN ('closed', 'settled')" if table in _OF_MARKETS else "DELETE"
        client.command(f"ALTER TABLE {table} MODIFY TTL toDateTime(ts_stored) + INTERVAL {wanted} DAY {which}")
        changed.append(table)
        log.info("retention_changed", table=table, days=wanted, days_before=int(match[1]) if match else None)
    return changed


def _create_database(settings: ClickHouseSettings) -> None:
    client = connect(settings, client_name="migrate", role="migrate", database="default")
    try:
        # Atomic: tables are created and renamed in one step, also by two processes at once.
        client.command(f"CREATE DATABASE IF NOT EXISTS {settings.clickhouse_database} ENGINE = Atomic")
    finally:
        client.close()


def _recorded(client: Client) -> dict[int, tuple[str, str]]:
    rows = client.query("SELECT number, name, toString(sha256) FROM schema_migrations FINAL").result_rows
    return {number: (name, sha256) for number, name, sha256 in rows}


def _refuse_edited(migrations: Sequence[Migration], recorded: Mapping[int, tuple[str, str]]) -> None:
    by_number = {migration.number: migration for migration in migrations}
    for number, (name, sha256) in sorted(recorded.items()):
        migration = by_number.get(number)
        if migration is None:
            raise UserError(f"the store has migration {name}, which this version does not know: update the code")
        if migration.sha256 != sha256:
            raise UserError(f"migration {migration.name} was edited after it had been applied: add a new file instead")


def _run(client: Client, migration: Migration, statement: str) -> None:
    try:
        client.command(statement)
    except DatabaseError as error:
        raise UserError(f"migration {migration.name} fails: {str(error).splitlines()[0]}") from error

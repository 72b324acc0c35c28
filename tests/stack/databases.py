"""Databases for tests: the tables of one that was migrated, made again without applying each migration again."""

from __future__ import annotations

from kernel.clickhouse import connect
from kernel.settings import ClickHouseSettings


def copy_tables(of: ClickHouseSettings, to: ClickHouseSettings) -> None:
    """Makes a database as another one is: tables, views and the record of migrations, no rows. A seventh of the time
    that 28 migrations take."""
    there, here = of.clickhouse_database, to.clickhouse_database
    client = connect(of, client_name="test", role="migrate")
    try:
        definitions = client.query(
            "SELECT create_table_query FROM system.tables WHERE database = currentDatabase() ORDER BY engine = 'View'"
        ).result_rows
        client.command(f"CREATE DATABASE {here} ENGINE = Atomic")
        for (definition,) in definitions:
            client.command(definition.replace(there, here))
        client.command(f"INSERT INTO {here}.schema_migrations SELECT * FROM {there}.schema_migrations")
    finally:
        client.close()


def drop(settings: ClickHouseSettings) -> None:
    """Removes a database with all that is in it."""
    client = connect(settings, client_name="test", role="migrate", database="default")
    try:
        client.command(f"DROP DATABASE IF EXISTS {settings.clickhouse_database}")
    finally:
        client.close()

"""The roles of the store: SQL that the engine reads, and grants for exactly what the code writes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from clickhouse_connect.driver.httpclient import HttpClient

from kernel.clickhouse import connect
from kernel.errors import UserError
from kernel.settings import ClickHouseSettings
from sinks.clickhouse.migrate import packaged_migrations, statements
from sinks.clickhouse.store import WRITTEN, Store

WRITTEN_BY_READERS = {"alert_acks"}
WRITTEN_BY_MIGRATE = {"schema_migrations"}
WRITTEN_BY_COMMANDS = {"market_pairs"}


@pytest.fixture(scope="module")
def roles(repo_dir: Path) -> list[str]:
    return list(statements((repo_dir / "ops" / "clickhouse" / "roles.sql").read_text("utf-8")))


def may_insert(roles: list[str], role: str) -> set[str]:
    found = (re.fullmatch(rf"GRANT INSERT ON movers\.(\w+) TO {role}", statement) for statement in roles)
    return {match[1] for match in found if match is not None}


def test_the_engine_reads_each_statement(empty_database: ClickHouseSettings, roles: list[str]) -> None:
    with connect(empty_database, client_name="test", role="read", database="default") as client:
        for statement in roles:
            assert client.query(f"EXPLAIN AST {statement}").result_rows, statement


def test_every_table_has_one_role_that_writes_it(roles: list[str]) -> None:
    made = {
        match[1]
        for migration in packaged_migrations()
        for match in re.finditer(r"CREATE TABLE IF NOT EXISTS (\w+)", migration.sql)
    }

    assert may_insert(roles, "movers_write") == made - WRITTEN_BY_READERS - WRITTEN_BY_MIGRATE
    assert may_insert(roles, "movers_read") == WRITTEN_BY_READERS


def test_who_reads_may_neither_change_nor_drop_anything(roles: list[str]) -> None:
    granted = [statement for statement in roles if statement.endswith("movers_read") and statement.startswith("GRANT")]

    assert granted == ["GRANT SELECT ON movers.* TO movers_read", "GRANT INSERT ON movers.alert_acks TO movers_read"]
    assert not [statement for statement in roles if "DROP" in statement]


def test_the_sink_asks_for_the_right_to_each_table_that_its_role_may_write(roles: list[str]) -> None:
    assert set(WRITTEN) == may_insert(roles, "movers_write") - WRITTEN_BY_COMMANDS


def test_roles_of_an_earlier_version_are_told_before_anything_is_stored(
    database: ClickHouseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine here knows no roles, so what it would answer after an upgrade is put into its mouth."""
    command = HttpClient.command
    answers = {"CHECK GRANT INSERT ON alert_corroboration": 0}
    monkeypatch.setattr(
        HttpClient,
        "command",
        lambda self, cmd, *args, **kwargs: answers[cmd] if cmd in answers else command(self, cmd, *args, **kwargs),
    )
    store = Store(database)

    for _ in range(2):
        with pytest.raises(UserError, match=r"write alert_corroboration: run ops/clickhouse/roles\.sql again"):
            store.rows("SELECT 1")

    answers.clear()
    assert [tuple(row) for row in store.rows("SELECT 1")] == [(1,)]
    store.close()

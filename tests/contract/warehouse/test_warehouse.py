"""What we rely on of a ClickHouse, asked of any."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from kernel.clickhouse import connect
from kernel.settings import ClickHouseSettings
from sinks.clickhouse.migrate import migrate

pytestmark = pytest.mark.stack

NOW = datetime(2026, 11, 24, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
def database(store: ClickHouseSettings) -> Iterator[ClickHouseSettings]:
    """Settings with a database of the test's own, dropped afterwards."""
    own = store.model_copy(update={"clickhouse_database": f"contract_{uuid4().hex}"})
    migrate(own)
    yield own
    client = connect(own, client_name="contract", role="migrate")
    client.command(f"DROP DATABASE IF EXISTS {own.clickhouse_database}")
    client.close()


@pytest.fixture
def client(database: ClickHouseSettings) -> Iterator[Client]:
    client = connect(database, client_name="contract", role="migrate")
    yield client
    client.close()


def count(client: Client, table: str) -> int:
    return int(client.query(f"SELECT count() FROM {table}").result_rows[0][0])


def test_migrations_apply_once(database: ClickHouseSettings) -> None:
    assert migrate(database) == []


def test_a_block_with_a_known_token_is_stored_once(client: Client) -> None:
    client.command(
        "CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 100"
    )
    settings = {"insert_deduplication_token": "first to last", "async_insert": 0}

    for _ in range(2):
        client.insert("t", [[1], [2]], ["n"], settings=settings)

    assert count(client, "t") == 2


def test_an_insert_that_breaks_a_constraint_is_an_error_and_stores_nothing(client: Client) -> None:
    client.command("CREATE TABLE t (n UInt64, CONSTRAINT small CHECK n < 10) ENGINE = MergeTree ORDER BY n")

    with pytest.raises(DatabaseError, match="small"):
        client.insert("t", [[1], [100]], ["n"])

    assert count(client, "t") == 0


def test_the_types_of_our_tables_come_back_as_they_went_in(client: Client) -> None:
    client.command(
        "CREATE TABLE t (ts DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)), price Nullable(Decimal(9, 6)), "
        "venue LowCardinality(String), flags Array(LowCardinality(String)), id FixedString(24), usd Nullable(Float64)) "
        "ENGINE = MergeTree ORDER BY ts"
    )
    row = (NOW, Decimal("0.123456"), "kalshi", ["crossed", "wide"], b"a" * 24, None)

    client.insert("t", [row], ["ts", "price", "venue", "flags", "id", "usd"])

    (got,) = client.query("SELECT ts, price, venue, flags, id, usd FROM t").result_rows
    assert (got[0].replace(tzinfo=UTC), *got[1:]) == row  # the client tells UTC without saying so


def test_a_replacing_table_read_with_final_shows_the_newest(client: Client) -> None:
    client.command("CREATE TABLE t (k String, v UInt64) ENGINE = ReplacingMergeTree(v) ORDER BY k")

    for value in (1, 3, 2):
        client.insert("t", [["a", value]], ["k", "v"])

    assert client.query("SELECT v FROM t FINAL").result_rows == [(3,)]


def test_bound_parameters_are_values_and_never_words_of_the_statement(client: Client) -> None:
    attack = "x'; DROP TABLE t; --"
    client.command("CREATE TABLE t (k String) ENGINE = MergeTree ORDER BY k")
    client.insert("t", [[attack]], ["k"])

    found = client.query("SELECT k FROM t WHERE k = {k:String}", parameters={"k": attack}).result_rows

    assert found == [(attack,)]


def test_rows_past_their_ttl_are_deleted(client: Client) -> None:
    client.command("CREATE TABLE t (at DateTime, n UInt64) ENGINE = MergeTree ORDER BY n TTL at + INTERVAL 1 DAY")
    client.insert("t", [[datetime(2020, 1, 1, tzinfo=UTC), 1], [datetime.now(tz=UTC), 2]], ["at", "n"])

    client.command("OPTIMIZE TABLE t FINAL")

    assert client.query("SELECT n FROM t").result_rows == [(2,)]


def test_a_query_that_does_not_run_can_be_killed_all_the_same(client: Client) -> None:
    client.command("KILL QUERY WHERE query_id = 'nobody' SYNC")

    assert count(client, "system.one") == 1

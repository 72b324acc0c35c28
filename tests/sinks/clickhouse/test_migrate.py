from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from clickhouse_connect.driver.client import Client

from kernel.clickhouse import connect
from kernel.errors import TransientError, UserError
from kernel.settings import LONGEST_DAYS, ClickHouseSettings
from sinks.clickhouse.migrate import (
    Migration,
    apply,
    in_order,
    migrate,
    packaged_migrations,
    retention_days,
    statements,
)
from tests.stack.databases import drop

_REPEATABLE = (
    *("IF NOT EXISTS", "IF EXISTS", "OR REPLACE", "MODIFY SETTING", "MODIFY TTL", "MODIFY COLUMN"),
    "MATERIALIZE INDEX",  # works out again what is there
)


@pytest.fixture
def client(empty_database: ClickHouseSettings) -> Iterator[Client]:
    with connect(empty_database, client_name="test", role="migrate", database="default") as default:
        default.command(f"CREATE DATABASE {empty_database.clickhouse_database} ENGINE = Atomic")
    with connect(empty_database, client_name="test", role="migrate") as client:
        yield client


@pytest.mark.stack
def test_a_second_run_applies_nothing_and_changes_nothing(empty_database: ClickHouseSettings) -> None:
    first = migrate(empty_database)

    assert first == [migration.name for migration in packaged_migrations()]
    before = _definitions(empty_database)
    assert migrate(empty_database) == []
    assert _definitions(empty_database) == before


@pytest.mark.stack
def test_what_tests_copy_is_what_migrations_make(
    empty_database: ClickHouseSettings, database: ClickHouseSettings
) -> None:
    made = empty_database.model_copy(update={"clickhouse_database": f"{empty_database.clickhouse_database}_made"})
    migrate(made)

    assert _definitions(database) == _definitions(made)
    assert migrate(database) == []
    drop(made)


KEPT = {
    "ingest_offsets": "a row for each partition",
    "market_pairs": "what a person has confirmed",
    "schema_migrations": "a row for each file",
}
"""Tables that keep all they were told, and why."""


@pytest.mark.stack
def test_every_table_but_the_small_ones_lets_go_of_what_is_old(database: ClickHouseSettings) -> None:
    with connect(database, client_name="test", role="migrate") as client:
        made = "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase()"
        tables = client.query(f"{made} AND engine LIKE '%MergeTree'").result_rows

    assert {name for name, made in tables if " TTL " not in made} == KEPT.keys()


@pytest.mark.stack
def test_a_row_that_retention_takes_alone_has_met_the_row_that_it_replaced(database: ClickHouseSettings) -> None:
    """Else the older one, of a market that was open, is what is left: it is merged with it within days."""
    with connect(database, client_name="test", role="migrate") as client:
        made = "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase()"
        tables = client.query(f"{made} AND create_table_query LIKE '% TTL %WHERE status IN%'").result_rows

    assert {name for name, _ in tables} == {"markets", "market_tokens"}
    for _, definition in tables:
        merged = re.search(r"min_age_to_force_merge_seconds = (\d+)", definition)
        assert merged is not None
        assert int(merged[1]) <= 7 * 86_400


@pytest.mark.stack
def test_several_at_once_end_with_one_record_per_file(empty_database: ClickHouseSettings) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: migrate(empty_database), range(4)))

    with connect(empty_database, client_name="test", role="migrate") as client:
        names = [row[0] for row in client.query("SELECT name FROM schema_migrations FINAL ORDER BY number").result_rows]
    assert names == [migration.name for migration in packaged_migrations()]


@pytest.mark.stack
def test_an_applied_file_that_was_edited_is_refused(client: Client) -> None:
    sql = "CREATE TABLE IF NOT EXISTS a (x UInt8) ENGINE = Memory"
    apply(client, [Migration(1, "0001_a.sql", sql)])

    with pytest.raises(UserError, match=r"0001_a\.sql was edited after it had been applied") as refusal:
        apply(client, [Migration(1, "0001_a.sql", sql + " -- a word more")])

    assert "\n" not in str(refusal.value)


@pytest.mark.stack
def test_a_store_newer_than_the_code_is_refused(client: Client) -> None:
    apply(client, [Migration(7, "0007_later.sql", "CREATE TABLE IF NOT EXISTS a (x UInt8) ENGINE = Memory")])

    with pytest.raises(UserError, match=r"0007_later\.sql, which this version does not know"):
        apply(client, [])


@pytest.mark.stack
def test_a_file_cut_off_half_way_is_completed_by_the_next_run(client: Client) -> None:
    good = "CREATE TABLE IF NOT EXISTS a (x UInt8) ENGINE = Memory;"
    with pytest.raises(UserError, match=r"migration 0001_a\.sql fails: "):
        apply(client, [Migration(1, "0001_a.sql", good + "CREATE TABLE b (x NoSuchType) ENGINE = Memory;")])

    fixed = good + "CREATE TABLE IF NOT EXISTS b (x UInt8) ENGINE = Memory;"
    assert apply(client, [Migration(1, "0001_a.sql", fixed)]) == ["0001_a.sql"]
    assert client.query("SELECT count() FROM b").result_rows == [(0,)]


@pytest.mark.stack
def test_a_store_of_an_earlier_version_goes_forward_with_its_rows(client: Client) -> None:
    """Made by migrations 1 to 6 and filled, then migrated: the same board, and ticks with what is new."""
    apply(client, [migration for migration in packaged_migrations() if migration.number <= 6])
    client.command(
        "INSERT INTO movers_latest (window, token_id, market_id, venue, ts, price_now, price_then, move_pp,"
        " abs_move_pp, score, coverage_s, market_status, volume_24h_usd, spread)"
        " SELECT '1h', toString(number), concat('M', toString(number)), 'kalshi', now64(6), 0.5, 0.4, 10, 10, number,"
        " 3600, 'open', 50000, 0.01 FROM numbers(5)"
    )
    client.command(
        "INSERT INTO snapshots (ts, token_id, market_id, venue, bid, ask, bid_size_contracts, ask_size_contracts,"
        " event_id, ts_received) SELECT now64(6) AS ts, 'T', 'M', 'kalshi', 0.4, 0.5, 100, 10, repeat('a', 24),"
        " ts + INTERVAL 250 MILLISECOND"
    )
    client.command("INSERT INTO market_tokens (token_id, market_id, outcome) VALUES ('KALSHI:X', 'M', 'Yes')")

    apply(client, packaged_migrations())

    board = "SELECT token_id, window_s FROM board_rows(as_of = NULL, windows = ['1h']) ORDER BY score DESC"
    assert client.query(board).result_rows == [(str(number), 3600) for number in (4, 3, 2, 1, 0)]
    row = client.query("SELECT market_id, round(source_latency_ms), liquidity FROM snapshots").result_rows
    assert row == [("M", 250, pytest.approx(45))]
    assert client.query("SELECT source_token_id FROM market_tokens").result_rows == [("X",)]


@pytest.mark.stack
def test_ticks_that_were_stored_before_they_were_packed_smaller_stay_as_they_are(client: Client) -> None:
    """Volumes to the last bit, stamps to the microsecond, found by token, also merged with what is stored since."""
    apply(client, [migration for migration in packaged_migrations() if migration.number < 20])
    fill = (
        "INSERT INTO snapshots (ts, token_id, market_id, venue, price, bid, ask, last, spread, volume_24h_usd,"
        " volume_total_usd, volume_total_contracts, ts_received, ts_stored)"
        " SELECT toDateTime64('2026-11-30 08:00:00', 6, 'UTC') + INTERVAL intHash64(n) % 3600000000 MICROSECOND AS ts,"
        " concat('T', toString(n % 700)), 'M', 'kalshi', if(n % 3, NULL, 0.123456), 0.4, if(n % 5, 0.5, NULL), 0.4,"
        " 0.1, n / 7, 1e15 / (n + 1), if(n % 2, NULL, n / 3), ts + INTERVAL n MICROSECOND, ts + INTERVAL 2 SECOND"
        " FROM (SELECT number + {first} AS n FROM numbers(9000))"
    )
    everything = "SELECT * FROM snapshots WHERE volume_24h_usd < 9000 / 7 ORDER BY token_id, ts"
    one = "SELECT count() FROM snapshots WHERE token_id = 'T77'"
    client.command(fill.format(first=0))
    before, of_one = client.query(everything).result_rows, client.query(one).result_rows

    apply(client, packaged_migrations())

    assert client.query(everything).result_rows == before
    assert client.query(one).result_rows == of_one
    client.command(fill.format(first=9000))
    client.command("OPTIMIZE TABLE snapshots FINAL")
    assert client.query(everything).result_rows == before
    assert client.query("SELECT count() FROM snapshots").result_rows == [(18_000,)]


@pytest.mark.stack
def test_retention_deletes_what_ended_and_keeps_what_lives(database: ClickHouseSettings) -> None:
    with connect(database, client_name="test", role="migrate") as client:
        client.command(
            "INSERT INTO movers_latest (window, token_id, ts_stored) VALUES"
            " ('1h', 'ended', now() - INTERVAL 4 DAY), ('1h', 'lives', now() - INTERVAL 1 DAY)"
        )
        for table in ("markets", "market_tokens"):
            client.command(
                f"INSERT INTO {table} (market_id, status, ts_stored) VALUES"
                " ('ended', 'settled', now() - INTERVAL 373 DAY), ('lives', 'open', now() - INTERVAL 373 DAY),"
                " ('of a bar that is kept', 'settled', now() - INTERVAL 371 DAY)"
            )
        for table in ("movers_latest", "markets", "market_tokens"):
            client.command(f"OPTIMIZE TABLE {table} FINAL")

        assert client.query("SELECT token_id FROM movers_latest").result_rows == [("lives",)]
        for table in ("markets", "market_tokens"):
            left = client.query(f"SELECT market_id FROM {table} ORDER BY 1").result_rows
            assert left == [("lives",), ("of a bar that is kept",)]


@pytest.mark.stack
def test_markets_are_kept_as_long_as_the_longest_kept_table_that_speaks_of_them(database: ClickHouseSettings) -> None:
    migrate(database.model_copy(update={"snapshots_retention_days": 800}))

    definitions = _definitions(database)
    for table in ("markets", "market_tokens"):
        assert "toIntervalDay(807) WHERE status IN ('closed', 'settled')" in definitions[table]
    fixed = {name: days for name, days in retention_days(database).items() if name.startswith("alert")}
    assert fixed.keys() == {"alerts", "alert_grades", "alert_corroboration"}
    for table, days in fixed.items():
        assert f"TTL toDateTime(ts_stored) + toIntervalDay({days})" in definitions[table]


@pytest.mark.stack
def test_outcomes_of_an_earlier_version_stay_until_their_market_has_been_told_as_ended(client: Client) -> None:
    apply(client, [migration for migration in packaged_migrations() if migration.number < 24])
    client.command(
        "INSERT INTO market_tokens (token_id, market_id, outcome, outcome_index, ts_received)"
        " SELECT concat('T', toString(number)), toString(number), 'Yes', 0, now64(6) - INTERVAL 900 DAY FROM numbers(3)"
    )

    apply(client, packaged_migrations())

    client.command("SYSTEM STOP TTL MERGES market_tokens")  # a row that is a year old would be gone before it is merged
    client.command(
        "INSERT INTO market_tokens (token_id, market_id, outcome, outcome_index, status, ts_received, ts_stored) VALUES"
        " ('T1', '1', 'Yes', 0, 'settled', now64(6) - INTERVAL 400 DAY, now64(6) - INTERVAL 400 DAY)"
    )
    client.command("OPTIMIZE TABLE market_tokens FINAL")
    client.command("SYSTEM START TTL MERGES market_tokens")
    client.command("OPTIMIZE TABLE market_tokens FINAL")
    assert client.query("SELECT token_id FROM market_tokens FINAL ORDER BY 1").result_rows == [("T0",), ("T2",)]


@pytest.mark.stack
def test_retention_follows_the_settings_and_is_changed_only_when_different(database: ClickHouseSettings) -> None:
    shorter = database.model_copy(
        update={"snapshots_retention_days": 3, "bars_retention_days": 40, "movers_cache_retention_days": 5}
    )
    migrate(shorter)

    definitions = _definitions(database)
    for table, days in (("snapshots", 3), ("ohlcv_1m", 40), ("movers_cache", 5), ("markets", 372)):
        assert f"TTL toDateTime(ts_stored) + toIntervalDay({days})" in definitions[table]
    modified = _modified_at(database)
    migrate(shorter)
    assert _modified_at(database) == modified


@pytest.mark.stack
def test_rows_outlive_a_merge_at_the_longest_retention_that_can_be_set(database: ClickHouseSettings) -> None:
    longest = ("snapshots_retention_days", "bars_retention_days", "movers_cache_retention_days")
    migrate(database.model_copy(update=dict.fromkeys(longest, LONGEST_DAYS)))
    with connect(database, client_name="test", role="migrate") as client:
        client.command(
            "INSERT INTO market_tokens (token_id, market_id, outcome, outcome_index, status, ts_received)"
            " VALUES ('T', '1', 'Yes', 0, 'settled', now64(6))"
        )
        client.command("OPTIMIZE TABLE market_tokens FINAL")

        assert client.query("SELECT token_id FROM market_tokens").result_rows == [("T",)]


def test_two_files_with_one_number_are_refused() -> None:
    with pytest.raises(UserError, match=r"0002_a\.sql and 0002_b\.sql have the same number"):
        in_order([("0002_b.sql", ""), ("0002_a.sql", "")])


def test_a_file_whose_name_has_no_number_is_refused() -> None:
    with pytest.raises(UserError, match=r"migration fix\.sql"):
        in_order([("fix.sql", "")])


def test_packaged_files_are_numbered_from_one_upwards() -> None:
    numbers = [migration.number for migration in packaged_migrations()]

    assert numbers[0] == 1
    assert numbers == sorted(set(numbers))


def test_every_packaged_statement_can_be_repeated() -> None:
    for migration in packaged_migrations():
        for statement in statements(migration.sql):
            assert any(words in statement for words in _REPEATABLE), statement[:60]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("", []),
        (" ; ;\n", []),
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1;SELECT 2;", ["SELECT 1", "SELECT 2"]),
        ("SELECT ';--'; SELECT 2", ["SELECT ';--'", "SELECT 2"]),
        ("SELECT 'it''s; so'; SELECT 2", ["SELECT 'it''s; so'", "SELECT 2"]),
        (r"SELECT 'a\';b'; SELECT 2", [r"SELECT 'a\';b'", "SELECT 2"]),
        ('SELECT `a;b`, "c;d"', ['SELECT `a;b`, "c;d"']),
        ("-- no; statement\nSELECT 1 /* nor; here */ + 1", ["SELECT 1   + 1"]),
        ("# no; statement\nSELECT 1", ["SELECT 1"]),
    ],
)
def test_statements_end_only_at_their_own_semicolons(sql: str, expected: list[str]) -> None:
    assert list(statements(sql)) == expected


def test_a_store_that_does_not_answer_may_come_back() -> None:
    with pytest.raises(TransientError, match="does not answer"):
        migrate(ClickHouseSettings(clickhouse_port=1))


def _definitions(settings: ClickHouseSettings) -> dict[str, str]:
    sql = "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase()"
    with connect(settings, client_name="test", role="migrate") as client:
        found = client.query(sql).result_rows
    return {name: definition.replace(f"{settings.clickhouse_database}.", "") for name, definition in found}


def _modified_at(settings: ClickHouseSettings) -> list[object]:
    sql = "SELECT name, metadata_modification_time FROM system.tables WHERE database = currentDatabase() ORDER BY name"
    with connect(settings, client_name="test", role="migrate") as client:
        return list(client.query(sql).result_rows)

"""What the sink reads of the store when it takes partitions over: the last hour, however much is stored."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from clickhouse_connect.driver.client import Client

from kernel.clickhouse import connect
from kernel.settings import ClickHouseSettings
from schemas.units import US_PER_S
from sinks.clickhouse import store as questions
from sinks.clickhouse.store import Store

pytestmark = pytest.mark.stack

DAYS, ROWS_A_DAY, TOKENS = 4, 400_000, 500


@pytest.fixture
def client(database: ClickHouseSettings) -> Iterator[Client]:
    """A store of four days, a tick each 0.2 s."""
    with connect(database, client_name="test", role="migrate") as client:
        client.command(
            "INSERT INTO snapshots (ts, token_id, ts_received)"
            f" SELECT toDateTime64('2026-11-20 00:00:00', 6, 'UTC') + INTERVAL number * 216 MILLISECOND AS ts,"
            f" toString(number % {TOKENS}), ts FROM numbers({DAYS * ROWS_A_DAY})"
        )
        yield client


def test_the_newest_moment_is_known_without_reading_a_row_of_it(client: Client) -> None:
    answer = client.query(questions._NEWEST_TS)

    assert answer.result_rows[0][0] == _last_us(client)
    assert int(answer.summary["read_rows"]) < 1_000


def test_the_newest_ticks_are_found_in_the_last_hour(client: Client) -> None:
    floor_us = _last_us(client) - 3_600 * US_PER_S

    answer = client.query(questions._NEWEST_TICKS, parameters={"floor": floor_us})

    assert len(answer.result_rows) == TOKENS
    # Two started hours, in whole granules of 8,192 rows.
    assert int(answer.summary["read_rows"]) <= 2 * ROWS_A_DAY // 24 + 2 * 8_192


def test_late_ticks_are_looked_for_in_their_hour(client: Client) -> None:
    late_us = _last_us(client) - 30 * 3_600 * US_PER_S
    bound = {"first": late_us, "last": late_us + 1_000_000, "tokens": ("7",), "times": (late_us,)}

    answer = client.query(questions._STORED_TICKS, parameters=bound)

    assert int(answer.summary["read_rows"]) <= 2 * 8_192


def test_what_the_start_knows_is_complete_from_its_floor_on(client: Client, store: Store) -> None:
    newest = store.newest_ticks()

    assert max(newest.by_token.values()) - newest.floor_us == 3_600 * US_PER_S
    rows = client.query("SELECT token_id, toUnixTimestamp64Micro(max(ts)) FROM snapshots GROUP BY token_id").result_rows
    assert newest.by_token == {token: ts for token, ts in rows}  # noqa: C416


def _last_us(client: Client) -> int:
    return int(
        client.query("SELECT toUnixTimestamp64Micro(ts) FROM snapshots ORDER BY ts DESC LIMIT 1").result_rows[0][0]
    )

"""What a run's report says: quantiles read off a histogram, rows that the store can count."""

from __future__ import annotations

import clickhouse_connect
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.metrics import LAG_BUCKETS_S
from kernel.settings import Settings
from movers.report import quantile, rows_per_table
from tests.stack.ports import free_port
from tests.stack.processes import ServiceProcess

INF = float("inf")


def test_no_observation_has_no_quantile() -> None:
    assert quantile([], 0.5) is None
    assert quantile([(1.0, 0.0), (INF, 0.0)], 0.5) is None


def test_inside_a_bucket_it_is_linear() -> None:
    assert quantile([(1.0, 0.0), (2.0, 10.0), (INF, 10.0)], 0.5) == pytest.approx(1.5)


def test_beyond_the_last_bound_the_bound_is_said() -> None:
    assert quantile([(1.0, 1.0), (INF, 100.0)], 0.99) == 1.0


@given(st.lists(st.floats(0.0015, 50), min_size=1, max_size=300), st.sampled_from([0.5, 0.9, 0.99]))
def test_it_is_within_a_bucket_of_the_true_quantile(values: list[float], q: float) -> None:
    bounds = [*LAG_BUCKETS_S, INF]
    buckets = [(bound, float(sum(v <= bound for v in values))) for bound in bounds]
    true = sorted(values)[max(0, -(-int(q * len(values) * 1000) // 1000) - 1)]

    estimate = quantile(buckets, q)

    assert estimate is not None
    assert true / 1.21 <= estimate <= true * 1.21


def test_a_table_that_is_not_there_costs_the_report_no_other(warehouse: ServiceProcess) -> None:
    with clickhouse_connect.get_client(host="127.0.0.1", port=warehouse.port) as client:
        client.command("CREATE DATABASE half_made")
        client.command("CREATE TABLE half_made.markets ENGINE = Memory AS SELECT number FROM numbers(3)")

    rows = rows_per_table(Settings({"CLICKHOUSE_PORT": str(warehouse.port), "CLICKHOUSE_DATABASE": "half_made"}))

    assert rows == {"markets": 3}


def test_a_store_that_is_away_has_no_rows() -> None:
    assert rows_per_table(Settings({"CLICKHOUSE_PORT": str(free_port())})) == {}

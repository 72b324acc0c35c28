"""The one table of metrics keeps to its own rules: units in names, meanings, labels of small sets, fine buckets."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Histogram
from prometheus_client.metrics import MetricWrapperBase

from kernel import metrics
from kernel.metrics import LAG_BUCKETS_S

ALL = {name: value for name, value in vars(metrics).items() if isinstance(value, MetricWrapperBase)}

ENDLESS = {"market", "market_id", "token", "token_id", "event_id", "title", "offset", "url", "path", "detail"}
"""Labels of which each value would be a time series of its own, for ever."""


@pytest.mark.parametrize("metric", ALL.values(), ids=ALL.keys())
def test_a_metric_is_ours_by_name_and_says_what_it_means(metric: MetricWrapperBase) -> None:
    family = next(iter(metric.describe()))

    assert family.name.startswith("movers_")
    assert len(family.documentation.split()) >= 3
    assert not family.name.endswith("_total"), "the library adds it"


@pytest.mark.parametrize("metric", ALL.values(), ids=ALL.keys())
def test_no_label_grows_without_end(metric: MetricWrapperBase) -> None:
    assert not ENDLESS & set(metric._labelnames)


def test_a_name_tells_its_unit() -> None:
    """Seconds and bytes as Prometheus wants them; never milliseconds or microseconds."""
    names = {next(iter(metric.describe())).name for metric in ALL.values()}

    assert not {name for name in names if name.endswith(("_ms", "_us", "_s", "_mib", "_mb", "_milliseconds"))}
    assert {name for name in names if "lag" in name or "timestamp" in name or "gap_s" in name} <= {
        name for name in names if name.endswith("_seconds")
    }


def test_kinds_are_few() -> None:
    assert {next(iter(metric.describe())).type for metric in ALL.values()} == {"counter", "gauge", "histogram"}


def test_buckets_are_ascending_fine_and_reach_from_a_millisecond_past_a_minute() -> None:
    assert LAG_BUCKETS_S[0] == 0.001
    assert LAG_BUCKETS_S[-1] > 60
    assert all(1.19 <= after / before <= 1.21 for before, after in pairwise(LAG_BUCKETS_S))


@given(st.floats(0.001, 90))
def test_the_bound_above_a_lag_is_within_a_fifth_of_it(lag_s: float) -> None:
    above = next(bound for bound in LAG_BUCKETS_S if bound >= lag_s)

    assert above <= lag_s * 1.21


@given(st.lists(st.one_of(st.sampled_from((*LAG_BUCKETS_S, 0.0, -1.0)), st.floats(-1, 1e9))))
def test_lags_are_served_as_the_clients_own_histogram_would_be(values: list[float]) -> None:
    """To the bucket, on its edges, before the first and past the last; one by one and many at once."""
    own = Histogram("own", "the client's own", buckets=LAG_BUCKETS_S, registry=None)
    each, many = (metrics.Lags("ours", "ours", ["how"], buckets=LAG_BUCKETS_S, registry=None) for _ in range(2))
    one_by_one = each.labels("each")
    for value in values:
        own.observe(value)
        one_by_one.observe(value)
    many.labels("many").observe_all(values)

    assert _served(each) == pytest.approx(_served(own))
    assert _served(many) == pytest.approx(_served(own))


def _served(metric: Histogram) -> dict[str, float]:
    """Buckets by their edge, count and sum, in order."""
    samples = [sample for family in metric.collect() for sample in family.samples]
    told = [sample for sample in samples if not sample.name.endswith("_created")]
    return {sample.labels.get("le") or sample.name.rpartition("_")[2]: sample.value for sample in told}

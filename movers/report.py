"""The report of a run: what went through each stage, how late, what went wrong, what it cost."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from clickhouse_connect.driver.exceptions import ClickHouseError
from confluent_kafka import KafkaException
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from kernel.clickhouse import connect
from kernel.errors import MoversError, UserError
from kernel.kafka.readers import watermarks
from kernel.logs import get_logger
from kernel.settings import Settings
from processors.registry import PROCESSORS
from schemas.topics import ALERTS, CATALOGUE, DEAD_LETTERS

log = get_logger(__name__)

TABLES = (
    "markets",
    "market_tokens",
    "snapshots",
    "ohlcv_1m",
    "ohlcv_5m",
    "movers_latest",
    "movers_cache",
    "alerts",
    "feed_status",
    "ingest_offsets",
)
MAY_BE_EMPTY = {ALERTS.name, DEAD_LETTERS.name, "alerts"}
"""A calm tape makes no alert and a clean one no dead letter: their stages show in the processors' counters."""

STAGES = ("producer", *PROCESSORS, "store")

_ASK_AGAIN_S = 0.2


@dataclass(frozen=True, slots=True)
class Process:
    """A process to report on."""

    status: Mapping[str, Any]
    metrics_url: str | None


def quantile(buckets: Sequence[tuple[float, float]], q: float) -> float | None:
    """Value under which the share `q` of observations lies, from cumulative (upper bound, count) buckets, ascending.

    Linear inside a bucket, as Prometheus' `histogram_quantile` does. None without observations; infinity is reported as
    the last finite bound.
    """
    if not buckets or buckets[-1][1] == 0:
        return None
    rank = q * buckets[-1][1]
    lower, below = 0.0, 0.0
    for upper, count in buckets:
        if count >= rank:
            if upper == float("inf"):
                return lower
            inside = count - below
            return lower + (upper - lower) * ((rank - below) / inside if inside else 1.0)
        lower, below = upper, count
    return lower


def collect(settings: Settings, processes: Sequence[Process], extra: Mapping[str, Any]) -> dict[str, Any]:
    """Asks the broker, the store, the dashboard and each process; never raises for one that does not answer."""
    metrics = [family for process in processes for family in _scrape(process.metrics_url)]
    tables = rows_per_table(settings)  # before the topics: what is stored was published
    topics = {topic.name: _messages(settings, topic.name) for topic in CATALOGUE}
    handled = _sum_by(metrics, "movers_messages", "stage")
    dashboard_status = _dashboard_status(settings)
    report: dict[str, Any] = {
        "messages_per_topic": topics,
        "rows_per_table": tables,
        "messages_handled_per_stage": handled,
        "lag_s_per_stage": _lag(metrics),
        "bad_input": _sum_by(metrics, "movers_bad_input", "reason"),
        "dead_letters": topics[DEAD_LETTERS.name],
        "restarts": {p.status["name"]: p.status["restarts"] for p in processes},
        "peak_rss_mb": {p.status["name"]: p.status["peak_rss_mb"] for p in processes},
        "peak_rss_mb_total": round(sum(p.status["peak_rss_mb"] for p in processes), 1),
        "last_30_s": {**_last_30_s(settings), "cpu_pct": {p.status["name"]: p.status["cpu_pct"] for p in processes}},
        "cpu_s": {p.status["name"]: p.status["cpu_s"] for p in processes},
        "addresses": {p.status["name"]: p.status["address"] for p in processes if p.status["address"]},
        "dashboard_http_status": dashboard_status,
        **extra,
    }
    report["missing"] = _missing(topics, tables, handled, dashboard_status)
    report["ok"] = not report["missing"]
    return report


def write(report: Mapping[str, Any], path: Path) -> None:
    """Writes the report as JSON.

    Raises:
        UserError: the file cannot be written.
    """
    try:
        path.write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    except OSError as error:
        raise UserError(f"cannot write the report to {path}: {error.strerror}") from error


def _missing(
    topics: Mapping[str, int], tables: Mapping[str, int], handled: Mapping[str, float], dashboard_status: int
) -> list[str]:
    """What carried no data, in words; empty means every stage did."""
    missing = [f"topic {name} is empty" for name, n in topics.items() if n == 0 and name not in MAY_BE_EMPTY]
    missing += [f"table {name} is empty" for name in TABLES if not tables.get(name) and name not in MAY_BE_EMPTY]
    missing += [f"stage {stage} handled nothing" for stage in STAGES if not handled.get(stage)]
    if dashboard_status != httpx.codes.OK:
        missing.append(f"dashboard answered {dashboard_status}")
    return missing


def _scrape(url: str | None) -> Iterable[Metric]:
    if url is None:
        return ()
    try:
        answer = httpx.get(f"{url}/metrics", timeout=5, trust_env=False)
        return list(text_string_to_metric_families(answer.text))
    except httpx.HTTPError:
        return ()


def _sum_by(metrics: Iterable[Metric], name: str, label: str) -> dict[str, float]:
    sums: dict[str, float] = defaultdict(float)
    for family in metrics:
        for sample in family.samples:
            if sample.name == f"{name}_total":
                sums[sample.labels[label]] += sample.value
    return dict(sums)


def _lag(metrics: Iterable[Metric]) -> dict[str, dict[str, float | None]]:
    """p50 and p99 of `movers_lag_seconds` per stage, venues together."""
    per_stage: dict[str, dict[float, float]] = defaultdict(lambda: defaultdict(float))
    for family in metrics:
        for sample in family.samples:
            if sample.name == "movers_lag_seconds_bucket":
                per_stage[sample.labels["stage"]][float(sample.labels["le"])] += sample.value
    out: dict[str, dict[str, float | None]] = {}
    for stage, buckets in per_stage.items():
        ordered = sorted(buckets.items())
        out[stage] = {"p50": _rounded(quantile(ordered, 0.50)), "p99": _rounded(quantile(ordered, 0.99))}
    return out


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _messages(settings: Settings, topic: str) -> int:
    try:
        ends = watermarks(settings.kafka, topic)
    except (KafkaException, KeyError):
        return 0
    return sum(high - low for low, high in ends.values())


def rows_per_table(settings: Settings) -> dict[str, int]:
    """Rows of each table that the store can count now; none of one that is not there, or when the store is away."""
    counts = {}
    for table in TABLES:
        answer = _ask(settings, f"SELECT count() FROM {table}")  # noqa: S608  our names
        if answer is not None:
            counts[table] = int(answer[0][0])
    return counts


def _last_30_s(settings: Settings) -> dict[str, float | None]:
    """Steady state: ticks stored a second and the lag from received to stored, over the newest half minute stored."""
    sql = """
        SELECT count() / 30, quantilesExact(0.5, 0.99)(dateDiff('microsecond', ts_received, ts_stored) / 1e6)
        FROM snapshots WHERE ts_stored > (SELECT max(ts_stored) FROM snapshots) - INTERVAL 30 SECOND
    """
    answer = _ask(settings, sql)
    if answer is None:
        return {}
    rate, (p50, p99) = answer[0]
    return {"ticks_per_s": round(rate, 1), "store_lag_p50_s": _rounded(p50), "store_lag_p99_s": _rounded(p99)}


def _ask(settings: Settings, sql: str) -> Sequence[Sequence[Any]] | None:
    """Rows of a statement; None, told, when the store does not answer it."""
    try:
        client = connect(settings.clickhouse, client_name="report", role="read")
        try:
            return client.query(sql).result_rows
        finally:
            client.close()
    except (MoversError, ClickHouseError, OSError) as error:
        log.warning("report_without_answer", sql=" ".join(sql.split())[:80], detail=str(error)[:200])
        return None


def _dashboard_status(settings: Settings) -> int:
    """What the dashboard answers within five seconds; 0 when it does not."""
    url = f"http://{settings.process.dashboard_host}:{settings.process.dashboard_port}/"
    deadline_s = time.monotonic() + 5
    while True:
        try:
            return httpx.get(url, timeout=5, trust_env=False).status_code
        except httpx.HTTPError:
            if time.monotonic() > deadline_s:
                return 0
            time.sleep(_ASK_AGAIN_S)

"""Looks at this machine and at the running parts, and says what is wrong and what to do."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from kernel.clickhouse import connect
from kernel.errors import MoversError
from kernel.kafka import read_to_end, require_topics
from kernel.schema_registry import SchemaRegistry
from kernel.settings import Settings
from movers.local.broker.java import find_java
from producers.jobs import SAY_EVERY_S, STOPPED
from producers.shards import uncovered
from schemas.codec import Codec, schema_text
from schemas.events import FeedStatus
from schemas.topics import CATALOGUE, FEED_STATUS
from schemas.units import US_PER_S


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    subject: str
    ok: bool
    detail: str


def examine(settings: Settings) -> list[Finding]:
    """All findings, the machine first, then the running parts. Takes seconds where a part does not answer."""
    checks: list[tuple[str, Callable[[Settings], str]]] = [
        ("python", _python),
        ("java", lambda settings: f"{find_java(settings.process.java_home)}"),
        ("disk", _disk),
        ("kafka", _kafka),
        ("schema registry", _registry),
        ("clickhouse", _clickhouse),
        ("data", _freshness),
        ("collectors", _cover),
    ]
    return [_finding(subject, check, settings) for subject, check in checks]


def _finding(subject: str, check: Callable[[Settings], str], settings: Settings) -> Finding:
    try:
        return Finding(subject, ok=True, detail=check(settings))
    except Exception as error:  # a doctor reports whatever it meets
        return Finding(subject, ok=False, detail=" ".join(str(error).split())[:300] or repr(error))


def _python(_: Settings) -> str:
    if not (3, 11) <= sys.version_info < (3, 14):
        raise MoversError(f"Python {sys.version.split()[0]}; 3.11 to 3.13 is needed")
    return sys.version.split()[0]


def _disk(settings: Settings) -> str:
    home = settings.process.movers_home.absolute()
    existing = next(path for path in (home, *home.parents) if path.exists())
    free_gb = shutil.disk_usage(existing).free / 1e9
    if free_gb < 1:
        raise MoversError(f"{free_gb:.1f} GB free at {existing}; free at least 1 GB")
    return f"{free_gb:.0f} GB free at {existing}"


def _kafka(settings: Settings) -> str:
    require_topics(settings.kafka, CATALOGUE)
    return f"{settings.kafka.kafka_bootstrap_servers}: all {len(CATALOGUE)} topics exist"


def _registry(settings: Settings) -> str:
    registry = SchemaRegistry.of(settings.kafka)
    for topic in CATALOGUE:
        registry.id_of(topic.subject, schema_text(topic.subject_file))
    return f"{settings.kafka.schema_registry_url}: all subjects registered"


def _clickhouse(settings: Settings) -> str:
    client = connect(settings.clickhouse, client_name="doctor", role="read")
    applied = client.query("SELECT count() FROM schema_migrations").result_rows[0][0]
    return f"{settings.clickhouse.clickhouse_host}:{settings.clickhouse.clickhouse_port}: {applied} migrations applied"


def _freshness(settings: Settings) -> str:
    client = connect(settings.clickhouse, client_name="doctor", role="read")
    rows = client.query(
        "SELECT venue, toUnixTimestamp64Micro(max(ts_received)) FROM snapshots GROUP BY venue ORDER BY venue"
    ).result_rows
    if not rows:
        raise MoversError("no tick is stored yet; is a producer running?")
    ages = {venue: time.time() - newest / 1e6 for venue, newest in rows}
    text = ", ".join(f"{venue} {age:.0f} s ago" for venue, age in ages.items())
    if max(ages.values()) > 2 * settings.collector.collector_price_interval:
        raise MoversError(f"newest tick: {text}")
    return f"newest tick: {text}"


def _cover(settings: Settings) -> str:
    """Which parts of each venue are collected, and that they are all of it once."""
    codec = Codec(FEED_STATUS, SchemaRegistry.of(settings.kafka), FeedStatus)
    newest: dict[tuple[str, str], FeedStatus] = {}
    for message in read_to_end(settings.kafka, FEED_STATUS.name):
        status = codec.decode(message.value())
        before = newest.get((status.venue, status.shard))
        if before is None or before.ts_received_us <= status.ts_received_us:
            newest[status.venue, status.shard] = status
    now_us = time.time() * US_PER_S
    labels: dict[str, list[str]] = {}
    for (venue, shard), status in sorted(newest.items()):
        stopped = status.state == "disconnected" and status.detail.startswith(STOPPED)
        if not stopped and now_us - status.ts_received_us < 2.5 * SAY_EVERY_S * US_PER_S:
            labels.setdefault(venue, []).append(shard)
    if not labels:
        raise MoversError("no collector says that it runs; start one with `movers produce`")
    problems = [f"{venue}: {problem}" for venue, parts in labels.items() for problem in uncovered(parts)]
    if problems:
        raise MoversError("; ".join(problems))
    return ", ".join(f"{venue} ({', '.join(parts)})" for venue, parts in labels.items())

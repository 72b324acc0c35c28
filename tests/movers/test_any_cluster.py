"""Every process of ours through TLS and a login: to Kafka, to the schema registry and to the store.

Kafka is the real one, with a door of TLS and SASL; before registry and warehouse stands a door of TLS and basic
authorization. What is refused there is one clear line here.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pandas as pd
import pytest

from dashboard.toasts import AlertFeed
from kernel.clickhouse import connect
from kernel.kafka.readers import read_to_end
from kernel.schema_registry import SchemaRegistry
from kernel.settings import Settings
from movers.local.broker.node import LockedDoor
from schemas.codec import Codec
from schemas.events import Alert, Event, Move, Tick
from schemas.topics import ALERTS, MOVES, TICKS, Topic
from simulator.tape import write_tape
from tests.e2e.sources import SNAPSHOTS, Source, assert_stored_exactly_once, made, recorded
from tests.payloads import HAS_RECORDED
from tests.stack.certificates import Authority
from tests.stack.ports import free_port
from tests.stack.processes import KafkaProcess, MoversProcess, ServiceProcess, SimulatorProcess, child_environment
from tests.stack.tls_front import TlsFront
from tests.stack.waiting import wait_until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]

USER, PASSWORD = "movers", "canary-9f3e"
RULE = {
    "MIN_VOLUME_24H": "1000",
    "MIN_WINDOW_USD": "0",
    "MAX_SPREAD_PP": "5",
    # A tape waits for each sweep, and its moments lie further apart than a live venue's.
    "COLLECTOR_PRICE_INTERVAL": "600",
    "COLLECTOR_HOT_MARKETS": "0",
    "COLLECTOR_MIN_PAUSE_S": "0",
}
EventT = TypeVar("EventT", bound=Event)


@dataclass(frozen=True, slots=True)
class Cluster:
    """A locked cluster, the settings that open it, and doors with an expired certificate."""

    folder: Path
    settings: dict[str, str]
    other_ca: Path
    expired: dict[str, str]

    def command(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """A command of ours, as a user runs it."""
        return subprocess.run(
            [sys.executable, "-m", "movers", *arguments],
            cwd=self.folder,
            env=child_environment({**self.settings, **settings}),
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )


@pytest.fixture(scope="module")
def cluster(
    tmp_path_factory: pytest.TempPathFactory, registry: ServiceProcess, warehouse: ServiceProcess
) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    authority, stranger = Authority(folder, "ca"), Authority(folder, "stranger")
    good, expired = authority.issue("good"), authority.issue("expired", expired=True)
    doors = [LockedDoor(port=free_port(), keystore=store, users={USER: PASSWORD}) for store in (good, expired)]
    login = (USER, PASSWORD)
    with ExitStack() as until_end:
        node = KafkaProcess(folder / "a node", doors=doors)
        until_end.callback(node.stop)
        registry_door, old_registry_door, store_door, old_store_door = (
            until_end.enter_context(TlsFront(service.port, keystore, login))
            for service in (registry, warehouse)
            for keystore in (good, expired)
        )
        ca = str(authority.ca_file)
        yield Cluster(
            folder,
            settings={
                "MOVERS_HOME": str(folder / "home"),
                "STATE_DIR": str(folder / "state"),
                "SPILL_DIR": str(folder / "spill"),
                "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{doors[0].port}",
                "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
                "KAFKA_USERNAME": USER,
                "KAFKA_PASSWORD": PASSWORD,
                "KAFKA_CA_FILE": ca,
                "KAFKA_PARTITIONS": "2",
                "SCHEMA_REGISTRY_URL": f"https://127.0.0.1:{registry_door.port}",
                "SCHEMA_REGISTRY_USERNAME": USER,
                "SCHEMA_REGISTRY_PASSWORD": PASSWORD,
                "SCHEMA_REGISTRY_CA_FILE": ca,
                "CLICKHOUSE_PORT": str(store_door.port),
                "CLICKHOUSE_SECURE": "true",
                "CLICKHOUSE_CA_FILE": ca,
                "CLICKHOUSE_USER": USER,
                "CLICKHOUSE_PASSWORD": PASSWORD,
                "CLICKHOUSE_DATABASE": "locked",
            },
            other_ca=stranger.ca_file,
            expired={
                "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{doors[1].port}",
                "SCHEMA_REGISTRY_URL": f"https://127.0.0.1:{old_registry_door.port}",
                "CLICKHOUSE_PORT": str(old_store_door.port),
            },
        )


@pytest.fixture(scope="module")
def prepared(cluster: Cluster) -> Cluster:
    """With topics, schemas and tables, made through the doors."""
    for arguments in (("topics", "create"), ("schemas", "register"), ("migrate",)):
        done = cluster.command(*arguments)
        assert done.returncode == 0, done.stderr
    return cluster


@dataclass(frozen=True, slots=True)
class Run:
    """What a run through the locked doors left."""

    source: Source
    snapshots: pd.DataFrame
    titles: dict[str, str]
    published: list[Tick]
    moves: set[tuple[str, int]]
    told: set[str]
    stored_alerts: set[str]
    shown: list[str]


@pytest.fixture(scope="module")
def run(prepared: Cluster) -> Run:
    """The ledger's tape in lockstep; in its middle the processor and the sink are killed with -9 and come back."""
    folder = prepared.folder
    source = recorded(kalshi_moments=120, polymarket_moments=40) if HAS_RECORDED else made(100)
    write_tape(folder / "both.tape.gz", source.lines)
    with ExitStack() as until_end:
        venue = SimulatorProcess.start(folder / "venue.log", "--tape", str(folder / "both.tape.gz"), "--lockstep")
        until_end.callback(venue.terminate)
        settings = {**prepared.settings, **RULE, **venue.venue_settings()}
        running: dict[str, MoversProcess] = {}

        def start(name: str) -> None:
            command = name.split("-")
            own = {"SPILL_DIR": str(folder / name)}
            running[name] = MoversProcess.start(
                *command, log=folder / f"{name}.log", settings={**settings, **own}, cwd=folder
            )
            until_end.callback(running[name].terminate)

        def served() -> int:
            return int(venue.ask("status")["moments_served"]["kalshi"])

        for name in ("process-analytics", "sink-clickhouse", "produce-kalshi", "produce-polymarket"):
            start(name)
        wait_until(lambda: served() > source.kalshi_moments // 2, "half of the tape", 240)
        for name in ("process-analytics", "sink-clickhouse"):
            running[name].kill()
            start(name)
        wait_until(lambda: bool(venue.ask("status")["finished"]), "the end of the tape", 240)
        locked = Settings(settings)
        client = connect(locked.clickhouse, client_name="test", role="read")
        until_end.callback(client.close)
        registry = SchemaRegistry.of(locked.kafka)
        until_end.callback(registry.close)

        def events(topic: Topic, event: type[EventT]) -> list[EventT]:
            codec = Codec(topic, registry, event)
            return [codec.decode(message.value()) for message in read_to_end(locked.kafka, topic.name)]

        def alerts_stored() -> set[str]:
            rows = client.query("SELECT toString(event_id) FROM alerts FINAL").result_rows
            return {event_id for (event_id,) in rows}

        shown = len(source.kalshi) + len(source.polymarket)

        def stored() -> int:
            return int(client.query("SELECT uniqExact(token_id, ts) FROM snapshots").result_rows[0][0])

        wait_until(lambda: stored() >= shown, "all that the venues showed is stored", 240)
        published = {tick.event_id: tick for tick in events(TICKS, Tick)}
        priced = sum(tick.price_ppm is not None for tick in published.values())
        wait_until(lambda: len({move.event_id for move in events(MOVES, Move)}) >= priced, "every move is told", 240)
        told: set[str] = set()
        in_store: set[str] = set()

        def all_alerts_stored() -> bool:
            in_store.update(alerts_stored())  # asked first: what is told meanwhile is asked for again
            told.update(alert.event_id for alert in events(ALERTS, Alert))
            return bool(told) and in_store == told

        wait_until(all_alerts_stored, "every alert is stored", 240)
        feed = AlertFeed(locked.kafka)
        until_end.callback(feed.close)
        wait_until(lambda: feed.state == "live", "the dashboard follows the alerts")
        return Run(
            source,
            client.query_df(SNAPSHOTS),
            {
                str(market): str(title)
                for market, title in client.query("SELECT market_id, title FROM markets FINAL").result_rows
            },
            list(published.values()),
            {(move.token_id, move.ts_event_us) for move in events(MOVES, Move)},
            told,
            in_store,
            [prepared.command("config").stdout, *(process.said for process in running.values())],
        )


def test_through_locked_doors_every_market_and_moment_is_stored_exactly_once(run: Run) -> None:
    assert_stored_exactly_once(run.snapshots, run.titles, run.source)


def test_through_locked_doors_what_is_published_is_what_is_stored_and_computed(run: Run) -> None:
    published = {(tick.token_id, tick.ts_event_us) for tick in run.published}
    priced = {(tick.token_id, tick.ts_event_us) for tick in run.published if tick.price_ppm is not None}

    assert set(zip(run.snapshots["token_id"], run.snapshots["ts_us"], strict=True)) == published
    assert priced <= run.moves <= published
    assert run.told
    assert run.stored_alerts == run.told


def test_no_log_and_no_settings_page_shows_a_secret(run: Run) -> None:
    assert [text[:200] for text in run.shown if PASSWORD in text] == []


def test_plain_passwords_do_as_well(prepared: Cluster) -> None:
    done = prepared.command("topics", "create", KAFKA_SASL_MECHANISM="PLAIN")

    assert (done.returncode, done.stdout) == (0, "all topics exist\n"), done.stderr


COMMANDS: dict[str, list[tuple[str, ...]]] = {
    "kafka": [("produce", "kalshi"), ("process", "analytics"), ("sink", "clickhouse"), ("topics", "create")],
    "registry": [("produce", "kalshi"), ("process", "analytics"), ("schemas", "register")],
    "store": [("sink", "clickhouse"), ("migrate",), ("sql", "SELECT 1")],
}
WRONG_PASSWORD = {
    "kafka": {"KAFKA_PASSWORD": "canary-wrong"},
    "registry": {"SCHEMA_REGISTRY_PASSWORD": "canary-wrong"},
    "store": {"CLICKHOUSE_PASSWORD": "canary-wrong"},
}
CA = {"kafka": "KAFKA_CA_FILE", "registry": "SCHEMA_REGISTRY_CA_FILE", "store": "CLICKHOUSE_CA_FILE"}
ADDRESS = {"kafka": "KAFKA_BOOTSTRAP_SERVERS", "registry": "SCHEMA_REGISTRY_URL", "store": "CLICKHOUSE_PORT"}
EACH = [(part, command) for part, commands in COMMANDS.items() for command in commands]
each = pytest.mark.parametrize(("part", "command"), EACH, ids=[f"{part}-{' '.join(c)}" for part, c in EACH])


def assert_one_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1].lower()
    assert [word for word in words if word not in last] == [], last
    assert "canary" not in done.stderr


@each
def test_a_wrong_password_is_one_clear_line(prepared: Cluster, part: str, command: tuple[str, ...]) -> None:
    assert_one_line(
        prepared.command(*command, **WRONG_PASSWORD[part]), "authentication" if part != "registry" else "login"
    )


@each
def test_an_unknown_ca_is_one_clear_line(prepared: Cluster, part: str, command: tuple[str, ...]) -> None:
    assert_one_line(prepared.command(*command, **{CA[part]: str(prepared.other_ca)}), "certificate")


@each
def test_an_expired_certificate_is_one_clear_line(prepared: Cluster, part: str, command: tuple[str, ...]) -> None:
    done = prepared.command(*command, **{ADDRESS[part]: prepared.expired[ADDRESS[part]]})

    assert_one_line(done, "certificate", "expired")

"""The pipeline as processes of a test: Kafka and the store behind lines that can break, and a keeper that restarts."""

from __future__ import annotations

import contextlib
import resource
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException, Producer

from kernel.clickhouse import connect
from kernel.kafka.topics import create_topics
from kernel.schema_registry import SchemaRegistry
from kernel.settings import ClickHouseSettings
from movers.supervisor import CHECK_EVERY_S, STUCK_CHECKS
from processors.registry import PROCESSORS
from schemas.topics import CATALOGUE, TICKS, VENUES, Topic
from schemas.units import US_PER_S
from simulator.tape import Line, write_tape
from sinks.clickhouse.migrate import migrate
from tests.stack.cluster import KafkaCluster
from tests.stack.link import Link
from tests.stack.ports import free_port
from tests.stack.processes import KafkaProcess, MoversProcess, ServiceProcess, SimulatorProcess, kafka_at
from tests.stack.progress import computed, computed_ticks, not_stored
from tests.stack.stepped_clock import SteppedClock
from tests.stack.waiting import wait_until, wait_while_it_gets_on

PARTITIONS = 3
RULE = {"ALERT_THRESHOLD_PP": "6", "ALERT_COOLDOWN_S": "900", "MIN_VOLUME_24H": "1000", "MAX_SPREAD_PP": "5"}
_KEEPER_TURN_S = 0.3
_PAGE = 4096
_JUDGED_AFTER_US = 300 * US_PER_S
_PROBE = "probe"
"""A topic that nobody reads: whether Kafka can write."""


@dataclass(frozen=True, slots=True)
class Role:
    """A process of ours: its command, and the settings that only it gets."""

    name: str
    command: tuple[str, ...]
    settings: dict[str, str]
    port: int


class World:
    """Everything that runs. `close` ends it."""

    def __init__(
        self,
        folder: Path,
        lines: list[Line],
        *,
        disk: Path | None = None,
        pause_s: float = 0.05,
        cluster: KafkaCluster | None = None,
    ) -> None:
        """Starts what is not ours to test. With a `cluster`, Kafka is that, and there is no line before it. All data of
        all processes stand on `disk`, their logs in `folder`."""
        self.folder = folder
        self.lines = lines
        folder.mkdir(parents=True, exist_ok=True)
        self.disk = disk or folder
        tape = folder / "made.tape.gz"
        write_tape(tape, lines)
        kafka_port, self._store_port = free_port(), free_port()
        self.kafka_line, self.store_line = Link(kafka_port), Link(self._store_port)
        self.cluster = cluster
        if cluster is None:
            self.kafka = KafkaProcess(self.disk / "node", reached_at=self.kafka_line.port, port=kafka_port)
        self.registry = ServiceProcess.start("movers.local.registry.service", folder / "registry")
        self.store = self._start_store()
        self.venues = SimulatorProcess.start(folder / "venues.log", "--tape", str(tape), "--lockstep")
        self.restarts: Counter[str] = Counter()
        self.killed: Counter[str] = Counter()
        self.ends: list[str] = []
        """How each process of ours ended that nobody had killed."""
        self._starved: set[int] = set()
        self._stuck: set[int] = set()
        self._clocks: dict[str, SteppedClock] = {}
        self._roles = self._all_roles(pause_s)
        self._running: dict[str, MoversProcess] = {}
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._keepers = [threading.Thread(target=keep, daemon=True) for keep in (self._keep, self._end_stuck)]
        self._set_up()

    # ── the parts ────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def bootstrap(self) -> str:
        """Kafka, not through the line."""
        return self.kafka.bootstrap if self.cluster is None else self.cluster.bootstrap

    @property
    def names(self) -> list[str]:
        """Our processes."""
        return list(self._roles)

    def process(self, name: str) -> MoversProcess:
        """One of our processes as it runs now."""
        with self._lock:
            return self._running[name]

    def clickhouse(self) -> ClickHouseSettings:
        """The store, not through the line."""
        return ClickHouseSettings(clickhouse_port=self._store_port, clickhouse_database="movers")

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        client = connect(self.clickhouse(), client_name="audit", role="read")
        try:
            return [tuple(row) for row in client.query(sql).result_rows]
        finally:
            client.close()

    # ── a bad day's tools ────────────────────────────────────────────────────────────────────────────────────────────

    def kill(self, name: str) -> None:
        """kill -9 of one of our processes; the keeper starts it again."""
        with self._lock:
            self._running[name].kill()
            self.killed[name] += 1

    def kill_collector(self, venue: str) -> None:
        """kill -9 of a collector with empty hands: the venue stands still until what it shows is stored. What it then
        has in its memory the venue shows once more to its next life, as a venue that did not move would."""
        self.venues.ask("hold", {"hold": True, "venue": venue})
        wait_while_it_gets_on(
            lambda: self.venues.ask("status")["sweeps_of_moment"][venue] >= 2 and self._all_stored(venue),
            f"{venue} swept its moment twice and all of it is stored",
            self._place,
            ended=self.given_up,
        )
        self.kill(f"produce-{venue}")
        self.venues.ask("hold", {"hold": False, "venue": venue})

    def kill_kafka(self, away_s: float) -> None:
        """kill -9 of the broker; it comes back after `away_s`."""
        self.kafka.kill()
        self.killed["kafka"] += 1
        self._over.wait(away_s)
        self.kafka.restart()

    def kill_store(self, away_s: float) -> None:
        """kill -9 of the store; it comes back after `away_s`."""
        self.store.kill()
        self.killed["store"] += 1
        self._over.wait(away_s)
        self.store = self._start_store()

    def fill_disk(self, full_s: float) -> None:
        """Not a byte is free on the disk of all data for a while, and the sink says that it cannot work; then there is
        room again, and what ended of Kafka and the store is started, as a supervisor would."""
        ballast = self.disk / "ballast"
        began_s, told_s = time.monotonic(), float("inf")
        with ballast.open("ab", buffering=0) as file:
            while (full_for_s := time.monotonic() - began_s) < full_s:
                with contextlib.suppress(OSError):
                    file.write(bytes(max(_PAGE, shutil.disk_usage(self.disk).free)))
                if self.process("sink-clickhouse").health().get("ok") is False:
                    told_s = min(told_s, full_for_s)
                self._over.wait(_KEEPER_TURN_S)
        ballast.unlink()
        print(f"the sink said after {told_s:.1f} s of a full disk that it cannot work")
        assert told_s < full_s
        # A Kafka that could not write ends by itself, some moments later.
        wait_until(lambda: not self.kafka.running or self._kafka_writes(), "Kafka has ended or works again", 120)
        if not self.kafka.running:
            self.restarts["kafka"] += 1
            self.kafka.restart()
        if not self.store.running:
            self.restarts["store"] += 1
            self.store = self._start_store()

    def starve(self, name: str, seconds: float) -> None:
        """One of our processes gets not a page more than it has, for a while; whether it lives is its affair."""
        pid = self.process(name).pid
        self._starved.add(pid)
        usual = resource.prlimit(pid, resource.RLIMIT_AS)
        resource.prlimit(pid, resource.RLIMIT_AS, (1 << 20, usual[1]))
        self._over.wait(seconds)
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_AS, usual)

    def step_clock(self, name: str, step_s: int) -> None:
        """The wall clock of one of our processes goes so far from the machine's, from now on."""
        self._clocks[name].step(step_s)

    def add_replica(self, name: str) -> None:
        """A second process of a role, with state of its own, in the same group."""
        role = self._roles[name]
        own = {"STATE_DIR": str(self.folder / "state" / f"{name} 2")}
        self._replica = MoversProcess.start(
            *role.command, log=self.folder / f"{name} 2.log", settings={**role.settings, **own}, cwd=self.folder
        )
        wait_until(lambda: self._replica.healthy, f"the second {name} works", 90, ended=self._replica.ended)

    def drop_replica(self, name: str) -> None:
        """Ends the second process of a role in order."""
        assert self._replica.terminate(60) == 0, f"{name}: {self._replica.said[-800:]}"

    def wait(self, seconds: float) -> None:
        """A part of the bad day passes."""
        self._over.wait(seconds)

    # ── its course ───────────────────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Starts our processes and returns when the first rows are stored."""
        for role in self._roles.values():
            self._running[role.name] = self._start(role)
        for keeper in self._keepers:
            keeper.start()
        wait_until(lambda: self.stored() > 0, "the first rows", 120, ended=self.given_up)

    def stored(self) -> int:
        """Ticks in the store."""
        return int(self.rows("SELECT count() FROM snapshots")[0][0])

    def moments_served(self) -> int:
        """Moments of the slower venue."""
        served: dict[str, int] = self.venues.ask("status")["moments_served"]
        return min(served.values())

    def settle(self) -> None:
        """Everything heals, what has come due is judged, the venues stand still, and what is on its way arrives."""
        self.kafka_line.heal()
        self.store_line.heal()
        wait_while_it_gets_on(
            self._judged_until(self.venues.ask("status")["venue_now_us"]),
            "all that came due is judged",
            self._place,
            ended=self.given_up,
        )
        self.venues.ask("hold", {"hold": True})
        wait_until(
            lambda: min(self.venues.ask("status")["sweeps_of_moment"].values()) >= 2,
            "the last moment is swept twice",
            180,
            ended=self.given_up,
        )
        try:
            wait_while_it_gets_on(self._drained(), "the pipeline is drained", self._place, ended=self.given_up)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self._lag()}") from None

    def _judged_until(self, now_us: dict[str, int]) -> Callable[[], bool]:
        """True once each venue's stored moves are minutes past a moment: a sink that was started in it has then seen
        moves of its own, by which it judges what was told before."""

        def judged() -> bool:
            reached = dict(self.rows("SELECT venue, max(toUnixTimestamp64Micro(ts)) FROM movers_latest GROUP BY venue"))
            return all(reached.get(venue, 0) >= at + _JUDGED_AFTER_US for venue, at in now_us.items())

        return judged

    def _place(self) -> tuple[object, ...]:
        """How far everybody has come: rows, fences, ticks computed with."""
        fences = self.rows("SELECT sum(last_offset), count() FROM ingest_offsets")
        try:
            return (self.stored(), *fences[0], *computed_ticks(self.bootstrap))
        except KafkaException:
            return (self.stored(), *fences[0])

    def given_up(self) -> str | None:
        """A process that dies as often as it is started."""
        worst = self.restarts.most_common(1)
        if worst and worst[0][1] > 20:
            return f"{worst[0][0]} died {worst[0][1]} times by itself: {self.process(worst[0][0]).said[-1500:]}"
        return None

    def close(self) -> None:
        """Ends everything."""
        self._over.set()
        for keeper in self._keepers:
            if keeper.is_alive():
                keeper.join()
        for process in self._running.values():
            process.kill()
        for clock in self._clocks.values():
            clock.close()
        self.venues.kill()
        self.store.kill()
        self.registry.kill()
        self.kafka_line.close()
        self.store_line.close()
        if self.cluster is None:
            self.kafka.kill()
            self.kafka.stop()

    # ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _kafka_writes(self) -> bool:
        told: list[object] = []
        producer = Producer({"bootstrap.servers": self.bootstrap, "message.timeout.ms": 2000, "log_level": 2})
        for partition in range(PARTITIONS):
            producer.produce(_PROBE, b"", partition=partition, on_delivery=lambda error, _message: told.append(error))
        producer.flush(5)
        return told == [None] * PARTITIONS

    def _all_stored(self, venue: str) -> bool:
        """Whether every market of the venue's moment is in the store."""
        status = self.venues.ask("status")
        moment_us = status["venue_now_us"][venue]
        found = self.rows(
            f"SELECT uniqExact(market_id) FROM snapshots WHERE venue = '{venue}' "
            f"AND toUnixTimestamp64Micro(ts) = {moment_us}"
        )
        return bool(found[0][0] == status["markets"][venue])

    def _set_up(self) -> None:
        settings = kafka_at(self.bootstrap, PARTITIONS)
        create_topics(settings, [Topic(name=_PROBE, subject_file="ticks", event=TICKS.event, key="none")])
        create_topics(settings if self.cluster is None else settings.model_copy(update={"kafka_replication": 3}))
        registry = SchemaRegistry(self.registry.url)
        registry.register(CATALOGUE)
        registry.close()
        migrate(self.clickhouse())

    def _start_store(self) -> ServiceProcess:
        return ServiceProcess.start("movers.local.warehouse.service", self.disk / "store", self._store_port)

    def _all_roles(self, pause_s: float) -> dict[str, Role]:
        everybody = {
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap if self.cluster else f"127.0.0.1:{self.kafka_line.port}",
            "KAFKA_REPLICATION": "3" if self.cluster else "1",
            "SCHEMA_REGISTRY_URL": self.registry.url,
            "CLICKHOUSE_PORT": str(self.store_line.port),
            "CLICKHOUSE_DATABASE": "movers",
            "LOG_LEVEL": "info",
            **RULE,
        }
        collecting = {
            **self.venues.venue_settings(),
            "COLLECTOR_HOT_MARKETS": "0",
            # The tape's moments lie up to 40 s apart: between them is no gap, which would excuse what is missing.
            "COLLECTOR_PRICE_INTERVAL": "60",
            "COLLECTOR_MIN_PAUSE_S": str(pause_s),
        }
        roles = [
            *(self._role(f"process-{name}", ("process", name), everybody) for name in PROCESSORS),
            self._role("sink-clickhouse", ("sink", "clickhouse"), everybody),
            *(self._role(f"produce-{venue}", ("produce", venue), {**everybody, **collecting}) for venue in VENUES),
        ]
        return {role.name: role for role in roles}

    def _role(self, name: str, command: tuple[str, ...], settings: dict[str, str]) -> Role:
        own = {"STATE_DIR": str(self.disk / "state" / name), "SPILL_DIR": str(self.disk / "spill" / name)}
        if shutil.which("cc"):
            self._clocks[name] = SteppedClock()
            own |= self._clocks[name].settings
        return Role(name, command, {**settings, **own}, free_port())

    def _start(self, role: Role) -> MoversProcess:
        log = self.folder / f"{role.name}.log"
        return MoversProcess.start(*role.command, log=log, settings=role.settings, cwd=self.folder, port=role.port)

    def _keep(self) -> None:
        """Starts again what has ended, and counts the ends that were none of ours."""
        asked: Counter[str] = Counter()
        while not self._over.wait(_KEEPER_TURN_S):
            with self._lock:
                for name, role in self._roles.items():
                    if self._running[name].running:
                        continue
                    if asked[name] == self.killed[name]:
                        self.restarts[name] += 1
                        self.ends.append(self._end_of(name))
                    asked[name] = self.killed[name]
                    self._running[name] = self._start(role)

    def _end_stuck(self) -> None:
        """Ends what says of itself, look after look, that its loop stands still, as the supervisor does."""
        looks: Counter[int] = Counter()
        while not self._over.wait(CHECK_EVERY_S):
            for name in self.names:
                process = self.process(name)
                looks[process.pid] = looks[process.pid] + 1 if process.health().get("state") == "stuck" else 0
                if looks[process.pid] >= STUCK_CHECKS:
                    self._stuck.add(process.pid)
                    process.kill()

    def _end_of(self, name: str) -> str:
        process = self._running[name]
        known = {"starved of memory": self._starved, "stuck": self._stuck}
        why = "".join(f", {what}" for what, pids in known.items() if process.pid in pids)
        last_lines = [line for line in process.said[-2000:].splitlines() if line.strip()][-2:]
        return f"{name} with {process.process.returncode}{why}: {' | '.join(last_lines)[-400:]}"

    def _drained(self) -> Callable[[], bool]:
        """True once, five looks in a row, all ticks are computed with and all that the sink reads is stored."""
        in_a_row = 0

        def drained() -> bool:
            nonlocal in_a_row
            try:
                good = computed(self.bootstrap) and not not_stored(self.bootstrap, self.rows)
            except KafkaException:
                good = False  # a leader is being elected: not known now
            in_a_row = in_a_row + 1 if good else 0
            return in_a_row >= 5

        return drained

    def _lag(self) -> str:
        """What is not where it should be, and how everybody says they are."""
        health = {name: process.health() for name, process in self._running.items()}
        behind = not_stored(self.bootstrap, self.rows)
        return f"computed: {computed(self.bootstrap)}; not stored to the end: {behind}; health: {health}"

"""What Kafka can do to a processor on a bad day: each case on a real broker, with the real process."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions

from kernel.kafka.publisher import PRODUCER_CONFIG
from kernel.kafka.readers import read_to_end, watermarks
from kernel.kafka.topics import create_topics
from schemas.events import Move, Tick
from schemas.topics import DEAD_LETTERS, MOVES, TICKS
from tests.processors.isolated import POINTS, topic_of
from tests.processors.on_kafka import Stack, on_own_kafka
from tests.processors.ticks import make_tick
from tests.stack.processes import ServiceProcess, kafka_at
from tests.stack.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.stack

PARTITIONS = 2


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, registry: ServiceProcess) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("bad day") / "a folder"
    with on_own_kafka(folder, registry, PARTITIONS) as (_, made):
        yield made


class Isolated:
    """The analytics over a topic of its own, whose markets nobody else has."""

    def __init__(self, stack: Stack, name: str) -> None:
        self.stack = stack
        self.name = name
        self.topic = topic_of(name)
        self.admin = AdminClient({"bootstrap.servers": stack.bootstrap})
        self.make_topic()

    def make_topic(self) -> None:
        topic = replace(TICKS, name=self.topic)
        create_topics(kafka_at(self.stack.bootstrap, PARTITIONS), [topic])
        self.stack.registry.register([topic])

    def start(self, *point: str) -> subprocess.Popen[bytes]:
        self.stack.start(self.name, "tests.processors.isolated", self.name, *point)
        return self.stack.running[self.name]

    def end(self) -> None:
        process = self.stack.running.pop(self.name)
        process.terminate()
        assert process.wait(90) == 0, self.stack.log(self.name)

    def ticks(self, since_s: int, count: int, markets: int = 10, **extra: Any) -> list[Tick]:
        """So many ticks of each market, one a minute."""
        names = [f"KALSHI:{self.name}-{i}" for i in range(markets)]
        return [
            make_tick(since_s + step * 60, 400_000 + step * 1000, market_id=m, token_id=f"{m}:YES", **extra)
            for step in range(count)
            for m in names
        ]

    def publish(self, ticks: list[Tick]) -> None:
        self.stack.publish(TICKS.name, ticks, to=self.topic)

    def has_moves_of(self, ticks: list[Tick]) -> bool:
        """Whether each of these ticks has a move."""
        made = {(m.market_id, m.ts_event_us) for m in self.stack.read(MOVES.name)}
        return {(t.market_id, t.ts_event_us) for t in ticks} <= made

    def wait_for_moves_of(self, ticks: list[Tick], timeout_s: float = PATIENCE_S) -> list[Move]:
        """All moves of this processor, as soon as each of these ticks has one."""
        expected = {(t.market_id, t.ts_event_us) for t in ticks}

        def enough(moves: list[Move]) -> bool:
            return expected <= {(m.market_id, m.ts_event_us) for m in moves}

        moves: list[Move] = self.stack.wait_for(MOVES.name, f"{len(ticks)} moves", enough, timeout_s)
        return [m for m in moves if m.market_id.startswith(f"KALSHI:{self.name}-")]

    def said(self, event: str) -> list[str]:
        return [line for line in (self.stack.folder / f"{self.name}.log").read_text().splitlines() if event in line]

    def committed(self) -> int:
        """Ticks that its group has committed."""
        names = [group.group_id for group in self.admin.list_consumer_groups().result(60).valid]
        group = next((name for name in names if f"movers-{self.name}-" in name), None)
        if group is None:
            return 0
        places = [TopicPartition(self.topic, partition) for partition in range(PARTITIONS)]
        asked = self.admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group, places)])
        return sum(max(0, place.offset) for place in asked[group].result(60).topic_partitions)

    def metric(self, series: str) -> float:
        url = f"http://127.0.0.1:{self.stack.ports[self.name]}/metrics"
        lines = httpx.get(url, trust_env=False, timeout=60).text.splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(series)), 0.0)


@pytest.fixture
def isolated(stack: Stack) -> Iterator[Callable[[str], Isolated]]:
    made: list[Isolated] = []

    def make(name: str) -> Isolated:
        made.append(Isolated(stack, name))
        return made[-1]

    yield make
    for each in made:
        process = stack.running.pop(each.name, None)
        if process is not None and process.poll() is None:
            process.kill()
            process.wait(90)


def test_added_partitions_are_read_within_seconds_and_their_state_is_kept(
    stack: Stack, isolated: Callable[[str], Isolated]
) -> None:
    app = isolated("grown")
    app.start()
    first = app.ticks(0, 3)
    app.publish(first)
    app.wait_for_moves_of(first)

    app.admin.create_partitions([NewPartitions(app.topic, 6)])[app.topic].result(60)
    more = app.ticks(600, 3, markets=40)
    app.publish(more)

    app.wait_for_moves_of(more)
    assert sum(high > 0 for _, high in watermarks(kafka_at(stack.bootstrap), app.topic).values()) > PARTITIONS
    assert app.said("log_changed")
    assert app.said("changelog_grown")
    app.end()
    app.start()
    again = app.ticks(1200, 1, markets=40)
    app.publish(again)
    moves = app.wait_for_moves_of(again)
    assert {m.windows[0].move_pp for m in moves if m.ts_event_us == again[0].ts_event_us} == {-0.2}


def test_partitions_added_while_the_processor_is_away_do_not_stop_it(
    stack: Stack, isolated: Callable[[str], Isolated]
) -> None:
    app = isolated("grown-away")
    app.start()
    app.publish(first := app.ticks(0, 2))
    app.wait_for_moves_of(first)
    app.end()

    app.admin.create_partitions([NewPartitions(app.topic, 5)])[app.topic].result(60)
    app.publish(more := app.ticks(600, 2, markets=30))
    app.start()

    app.wait_for_moves_of(more)
    assert not app.said("Traceback")


def test_a_topic_made_anew_is_read_from_its_beginning(stack: Stack, isolated: Callable[[str], Isolated]) -> None:
    app = isolated("anew")
    app.start()
    app.publish(first := app.ticks(0, 5))
    app.wait_for_moves_of(first)

    app.admin.delete_topics([app.topic])[app.topic].result(60)
    wait_until(lambda: app.topic not in app.admin.list_topics(timeout=60).topics, "the topic is gone")
    app.make_topic()
    # More than the old one ever had, so that the old position is a place in the new one.
    app.publish(later := app.ticks(7200, 15))

    app.wait_for_moves_of(later)
    assert app.said("log_changed") or app.said("position_not_in_log")
    assert app.stack.running[app.name].poll() is None


def test_messages_that_kafka_deleted_unread_are_told_as_lost_and_the_rest_is_read(
    stack: Stack, isolated: Callable[[str], Isolated]
) -> None:
    app = isolated("deleted")
    app.start()
    app.publish(first := app.ticks(0, 5))
    app.wait_for_moves_of(first)
    app.end()
    before = {p: high for p, (_, high) in watermarks(kafka_at(stack.bootstrap), app.topic).items()}
    app.publish(app.ticks(3600, 5))
    lows = {p: high for p, (_, high) in watermarks(kafka_at(stack.bootstrap), app.topic).items()}
    asked = [TopicPartition(app.topic, p, low) for p, low in lows.items()]
    for future in app.admin.delete_records(asked).values():
        future.result(60)

    app.start()
    app.publish(later := app.ticks(7200, 3))

    moves = app.wait_for_moves_of(later)
    lost = sum(lows.values()) - sum(before.values())
    assert lost == 50
    assert app.metric(f'movers_lost_messages_total{{stage="{app.name}"') == lost
    assert app.said("messages_lost")
    # The state outlived the loss: the hour's window reaches back over it.
    last = [m for m in moves if m.ts_event_us == later[-1].ts_event_us]
    assert all(any(w.window_s == 3600 and w.coverage_s > 0 for w in m.windows) for m in last)


def test_a_tick_stamped_a_day_ahead_is_refused_and_its_market_goes_on(
    stack: Stack, isolated: Callable[[str], Isolated]
) -> None:
    app = isolated("ahead")
    app.start()
    app.publish(first := app.ticks(0, 2, markets=1))
    (wrong,) = app.ticks(120, 1, markets=1)
    app.publish([replace(wrong, ts_event_us=wrong.ts_event_us + 86_400 * 1_000_000)])

    app.publish(later := app.ticks(180, 20, markets=1))

    app.wait_for_moves_of([*first, *later])
    letters = stack.wait_for(DEAD_LETTERS.name, "the letter", lambda found: any(x.channel == app.topic for x in found))
    assert {x.reason for x in letters if x.channel == app.topic} == {"stamped_ahead"}


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_a_named_point_it_makes_each_move_and_loses_none(
    isolated: Callable[[str], Isolated], point: str
) -> None:
    app = isolated(f"kill-{point.replace('_', '-')}")
    process = app.start(point, "2")
    ticks = app.ticks(0, 40)
    sent: list[Tick] = []
    while process.poll() is None and len(sent) < 350:
        app.publish(ticks[len(sent) : len(sent) + 50])
        sent.extend(ticks[len(sent) : len(sent) + 50])
        wait_until(lambda: process.poll() is not None or app.has_moves_of(sent), f"{point}, or the moves")

    # Moves are told before their checkpoint: that of the last ones may still be on its way to the point.
    assert process.wait(90) == -signal.SIGKILL
    app.publish(ticks[len(sent) :])
    app.start()

    moves = app.wait_for_moves_of(ticks)
    unlike = {
        (m.market_id, m.ts_event_us)
        for m in moves
        if m.ts_event_us > ticks[0].ts_event_us + 301_000_000 and m.windows[0].move_pp != 0.5
    }
    assert unlike == set()


def test_two_share_the_work_and_when_one_is_killed_the_other_has_it_all(
    stack: Stack, isolated: Callable[[str], Isolated]
) -> None:
    app = isolated("pair")
    app.start()
    ticks = app.ticks(0, 60)
    app.publish(ticks[:200])
    app.wait_for_moves_of(ticks[:200])
    stack.start("pair-second", "tests.processors.isolated", "pair")
    wait_until(lambda: len(members(app)) == 2, "both have partitions")

    app.publish(ticks[200:400])
    app.wait_for_moves_of(ticks[:400])
    second = stack.running.pop("pair-second")
    second.kill()
    second.wait(90)
    app.publish(ticks[400:])

    moves = app.wait_for_moves_of(ticks)
    # Five minutes in, every window of five minutes has its start: a state that was lost would show.
    late_ones = [m for m in moves if m.ts_event_us > ticks[0].ts_event_us + 301_000_000]
    assert {m.windows[0].move_pp for m in late_ones} == {0.5}


def members(app: Isolated) -> list[Any]:
    """Members of its group that have partitions of its input."""
    groups = [
        g.group_id for g in app.admin.list_consumer_groups().result().valid if f"movers-{app.name}-" in g.group_id
    ]
    found = app.admin.describe_consumer_groups(groups)
    return [
        m
        for group in groups
        for m in found[group].result().members
        if any(tp.topic == app.topic for tp in m.assignment.topic_partitions)
    ]


def test_state_of_a_market_that_fell_silent_leaves_the_store_and_its_changelog(
    stack: Stack, isolated: Callable[[str], Isolated]
) -> None:
    app = isolated("silent")
    app.start()
    codec, producer = stack.codec(TICKS.name), Producer({"bootstrap.servers": stack.bootstrap, **PRODUCER_CONFIG})

    def publish(ticks: list[Tick], days_ago: int) -> None:
        published_ms = round((time.time() - days_ago * 86_400) * 1000)
        for tick in ticks:
            producer.produce(app.topic, codec.encode(tick), tick.market_id.encode(), timestamp=published_ms)
        assert producer.flush(60) == 0

    def remembered() -> set[str]:
        """Markets whose state the changelog keeps. It is written at a checkpoint, moves are there before it."""
        changelogs = [
            t for t in app.admin.list_topics(timeout=60).topics if t.startswith(f"changelog__movers-{app.name}-")
        ]
        try:
            latest = {m.key(): m.value() for t in changelogs for m in read_to_end(kafka_at(stack.bootstrap), t)}
        except KafkaException:
            return set()  # the changelog has just been made and has no leader yet: not known now
        often = {key for key, value in latest.items() if value is not None and key.endswith(b'|"often"')}
        return {key.partition(b"|")[0].decode() for key in often}

    silent = app.ticks(0, 2, markets=4)
    living, living_on = (
        [replace(t, market_id=f"{t.market_id}-living") for t in app.ticks(since_s, 2, markets=20)]
        for since_s in (600, 900)
    )
    both, alone = {t.market_id for t in [*silent, *living]}, {t.market_id for t in living}
    publish(silent, days_ago=8)
    # The time that comes with these closes the last bars of the silent, so their three days are counted from here.
    publish(living, days_ago=4)
    wait_until(lambda: remembered() == both, "a checkpoint with all of them", 90)

    publish(living_on, days_ago=0)

    wait_until(lambda: remembered() == alone, "only the living have a state")


def test_a_reader_that_stopped_reading_is_replaced_and_told(stack: Stack) -> None:
    app = Isolated(stack, "standstill")
    process = app.start()
    app.publish(first := app.ticks(0, 20))
    app.wait_for_moves_of(first)
    process.send_signal(signal.SIGUSR1)
    wait_until(lambda: bool(app.said("stopped_reading")), "a client that reads nothing")

    app.publish(second := app.ticks(3600, 20))

    app.wait_for_moves_of(second)
    assert app.said("reader_stuck")
    app.end()


def test_between_two_applications_while_kafka_is_away_it_ends_when_it_is_told_to(
    tmp_path: Path, registry: ServiceProcess
) -> None:
    with on_own_kafka(tmp_path, registry, PARTITIONS) as (node, stack):
        app = Isolated(stack, "between")
        process = app.start()
        try:
            app.publish(first := app.ticks(0, 20))
            app.wait_for_moves_of(first)
            process.send_signal(signal.SIGUSR1)
            wait_until(lambda: bool(app.said("stopped_reading")), "a client that reads nothing")
            app.publish(app.ticks(3600, 20))
            wait_until(lambda: bool(app.said("reader_stuck")), "it begins again")
            node.kill()

            process.terminate()

            assert process.wait(90) == 0
        finally:
            process.kill()


def test_with_messages_on_their_way_to_a_kafka_that_stands_still_it_ends_when_it_is_told_to(
    tmp_path: Path, registry: ServiceProcess
) -> None:
    with on_own_kafka(tmp_path, registry, PARTITIONS) as (node, stack):
        app = Isolated(stack, "underway")
        app.publish(app.ticks(0, 20))
        kafka = psutil.Process(node.process.pid)
        process = app.start("before_flush", "1", str(kafka.pid))
        try:
            wait_until(lambda: kafka.status() == psutil.STATUS_STOPPED, "Kafka stands still under a checkpoint")

            process.terminate()

            assert process.wait(45) == 0
        finally:
            node.resume()
            process.kill()


def test_kafka_that_lost_its_newest_data_heals_by_itself(tmp_path: Path, registry: ServiceProcess) -> None:
    data = tmp_path / "node" / "kafka data"
    with on_own_kafka(tmp_path, registry, PARTITIONS) as (node, stack):
        app = Isolated(stack, "setback")
        process = app.start()
        app.publish(first := app.ticks(0, 20))
        app.wait_for_moves_of(first)
        node.process.terminate()
        node.process.wait(60)
        shutil.copytree(data, tmp_path / "earlier")
        node.restart()
        app.publish(second := app.ticks(3600, 20))
        app.wait_for_moves_of(second, timeout_s=150)  # a delivery may take two minutes before it is begun again
        # Before, it would read them again from where it had committed, and nothing would be missing.
        wait_until(lambda: app.committed() == len(first) + len(second), "all of it committed")
        node.kill()
        shutil.rmtree(data)
        shutil.move(tmp_path / "earlier", data)
        node.restart()

        app.publish(third := app.ticks(7200, 5))

        app.wait_for_moves_of(third, timeout_s=150)
        assert process.poll() is None, "it took a restart to heal"
        told = app.said("log_was_cut") + app.said("state_ahead_of_changelog") + app.said("position_not_in_log")
        assert told

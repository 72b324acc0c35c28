"""The real sink on days when Kafka is not what it was: topics grow, are made anew, lose data; members are put out."""

from __future__ import annotations

import signal
import urllib.request
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions

from kernel.kafka.readers import read_to_end, watermarks
from kernel.kafka.topics import create_topics
from kernel.schema_registry import SchemaRegistry
from schemas.codec import Codec
from schemas.events import DeadLetter
from schemas.topics import DEAD_LETTERS, TICKS
from sinks.clickhouse.log_ends import Topics
from sinks.clickhouse.membership import GROUP
from sinks.clickhouse.sink import TOPICS
from tests.sinks.clickhouse.conftest import (
    PARTITIONS,
    Stand,
    assert_stored_once,
    identities,
    stored,
)
from tests.sinks.events import some_ticks
from tests.stack.ports import free_port
from tests.stack.processes import kafka_at
from tests.stack.topics import topics_made_anew
from tests.stack.waiting import wait_until

pytestmark = pytest.mark.stack


def test_partitions_added_while_it_runs_are_read_within_seconds(stand: Stand) -> None:
    stand.publish(TICKS, *some_ticks(100))
    stand.start_sink()
    assert_stored_once(stand, some_ticks(100))

    _add_partitions(stand, PARTITIONS + 5)
    stand.publish(TICKS, *some_ticks(2_000, first=100))

    wait_until(lambda: stand.count() == 2_100, "ticks of the new partitions are stored")
    assert_stored_once(stand, some_ticks(2_100))
    assert '"event": "partitions_added"' in stand.log_text()


def test_partitions_added_while_it_was_dead_are_read(stand: Stand) -> None:
    """A static member that comes back gets the assignment of before, and nobody looks whether it is complete."""
    stand.publish(TICKS, *some_ticks(100))
    sink = stand.start_sink()
    assert_stored_once(stand, some_ticks(100))
    sink.kill()
    sink.wait()

    _add_partitions(stand, PARTITIONS + 5)
    stand.publish(TICKS, *some_ticks(2_000, first=100))
    stand.start_sink()

    wait_until(lambda: stand.count() == 2_100, "ticks of the new partitions are stored")
    assert_stored_once(stand, some_ticks(2_100))


def test_a_sink_whose_name_another_one_took_ends(stand: Stand) -> None:
    stand.publish(TICKS, *some_ticks(1_000))
    first = stand.start_sink()
    assert_stored_once(stand, some_ticks(1_000))

    second = stand.start_sink(metrics_port=free_port())
    stand.publish(TICKS, *some_ticks(400, first=1_000))

    assert first.wait(90) == 1
    assert "Kafka put this sink out" in stand.log_text()
    assert "a machine has one sink" in stand.log_text(), "and why, most likely"
    assert_stored_once(stand, some_ticks(1_400))
    assert second.poll() is None


@pytest.mark.parametrize("table", ["ingest_pending", "snapshots"], ids=["before its record", "before its insert"])
def test_a_suspended_sink_that_wakes_up_doubles_nothing_and_ends(stand: Stand, table: str) -> None:
    ticks = some_ticks(2_000, days=3)
    stand.publish(TICKS, *ticks)
    stand.line.let_pass = 1 if table == "ingest_pending" else 0
    stand.line.hold_inserts_into = table
    first = stand.start_sink()
    assert stand.line.held.wait(60)
    first.send_signal(signal.SIGSTOP)

    stand.publish(TICKS, *(more := some_ticks(500, first=2_000)))
    stand.start_sink(metrics_port=free_port())
    assert_stored_once(stand, [*ticks, *more])
    stand.line.deliver_held()
    first.send_signal(signal.SIGCONT)

    assert first.wait(60) == 1
    assert "Kafka put this sink out" in stand.log_text()
    assert_stored_once(stand, [*ticks, *more])


@pytest.fixture
def silent_kafka(stand: Stand) -> Iterator[Callable[[], None]]:
    """Makes Kafka stand still, until the end of the test at the latest."""
    yield stand.broker.node.suspend
    stand.broker.node.resume()


def test_a_sink_whose_question_kafka_leaves_open_says_so_and_ends_when_it_is_told(
    stand: Stand, silent_kafka: Callable[[], None]
) -> None:
    """Whether its partitions are still its own is asked once the batch is recorded."""
    stand.publish(TICKS, *some_ticks(1_000))
    stand.line.let_pass = 1
    stand.line.hold_inserts_into = "ingest_pending"
    sink = stand.start_sink()
    assert stand.line.held.wait(60)

    silent_kafka()
    stand.line.deliver_held()

    wait_until(lambda: '"event": "need_away"' in stand.log_text(), "it says that Kafka is away")
    sink.terminate()
    assert sink.wait(60) == 0
    stand.broker.node.resume()
    stand.start_sink(metrics_port=free_port())
    assert_stored_once(stand, some_ticks(1_000))


def test_topics_made_anew_under_a_running_sink_are_read_from_their_start(stand: Stand) -> None:
    stand.publish(TICKS, *some_ticks(1_000))
    stand.start_sink()
    assert_stored_once(stand, some_ticks(1_000))

    topics_made_anew(stand.broker.bootstrap, PARTITIONS)
    stand.publish(TICKS, *some_ticks(500, first=1_000))

    wait_until(lambda: stand.count() == 1_500, "ticks of the new topic are stored")
    assert_stored_once(stand, some_ticks(1_500))
    assert '"event": "topic_made_anew"' in stand.log_text()


def test_a_topic_that_was_missing_for_a_while_is_read_once_it_is_there_again(stand: Stand) -> None:
    """Deleted by mistake: the group shares out what is left, and has to share out once more."""
    stand.publish(TICKS, *some_ticks(1_000))
    stand.start_sink()
    assert_stored_once(stand, some_ticks(1_000))
    admin = AdminClient({"bootstrap.servers": stand.broker.bootstrap})

    admin.delete_topics([TICKS.name], operation_timeout=60)[TICKS.name].result(60)
    wait_until(
        lambda: _shared_out(admin) == {t.name for t in TOPICS} - {TICKS.name}, "shared out without the ticks", 90
    )
    wait_until(lambda: "Kafka has no topic ticks" in _away(stand), "the sink says what is missing")
    create_topics(kafka_at(stand.broker.bootstrap, PARTITIONS))
    stand.publish(TICKS, *some_ticks(500, first=1_000))

    wait_until(lambda: stand.count() == 1_500, "ticks of the new topic are stored", 90)
    assert_stored_once(stand, some_ticks(1_500))


@pytest.mark.parametrize("runs_meanwhile", [True, False], ids=["under a running sink", "under a dead sink"])
@pytest.mark.parametrize("later", [10, 400], ids=["shorter than what was read", "longer than what was read"])
def test_kafka_set_back_is_told_and_nothing_it_still_has_is_lost(
    stand: Stand, later: int, runs_meanwhile: bool
) -> None:
    """After a power cut the log ends earlier; the offsets of what was lost are given out again to other messages."""
    before, after = some_ticks(300), some_ticks(later, first=300)
    stand.publish(TICKS, *before, flush_every=10)  # so that the log can be cut between Kafka's batches
    sink = stand.start_sink()
    assert_stored_once(stand, before)
    if not runs_meanwhile:
        sink.kill()
        sink.wait()

    _set_back(stand, batches=5)
    stand.publish(TICKS, *after)
    if not runs_meanwhile:
        sink = stand.start_sink()

    def all_stored() -> bool:
        nonlocal sink
        if sink.poll() is not None:  # what Kafka remembers of its group was set back too, and put it out
            sink = stand.start_sink()  # as its supervisor does
        return stored(stand) == identities([*before, *after])

    wait_until(all_stored, "everything is stored once", 120)
    assert '"event": "kafka_set_back"' in stand.log_text()
    assert {letter.reason for letter in _letters(stand)} == {"kafka_set_back"}


def test_messages_that_kafka_dropped_before_they_were_stored_are_told(stand: Stand) -> None:
    stand.publish_bytes(TICKS, *[("one key", b"")] * 30)
    (partition,) = [p for p, (_, high) in watermarks(kafka_at(stand.broker.bootstrap), TICKS.name).items() if high]
    admin = AdminClient({"bootstrap.servers": stand.broker.bootstrap})
    for future in admin.delete_records([TopicPartition(TICKS.name, partition, 20)]).values():
        future.result(60)
    place = (TICKS.name, partition)
    topic_id = Topics(kafka_at(stand.broker.bootstrap), [TICKS.name]).look()[TICKS.name].topic_id
    stand.store.store_fences({place: 9}, {place: topic_id}, {})

    stand.start_sink()

    stand.wait_until_taken(TICKS)
    assert '"first": 10, "last": 19, "event": "messages_lost"' in stand.log_text()
    with urllib.request.urlopen(f"http://127.0.0.1:{stand.metrics_port}/metrics", timeout=60) as answer:
        assert 'movers_lost_messages_total{stage="store",topic="ticks"} 10.0' in answer.read().decode()
    (letter,) = [letter for letter in _letters(stand) if letter.reason != "undecodable"]
    assert (letter.reason, letter.channel, letter.partition, letter.offset) == (
        "lost_in_kafka", TICKS.name, partition, 10,
    )  # fmt: skip


def _add_partitions(stand: Stand, count: int) -> None:
    admin = AdminClient({"bootstrap.servers": stand.broker.bootstrap})
    for future in admin.create_partitions([NewPartitions(TICKS.name, count)]).values():
        future.result(60)
    wait_until(
        lambda: len(admin.list_topics(TICKS.name, timeout=60).topics[TICKS.name].partitions) == count,
        "partitions are there",
    )


def _set_back(stand: Stand, batches: int) -> None:
    """Kills Kafka and cuts the last batches off each partition of `ticks`, as a power cut may."""
    node = stand.broker.node
    node.kill()
    for segment in node.kafka.data_dir.rglob(f"{TICKS.name}-*/00000000000000000000.log"):
        data = segment.read_bytes()
        starts, at = [], 0
        while at + 12 <= len(data) and (size := int.from_bytes(data[at + 8 : at + 12], "big")):
            starts.append(at)
            at += 12 + size
        if len(starts) > batches:
            segment.write_bytes(data[: starts[-batches]])
            for index in ("index", "timeindex"):
                segment.with_suffix(f".{index}").unlink(missing_ok=True)
    node.restart()


def _letters(stand: Stand) -> list[DeadLetter]:
    registry = SchemaRegistry(stand.broker.registry_url)
    codec = Codec(DEAD_LETTERS, registry, DeadLetter)
    letters = [codec.decode(m.value()) for m in read_to_end(kafka_at(stand.broker.bootstrap), DEAD_LETTERS.name)]
    registry.close()
    return letters


def _shared_out(admin: AdminClient) -> set[str]:
    """Topics of which the sinks' group has given partitions out."""
    group = admin.describe_consumer_groups([GROUP], request_timeout=60)[GROUP].result(60)
    return {place.topic for member in group.members for place in member.assignment.topic_partitions}


def _away(stand: Stand) -> str:
    """What the newest sink says of a Kafka that it misses."""
    return str(stand.sinks[-1].health().get("away", {}).get("kafka", ""))

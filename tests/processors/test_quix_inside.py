from __future__ import annotations

import inspect
import signal
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import confluent_kafka
import pytest
from confluent_kafka import TopicPartition
from quixstreams import Application
from quixstreams.checkpointing import Checkpoint
from quixstreams.internal_producer import InternalProducer
from quixstreams.kafka.exceptions import KafkaProducerDeliveryError
from quixstreams.kafka.producer import Producer
from quixstreams.state.recovery import ChangelogProducer
from quixstreams.state.rocksdb import RocksDBOptions
from quixstreams.state.rocksdb.partition import RocksDBStorePartition

from processors import quix_inside
from processors.memory import OFTEN, Open
from processors.quix_inside import BATCH, QUIX_VERSION, SOON_S, Position, ProcessorApplication, _Changelog, read_on


def test_the_library_is_the_one_that_was_read() -> None:
    """When this fails: read quix_inside.py against the new version, run test_bad_day.py, then raise the number."""
    assert version("quixstreams") == QUIX_VERSION


def test_the_private_methods_that_are_overridden_exist_as_they_were() -> None:
    assert list(inspect.signature(Application._on_assign).parameters) == ["self", "_", "topic_partitions"]
    assert list(inspect.signature(Application._process_message).parameters) == ["self", "dataframe_composed"]
    assert list(inspect.signature(Application._setup_signal_handlers).parameters) == ["self"]


@pytest.mark.parametrize("timeout_s", [-1.0, 300.0])
def test_told_to_stop_it_waits_no_longer_than_it_may_for_a_kafka_that_takes_nothing(
    timeout_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quix_inside, "STOPS_WITHIN_S", 0.1)
    producer = confluent_kafka.Producer({"bootstrap.servers": "127.0.0.1:1", "log_level": 0, "error_cb": print})
    producer.produce("moves", b"never taken")
    stopping = threading.Event()
    threading.Timer(0.1, stopping.set).start()

    assert quix_inside.flushed(producer.flush, stopping, timeout_s) == 1

    producer.purge()
    producer.flush(60)


def test_what_is_flushed_is_waited_for_until_it_is_taken_or_its_time_is_over() -> None:
    stopping, left = threading.Event(), iter([3, 1, 0])

    assert quix_inside.flushed(lambda _: next(left), stopping, -1.0) == 0
    assert quix_inside.flushed(lambda _: 2, stopping, 0.0) == 2


@pytest.mark.parametrize(
    ("came", "age_s", "made"),
    [
        (BATCH, SOON_S, False),
        (BATCH - 1, SOON_S, True),
        (0, SOON_S, True),
        (BATCH - 1, -3600.0, False),
        (0, -3600.0, False),
    ],
    ids=["more may wait", "none waits", "none came", "just made", "just made, none came"],
)
def test_a_checkpoint_is_made_soon_but_not_while_messages_wait(
    came: int, age_s: float, made: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    application = object.__new__(ProcessorApplication)
    message = Mock() if came else None
    application._consumer = Mock(poll=lambda _: message, consume=lambda *_, **__: [message] * (came - 1))
    application._stopping, application._assignments = threading.Event(), 0
    application._reader_watch, application._positions = Mock(finds_it_stuck=lambda _: False), {}
    application._producer = application._config = application._run_tracker = Mock()
    monkeypatch.setattr(application, "_take", Mock())
    context = application._processing_context = Mock()
    context.checkpoint = Checkpoint(1.0, *[Mock()] * 5)
    context.checkpoint._created_at = time.monotonic() - age_s

    application._process_message(None)

    assert [call.kwargs for call in context.commit_checkpoint.mock_calls] == [{"force": True}] * made


def test_the_ends_of_partitions_are_asked_for_before_any_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a partition is read each question waits behind a fetch that waits for messages: half a second."""
    asked: list[tuple[str, int] | str] = []

    class Consumer:
        def get_watermark_offsets(self, of: TopicPartition, timeout: float, cached: bool = False) -> tuple[int, int]:
            asked.append((of.topic, of.partition))
            return 0, 10 + of.partition

        def committed(self, of: list[TopicPartition], timeout: float) -> list[TopicPartition]:
            return [TopicPartition(tp.topic, tp.partition, 5) for tp in of]

    application = object.__new__(ProcessorApplication)
    application._consumer, application._reader_watch, application._positions = Consumer(), Mock(), {}
    application._assignments, application._topic_manager = 0, Mock(non_changelog_topics={"ticks"})
    assigned = [TopicPartition(topic, number) for number in (0, 1) for topic in ("ticks", "changelog")]
    told: list[tuple[int, int]] = []

    def quix_s_own(self: Any, _: object, partitions: list[TopicPartition]) -> None:
        asked.append("read")
        for tp in [*partitions, TopicPartition("changelog", 2)]:
            told.append(self._consumer.get_watermark_offsets(tp, timeout=10))

    monkeypatch.setattr(Application, "_on_assign", quix_s_own)
    application._on_assign(None, assigned)

    assert asked == [(tp.topic, tp.partition) for tp in assigned] + ["read", ("changelog", 2)]
    assert told == [(0, 10), (0, 10), (0, 11), (0, 11), (0, 12)]
    assert application._consumer.get_watermark_offsets(TopicPartition("ticks", 3), timeout=10) == (0, 13)


def opener(transaction: Any) -> Open:
    application = object.__new__(ProcessorApplication)
    application._stream = "ticks"
    application._processing_context = Mock()
    application._processing_context.checkpoint.get_store_transaction = lambda **_: transaction
    return application._opener(0)


def quix_s_own(transaction: Any) -> Open:
    return lambda key, published_ms: transaction.as_state(prefix=key, timestamp=published_ms)


def written(folder: Path, opened: Callable[[Any], Open]) -> tuple[list[Any], dict[bytes, bytes], list[bytes | None]]:
    """What the changelog was given, what is stored and what is read in two checkpoints of one partition."""
    changelog = Mock()
    store = RocksDBStorePartition(str(folder), options=RocksDBOptions(), changelog_producer=changelog)
    read: list[bytes | None] = []
    for number in range(2):
        transaction = store.begin()
        open_state = opened(transaction)
        a, b = open_state(b"KALSHI:A", 1), open_state(b"POLY:B|x", 2)
        read += [a.get_bytes(OFTEN), b.get_bytes("body"), b.get_bytes("none")]
        a.set_bytes(OFTEN, b"a%d" % number)
        b.set_bytes(OFTEN, b"")
        b.set_bytes("body", b"b")
        if number:
            b.delete("body")
            a.delete("bar")
        read += [a.get_bytes(OFTEN), b.get_bytes("body")]
        transaction.prepare(processed_offsets={"ticks": number})
        transaction.flush(changelog_offset=number)
    stored = dict(store.iter_items(lower_bound=b""))
    store.close()
    return changelog.mock_calls, stored, read


def test_values_are_stored_and_told_to_the_changelog_as_quix_itself_would(tmp_path: Path) -> None:
    ours, quix_s = written(tmp_path / "ours", opener), written(tmp_path / "quix", quix_s_own)

    assert ours == quix_s
    assert ours[1] == {b'KALSHI:A|"often"': b"a1", b'POLY:B|x|"often"': b""}


def test_a_store_that_began_under_quix_s_ttl_is_read_and_written_by_quix_alone(tmp_path: Path) -> None:
    store = RocksDBStorePartition(str(tmp_path), options=RocksDBOptions(), changelog_producer=None)
    before = store.begin()
    state = before.as_state(prefix=b"KALSHI:A", timestamp=1_000)
    state.set_bytes(OFTEN, b"then", ttl=timedelta(days=3))
    before.prepare(processed_offsets={})
    before.flush(changelog_offset=0)

    transaction = store.begin()
    ours = opener(transaction)(b"KALSHI:A", 2_000)
    assert ours.get_bytes(OFTEN) == b"then"
    ours.set_bytes(OFTEN, b"now")
    transaction.prepare(processed_offsets={})
    transaction.flush(changelog_offset=1)

    assert quix_s_own(store.begin())(b"KALSHI:A", 3_000).get_bytes(OFTEN) == b"now"
    store.close()


def test_a_changelog_s_messages_go_to_the_client_with_key_value_and_partition(monkeypatch: pytest.MonkeyPatch) -> None:
    inner = InternalProducer("127.0.0.1:1", extra_config={"log_level": 0})
    ours = _Changelog(ChangelogProducer("changelog", 3, inner))
    told = []

    def delivered(error: confluent_kafka.KafkaError, message: confluent_kafka.Message) -> None:
        told.append((message.topic(), message.partition(), message.key(), message.value()))

    monkeypatch.setattr(ours, "_delivered", delivered)
    ours.produce(b"KALSHI:A|often", b"state", headers={"cf": "default"})
    ours.produce(b"KALSHI:B|often", None, headers={"cf": "default"})
    inner.purge()

    assert told == [("changelog", 3, b"KALSHI:A|often", b"state"), ("changelog", 3, b"KALSHI:B|often", None)]


def test_quix_learns_how_far_a_changelog_got_and_what_was_not_delivered() -> None:
    inner = InternalProducer("127.0.0.1:1")
    ours = _Changelog(ChangelogProducer("changelog", 3, inner))

    ours._delivered(None, Mock(offset=lambda: 7))
    ours._delivered(None, Mock(offset=lambda: 8))
    assert inner.offsets == {("changelog", 3): 8}

    ours._delivered(confluent_kafka.KafkaError(confluent_kafka.KafkaError._MSG_TIMED_OUT), Mock())
    with pytest.raises(KafkaProducerDeliveryError):
        inner.flush()


def test_a_changelog_s_message_waits_for_room_where_quix_s_would(monkeypatch: pytest.MonkeyPatch) -> None:
    waited = Mock()
    ours = _Changelog(ChangelogProducer("changelog", 3, InternalProducer("127.0.0.1:1")))
    monkeypatch.setattr(ours, "_produce", Mock(side_effect=BufferError))
    monkeypatch.setattr(ChangelogProducer, "produce", waited)

    ours.produce(b"KALSHI:A|often", b"state", headers={"cf": "default"})

    waited.assert_called_once_with(b"KALSHI:A|often", b"state", {"cf": "default"})


def test_signals_stay_the_process_s() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)

    ProcessorApplication._setup_signal_handlers(object.__new__(ProcessorApplication))

    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_the_producer_that_is_gone_around_wraps_the_clients_as_it_did() -> None:
    inner = InternalProducer("127.0.0.1:1")

    assert isinstance(inner._producer, Producer)
    assert isinstance(inner._producer._producer, confluent_kafka.Producer)


def test_what_was_not_delivered_fails_the_next_flush() -> None:
    inner = InternalProducer("127.0.0.1:1")

    inner._on_delivery(confluent_kafka.KafkaError(confluent_kafka.KafkaError._MSG_TIMED_OUT), None)

    with pytest.raises(KafkaProducerDeliveryError):
        inner.flush(0.0)


@pytest.mark.parametrize(
    ("committed", "low", "high", "recent", "was_cut", "expected"),
    [
        (50, 0, 100, 90, False, Position(50)),
        (100, 0, 100, 100, False, Position(100)),
        (-1001, 7, 100, 90, False, Position(7)),
        (5, 70, 100, 90, False, Position(70, lost=65)),
        (150, 0, 100, 90, False, Position(90, cut=True)),
        (150, 95, 100, 90, False, Position(95, cut=True)),
        (80, 0, 100, 60, True, Position(60, cut=True)),
        (40, 0, 100, 60, True, Position(40, cut=True)),
    ],
)
def test_where_a_partition_is_read_on(
    committed: int, low: int, high: int, recent: int, was_cut: bool, expected: Position
) -> None:
    assert read_on(committed, low, high, recent, was_cut=was_cut) == expected

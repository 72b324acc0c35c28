from __future__ import annotations

import inspect
import signal
from importlib.metadata import version

import confluent_kafka
import pytest
from quixstreams import Application
from quixstreams.internal_producer import InternalProducer
from quixstreams.kafka.exceptions import KafkaProducerDeliveryError
from quixstreams.kafka.producer import Producer

from processors.quix_inside import QUIX_VERSION, Position, ProcessorApplication, read_on


def test_the_library_is_the_one_that_was_read() -> None:
    """When this fails: read quix_inside.py against the new version, run test_bad_day.py, then raise the number."""
    assert version("quixstreams") == QUIX_VERSION


def test_the_private_methods_that_are_overridden_exist_as_they_were() -> None:
    assert list(inspect.signature(Application._on_assign).parameters) == ["self", "_", "topic_partitions"]
    assert list(inspect.signature(Application._process_message).parameters) == ["self", "dataframe_composed"]
    assert list(inspect.signature(Application._setup_signal_handlers).parameters) == ["self"]


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

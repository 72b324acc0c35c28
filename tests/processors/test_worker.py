"""A batch through the worker, without Kafka: what is published, remembered, filed and counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from confluent_kafka import Message

from kernel.clock import SystemClock
from kernel.dead_letters import BadInputLimit, DeadLetters, Refused
from kernel.metrics import BAD_INPUT, MESSAGES, PUBLISHED
from kernel.process import Process
from processors.analytics_app import STAGE
from processors.memory import Headers, Memory
from processors.step import Output, Work
from processors.worker import Worker
from schemas.topics import MOVES, TICKS
from schemas.units import US_PER_MS
from tests.processors.test_memory import Store, nothing
from tests.processors.test_step import NOW_US, STEP, TICK_CODEC
from tests.processors.ticks import make_tick


class _Message:
    """As much of a message as the worker asks for."""

    def __init__(self, offset: int, value: bytes) -> None:
        self._offset = offset
        self._value = value

    def key(self) -> bytes:
        return b"KALSHI:A"

    def value(self) -> bytes:
        return self._value

    def headers(self) -> list[tuple[str, bytes]]:
        return [("venue", b"kalshi")]

    def timestamp(self) -> tuple[int, int]:
        return 1, NOW_US // US_PER_MS

    def topic(self) -> str:
        return TICKS.name

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._offset


class _Letters:
    def __init__(self) -> None:
        self.offsets: list[int] = []

    def put(self, refused: Sequence[Refused]) -> None:
        self.offsets += [one.offset for one in refused]


class _Alive:
    def beat(self) -> None:
        pass


def test_a_bad_message_in_the_middle_of_a_batch_is_filed_and_the_others_count() -> None:
    ticks = [TICK_CODEC.encode(make_tick(at_s, 400_000)) for at_s in (0, 10, 10, 20)]
    batch = [_Message(i, value) for i, value in enumerate([ticks[0], b"nonsense", *ticks[1:]])]
    letters, store = _Letters(), Store()
    published: list[str] = []
    memory = Memory(STAGE, nothing)
    worker = Worker(
        STAGE,
        Work(STEP),
        cast("DeadLetters", letters),
        BadInputLimit(0.5),
        cast("Process", _Alive()),
        SystemClock(),
    )

    def publish(key: bytes, outputs: Sequence[Output], headers: Headers, published_ms: int) -> None:
        published.extend(topic for topic, _ in outputs)

    counters: list[Any] = [
        MESSAGES.labels(STAGE.name, TICKS.name),
        PUBLISHED.labels(STAGE.name, MOVES.name),
        BAD_INPUT.labels(STAGE.name, "late"),
    ]
    before = [counter._value.get() for counter in counters]
    worker.take([cast("Message", message) for message in batch], lambda _: (memory, store.open), publish)

    assert letters.offsets == [1]
    assert published == [MOVES.name] * 3
    assert [c._value.get() - was for c, was in zip(counters, before, strict=True)] == [5, 3, 1]
    assert memory.recall(b"KALSHI:A", store.open, 0).history.newest_us == make_tick(20, 400_000).ts_event_us

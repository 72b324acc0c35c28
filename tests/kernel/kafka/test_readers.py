"""Reading a topic to its end, however long it is, and giving up when nothing comes any more."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from kernel.errors import KafkaAwayError
from kernel.kafka import readers
from kernel.settings import KafkaSettings

WITHIN_S, A_TURN_S = 30.0, 20.0


class SlowConsumer:
    """A topic of one partition; each message takes so long that two of them take longer than is waited for one."""

    def __init__(self, offsets: int, coming: int) -> None:
        self.offsets, self.coming = offsets, coming
        self.now_s, self.offset, self.is_closed = 0.0, 0, False

    def list_topics(self, topic: str, timeout: float) -> Any:
        return SimpleNamespace(topics={topic: SimpleNamespace(partitions={0: None})})

    def get_watermark_offsets(self, _: TopicPartition, timeout: float) -> tuple[int, int]:
        return 0, self.offsets

    def assign(self, _: list[TopicPartition]) -> None:
        pass

    def consume(self, _: int, timeout: float) -> list[Any]:
        self.now_s += A_TURN_S
        if self.offset == self.coming:
            return []
        self.offset += 1
        return [SimpleNamespace(error=lambda: None)]

    def position(self, _: list[TopicPartition]) -> list[Any]:
        return [SimpleNamespace(partition=0, offset=self.offset)]

    def close(self) -> None:
        self.is_closed = True


def read(monkeypatch: pytest.MonkeyPatch, slow: SlowConsumer) -> list[Any]:
    monkeypatch.setattr(readers, "consumer", lambda *_, **__: slow)
    monkeypatch.setattr(readers, "time", SimpleNamespace(monotonic=lambda: slow.now_s))
    return list(readers.read_to_end(KafkaSettings(), "markets", WITHIN_S))


def test_a_long_topic_is_read_to_its_end_as_long_as_something_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(read(monkeypatch, SlowConsumer(offsets=9, coming=9))) == 9


def test_when_nothing_comes_for_so_long_it_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = SlowConsumer(offsets=9, coming=5)

    with pytest.raises(KafkaAwayError, match="markets: nothing for 30 s"):
        read(monkeypatch, slow)

    assert slow.is_closed
    assert slow.now_s <= 5 * A_TURN_S + 3 * WITHIN_S


class Electing:
    """A partition of a topic that has just been made: its leader answers at the third question, if it answers."""

    def __init__(self, code: int, times: int) -> None:
        self.code, self.times, self.asked = code, times, 0

    def get_watermark_offsets(self, _: TopicPartition, timeout: float) -> tuple[int, int]:
        self._answer()
        return 0, 7

    def offsets_for_times(self, moments: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        self._answer()
        return [TopicPartition(moment.topic, moment.partition, 4) for moment in moments]

    def _answer(self) -> None:
        self.asked += 1
        if self.asked <= self.times:
            raise KafkaException(KafkaError(self.code))


def ends(electing: Electing) -> tuple[int, int]:
    return readers.partition_ends(electing, TopicPartition("markets", 0), WITHIN_S)


def since(electing: Electing) -> int:
    [found] = readers.offsets_since(electing, [TopicPartition("markets", 0, 1_700_000_000_000)], WITHIN_S)
    return int(found.offset)


Ask = Callable[[Electing], object]


@pytest.fixture
def _time_passes_with_each_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [0.0]
    clock = SimpleNamespace(monotonic=lambda: now_s[0], sleep=lambda pause_s: now_s.append(now_s.pop() + pause_s))
    monkeypatch.setattr(readers, "time", clock)


@pytest.mark.usefixtures("_time_passes_with_each_pause")
@pytest.mark.parametrize("code", [KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE])
@pytest.mark.parametrize(("ask", "told"), [(ends, (0, 7)), (since, 4)])
def test_what_a_partition_holds_is_waited_for_while_its_leader_is_being_elected(
    ask: Ask, told: object, code: int
) -> None:
    assert ask(Electing(code, times=2)) == told


@pytest.mark.usefixtures("_time_passes_with_each_pause")
@pytest.mark.parametrize(
    ("code", "most"), [(KafkaError.NOT_LEADER_FOR_PARTITION, 10_000), (KafkaError.TOPIC_AUTHORIZATION_FAILED, 1)]
)
@pytest.mark.parametrize("ask", [ends, since])
def test_a_leader_that_never_comes_and_any_other_refusal_are_told(ask: Ask, code: int, most: int) -> None:
    electing = Electing(code, times=10**9)

    with pytest.raises(KafkaException):
        ask(electing)

    assert 1 <= electing.asked <= most

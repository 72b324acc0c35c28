"""A partition that grows, is cut, expires and is made anew under a sink that stops anywhere: nothing is passed over.

The store and Kafka are lists here; `test_bad_days` does the same to real ones.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sinks.clickhouse.fence import REREAD_US, Ends, Fence, in_force, positions

PLACE = ("ticks", 0)
MINUTE_US = 60_000_000


@dataclass(frozen=True)
class Message:
    """What Kafka has at an offset. `number` tells it from every other message there ever was."""

    number: int
    leader_epoch: int
    at_us: int


class Partition(RuleBasedStateMachine):
    """`log` is what Kafka has from `low` on, `stored` and `fences` are the store's, `offset` is where the sink is."""

    def __init__(self) -> None:
        super().__init__()
        self.now_us = 10 * REREAD_US
        self.log: list[Message] = []
        self.low = 0
        self.leader_epoch = 0
        self.topics = 0
        self.published = 0
        self.stored: set[int] = set()
        self.fences: dict[str, Fence] = {}
        self.epoch = ""
        self.offset: int | None = None

    @property
    def high(self) -> int:
        return self.low + len(self.log)

    @property
    def topic_id(self) -> str:
        return f"topic-{self.topics}"

    @rule(count=st.integers(1, 6), minutes=st.sampled_from([0, 1, 20, 90]))
    def messages_come(self, count: int, minutes: int) -> None:
        self.now_us += minutes * MINUTE_US
        for _ in range(count):
            self.log.append(Message(self.published, self.leader_epoch, self.now_us))
            self.published += 1

    @rule(count=st.integers(0, 8), restarts=st.booleans())
    def the_sink_runs(self, count: int, restarts: bool) -> None:
        if restarts or self.offset is None:
            self._start()
        assert self.offset is not None
        taken = self.log[self.offset - self.low :][:count] if self.offset >= self.low else []
        if not taken:
            return
        self.stored |= {message.number for message in taken}
        self.offset += len(taken)
        self.fences[self.epoch] = Fence(PLACE, self.epoch, self.offset - 1, taken[-1].leader_epoch, self.now_us)

    def _start(self) -> None:
        fences = in_force(self.fences.values(), {"ticks": self.topic_id})
        fence = fences.get(PLACE)
        at = None if fence is None or not self.low <= fence.last_offset < self.high else fence.last_offset - self.low
        back_us = 0 if fence is None else fence.stored_at_us - REREAD_US
        again = next((self.low + i for i, message in enumerate(self.log) if message.at_us >= back_us), None)
        end = Ends(self.low, self.high, None if at is None else self.log[at].leader_epoch, again)
        found = positions({PLACE: end}, fences, {"ticks": self.topic_id})
        self.offset, self.epoch = found.offsets[PLACE], found.epochs[PLACE]
        assert self.low <= self.offset <= self.high
        if fence is not None and PLACE not in found.set_back:
            deleted_unread = range(fence.last_offset + 1, self.low)
            assert range(*_ends(found.lost.get(PLACE))) == deleted_unread

    @precondition(lambda self: len(self.log) > 0)
    @rule(count=st.integers(1, 4))
    def kafka_deletes_the_oldest(self, count: int) -> None:
        """Also what nobody has read: the sink is not running then, or it would be told at once."""
        gone, self.log = self.log[:count], self.log[count:]
        self.low += len(gone)
        self.offset = None

    @precondition(lambda self: len(self.log) > 0)
    @rule(count=st.integers(1, 4), again=st.integers(0, 6))
    def a_power_cut_takes_the_newest(self, count: int, again: int) -> None:
        """Of the last half hour only; the offsets are given out again, by another leader."""
        kept = [m for m in self.log[-count:] if m.at_us < self.now_us - REREAD_US // 2]
        gone = self.log[-count:][len(kept) :]
        if gone:
            self.log = self.log[: -len(gone)]
        self.leader_epoch += 1
        self.offset = None
        self.messages_come(again, 1)

    @rule(what=st.sampled_from(["topic", "store"]))
    def one_is_made_anew(self, what: str) -> None:
        if what == "topic":
            self.log, self.low, self.leader_epoch = [], 0, 0
            self.topics += 1
        else:
            self.stored.clear()
            self.fences.clear()
        self.offset = None

    @invariant()
    def reading_on_leaves_out_nothing_that_kafka_has(self) -> None:
        """Whatever lies before the sink's place has been stored."""
        if self.offset is not None:
            passed = self.log[: self.offset - self.low]
            assert {message.number for message in passed} <= self.stored


def _ends(span: tuple[int, int] | None) -> tuple[int, int]:
    return (0, 0) if span is None else (span[0], span[1] + 1)


TestPartition = Partition.TestCase
TestPartition.settings = settings(max_examples=200, stateful_step_count=40, phases=[Phase.generate])

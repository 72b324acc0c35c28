"""Four markets over 1, 2 or 4 processors, handed on and killed anywhere: what was published is the brute force's.

`test_any_course` holds many processors equal to one; here both are held to what the ticks ought to give.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import TypeVar

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from schemas.codec import Codec
from schemas.events import Alert, Bar, Move, Tick
from schemas.topics import ALERTS, BARS, MOVES, Topic
from tests.e2e import reference
from tests.processors.analytics.test_machines_alerts import line_of, naive_move
from tests.processors.analytics.test_machines_bars import bars_of, minute_of, same
from tests.processors.analytics.test_machines_moves import gives_a_move
from tests.processors.test_any_course import Message, Processor, tick_of
from tests.processors.test_step import STORE, TICK_CODEC

WINDOWS = (60, 300)
NUMBERS = {"threshold_pp": 5, "cooldown_s": 60, "min_volume": 0, "max_spread_pp": 2}
"""Of `test_any_course.RULES`."""

PRICES = st.sampled_from([None, 400_000, 400_000, 420_000, 480_000, 600_000])
EventT = TypeVar("EventT", Move, Bar, Alert)


class Partitions(RuleBasedStateMachine):
    """Ticks come in order of time; each partition's processor takes, writes, hands over and is killed when it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.at_s = 0
        self.ticks: dict[str, list[Tick]] = {name: [] for name in "ABCD"}
        self.logs: list[list[Message]] = []
        self.processors: list[Processor] = []

    @initialize(count=st.sampled_from([1, 2, 4]))
    def so_many_share_the_markets(self, count: int) -> None:
        self.logs = [[] for _ in range(count)]
        self.processors = [Processor(log) for log in self.logs]

    @rule(step_s=st.sampled_from([0, 7, 20, 45, 70, 200]), name=st.sampled_from("ABCD"), price_ppm=PRICES)
    def a_tick_comes(self, step_s: int, name: str, price_ppm: int | None) -> None:
        self.at_s += max(step_s, 1)
        tick = tick_of(name, self.at_s, price_ppm)
        if price_ppm is not None or self.ticks[name]:
            self.ticks[name].append(tick)
        self._append(tick)

    @rule(name=st.sampled_from("ABCD"), back=st.integers(1, 4))
    def a_tick_is_published_again(self, name: str, back: int) -> None:
        if len(self.ticks[name]) >= back:
            self._append(self.ticks[name][-back])

    @rule(index=st.integers(0, 3), count=st.integers(1, 8))
    def a_processor_takes_some(self, index: int, count: int) -> None:
        self._processor(index).take(count)

    @rule(index=st.integers(0, 3))
    def a_partition_is_handed_over(self, index: int) -> None:
        """What it held is written before another one goes on with it."""
        self._processor(index).checkpoint()
        self._processor(index).kill()

    @rule(index=st.integers(0, 3))
    def a_checkpoint_is_made(self, index: int) -> None:
        self._processor(index).checkpoint()

    @rule(index=st.integers(0, 3))
    def a_processor_is_killed(self, index: int) -> None:
        self._processor(index).kill()

    @rule(index=st.integers(0, 3))
    def a_state_is_wiped(self, index: int) -> None:
        self._processor(index).wipe()

    def teardown(self) -> None:
        """When time has decided every episode, each market shows itself once more, and all is compared."""
        if not self.processors:
            return
        self.at_s += 1000
        for name, ticks in self.ticks.items():
            ticks.append(tick_of(name, self.at_s, 400_000))
            self._append(ticks[-1])
        published = set().union(*(processor.finish() for processor in self.processors))
        for name, ticks in self.ticks.items():
            mine = {(topic, value) for key, topic, value in published if key == name.encode()}
            moved = [ticks[: i + 1] for i in range(len(ticks)) if gives_a_move(ticks[: i + 1])]
            assert {m.ts_event_us for m in _of(mine, MOVES, Move)} == {t[-1].ts_event_us for t in moved}
            asked = reference.alerts([naive_move(t, WINDOWS) for t in moved], NUMBERS)
            lines = {(at, way, opened, state, why, windows) for _, way, opened, state, at, why, windows in asked}
            assert {line_of(alert) for alert in _of(mine, ALERTS, Alert)} == lines
            last: dict[int, Bar] = {}
            for bar in sorted(_of(mine, BARS, Bar), key=lambda bar: bar.ticks):
                last[bar.bar_start_us] = bar
            drawn = {at: bar for at, bar in bars_of(ticks, []).items() if at != minute_of(ticks[-1])}
            assert set(last) == set(drawn)
            assert all(same(last[at], drawn[at]) for at in drawn)

    def _processor(self, index: int) -> Processor:
        return self.processors[index % len(self.processors)]

    def _append(self, tick: Tick) -> None:
        key = tick.market_id.encode()
        self.logs[zlib.crc32(key) % len(self.logs)].append((key, TICK_CODEC.encode(tick)))


def _of(messages: set[tuple[str, bytes]], topic: Topic, event: type[EventT]) -> Iterator[EventT]:
    codec = Codec(topic, STORE, event)
    return (codec.decode(value) for name, value in messages if name == topic.name)


TestPartitions = Partitions.TestCase
TestPartitions.settings = settings(max_examples=60, stateful_step_count=40, phases=[Phase.generate])

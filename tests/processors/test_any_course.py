"""One, two or four processors, killed anywhere, with their state or without it: the same messages in the end.

Kafka, RocksDB and Quix are played by lists and dicts here, so that hypothesis can try many courses of events; the real
ones are in `test_apps` and `test_bad_day`. That the messages are right is said by the brute forces of `analytics/`.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from itertools import accumulate

from hypothesis import given, settings
from hypothesis import strategies as st

from processors import analytics_app
from processors.analytics.rules import Rule
from processors.analytics.windows import WindowPlan
from processors.memory import Headers, Memory
from processors.step import Output, guarded
from processors.titles import UNKNOWN
from schemas.events import Tick
from schemas.units import US_PER_MS
from tests.processors.test_memory import Store
from tests.processors.test_step import NOW_US, STORE, TICK_CODEC
from tests.processors.ticks import make_tick

RULES = (Rule(threshold_pp=5, min_volume_24h_usd=0, cooldown_s=60),)
STEP = analytics_app.make_step(STORE, WindowPlan((60, 300)), RULES, lambda market_id: UNKNOWN)
ON_TIME = analytics_app.make_on_time(STORE, RULES, lambda market_id: UNKNOWN)
NOW_MS = NOW_US // US_PER_MS

Message = tuple[bytes, bytes]
"""Key and value of a tick."""


class Processor:
    """One partition's processor as it lives from checkpoint to checkpoint."""

    def __init__(self, log: Sequence[Message], at_once: int = 500) -> None:
        self._log, self._at_once = log, at_once
        self._store, self._committed = Store(), 0
        self.published: set[tuple[bytes, str, bytes]] = set()
        self.kill()

    def kill(self) -> None:
        """What is not at the last checkpoint is gone."""
        self._memory = Memory(analytics_app.STAGE, self._store.stored)
        self._at = self._committed

    def wipe(self) -> None:
        """State and group are gone: everything is read anew."""
        self._store, self._committed = Store(), 0
        self.kill()

    def take(self, count: int) -> None:
        """So many messages, as far as there are."""
        for key, value in self._log[self._at : self._at + count]:
            result = guarded(STEP, key, value, self._memory.recall(key, self._store.open, NOW_MS), NOW_US)
            self._publish(key, result.outputs, (), NOW_MS)
            self._memory.keep(key, result, (), NOW_MS)
        self._at = min(len(self._log), self._at + count)

    def checkpoint(self) -> None:
        """As `quix_inside` does it: time passes, states are written, offsets are committed."""
        self._memory.look_at_stored(ON_TIME, self._store.open)
        self._memory.let_time_pass(ON_TIME, self._store.open, self._publish, self._at_once)
        self._memory.write(self._store.open)
        self._committed = self._at

    def finish(self) -> set[tuple[bytes, str, bytes]]:
        """Reads to the end; all that was ever published, each once."""
        self.take(len(self._log))
        self.checkpoint()
        return self.published

    def _publish(self, key: bytes, outputs: Sequence[Output], headers: Headers, published_ms: int) -> None:
        self.published |= {(key, topic, value) for topic, value in outputs}


@st.composite
def logs(draw: st.DrawFn) -> list[Tick]:
    """Ticks of four markets in order of time, some delivered twice or late; the last of each is ten minutes later."""
    steps = draw(st.lists(st.sampled_from([1, 7, 20, 45, 70]), min_size=8, max_size=40))
    ticks = []
    for at_s in accumulate(steps):
        name = draw(st.sampled_from("ABCD"))
        price = draw(st.sampled_from([None, 400_000, 400_000, 420_000, 480_000, 600_000]))
        ticks.append(tick_of(name, at_s, price))
        if draw(st.integers(0, 5)) == 0:
            ticks.append(draw(st.sampled_from(ticks)))
    end_s = sum(steps)
    return ticks + [tick_of(name, end_s + 600, 400_000) for name in "ABCD"]


def tick_of(name: str, at_s: float, price: int | None) -> Tick:
    return make_tick(at_s, price, market_id=name, token_id=f"{name}:YES", heartbeat_s=60)


def partition(ticks: Sequence[Tick], count: int) -> list[list[Message]]:
    """The logs of so many partitions."""
    found: list[list[Message]] = [[] for _ in range(count)]
    for tick in ticks:
        key = tick.market_id.encode()
        found[zlib.crc32(key) % count].append((key, TICK_CODEC.encode(tick)))
    return found


@given(logs(), st.sampled_from([1, 2, 4]), st.data())
@settings(max_examples=40)
def test_any_course_of_kills_and_checkpoints_publishes_what_one_undisturbed_processor_does(
    ticks: list[Tick], count: int, data: st.DataObject
) -> None:
    (whole,) = partition(ticks, 1)
    undisturbed = Processor(whole).finish()

    published: set[tuple[bytes, str, bytes]] = set()
    for log in partition(ticks, count):
        one = Processor(log, data.draw(st.sampled_from([1, 500])))
        for what in data.draw(st.lists(st.sampled_from(["take", "take", "checkpoint", "kill", "wipe"]), max_size=12)):
            if what == "take":
                one.take(data.draw(st.integers(1, 10)))
            else:
                getattr(one, what)()
        published |= one.finish()

    assert published == undisturbed

"""A moment of the moves counts once every tick that was published before they were stored is stored."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from kernel.kafka.readers import Place
from schemas.topics import TICKS
from schemas.units import US_PER_S
from sinks.clickhouse.arrivals import Arrivals
from sinks.clickhouse.fence import Fence
from sinks.clickhouse.store import Store
from tests.sinks.events import NOON_US

HERE, THERE = (TICKS.name, 0), (TICKS.name, 1)


@dataclass
class World(Store):
    """What the store has of the ticks' partitions, and what Kafka holds of them. Kafka answers at once, or not."""

    stored: dict[Place, int] = field(default_factory=dict)
    held: dict[Place, tuple[int, int]] | None = field(default_factory=dict)
    epoch: str = "this"
    is_silent: bool = False
    asked: int = 0

    def fences(self, topics: Collection[str]) -> list[Fence]:
        assert topics == [TICKS.name]
        return [Fence(place, self.epoch, last_offset) for place, last_offset in self.stored.items()]

    def topic_id(self, name: str) -> str:
        return "this"

    def bounds(self, name: str) -> World:
        assert name == TICKS.name
        self.asked += 1
        return self

    def is_answered(self) -> bool:
        return not self.is_silent

    def offsets(self) -> Mapping[Place, tuple[int, int]] | None:
        return self.held


def told(job: Arrivals, newest_us: int, venue: str = "kalshi") -> int | None:
    """What a turn with a move of a venue says of that venue."""
    arrived_us = job.advance({venue: newest_us})
    return None if arrived_us is None else arrived_us[venue]


def looked(world: World, times: int = 2, *, after_s: int = 0) -> list[int | None]:
    """What a new look at a moment says, turn by turn."""
    job = Arrivals(world, world)
    return [told(job, NOON_US + after_s * US_PER_S) for _ in range(times)]


def test_a_moment_counts_when_all_partitions_are_stored_up_to_what_was_published_before_it() -> None:
    world = World(stored={HERE: 9, THERE: 4}, held={HERE: (0, 10), THERE: (0, 7)})
    job = Arrivals(world, world)

    seen = [told(job, NOON_US)]
    for stored_to in (4, 5, 6):
        world.stored[THERE] = stored_to
        seen.append(told(job, NOON_US + 90 * US_PER_S))
        world.held = {HERE: (0, 10), THERE: (0, 99)}  # more comes all the time, and is not waited for

    assert seen == [None, None, None, NOON_US]
    assert world.asked == 3, "until it has come"


def test_what_a_log_lost_meanwhile_is_not_waited_for() -> None:
    """It was set back, or made anew."""
    world = World(stored={HERE: 4}, held={HERE: (0, 10)})
    job = Arrivals(world, world)

    seen = [told(job, NOON_US), told(job, NOON_US)]
    world.held = {HERE: (0, 5)}

    assert [*seen, told(job, NOON_US)] == [None, None, NOON_US]


def test_a_minute_of_venue_time_lies_between_two_moments() -> None:
    world = World()
    job = Arrivals(world, world)

    reached = [told(job, NOON_US + s * US_PER_S) for s in (0, 0, 1, 59, 60, 61, 62)]

    assert reached == [None, NOON_US, None, None, None, NOON_US + 60 * US_PER_S, None]


def test_what_kafka_deleted_before_it_was_stored_is_not_waited_for() -> None:
    assert looked(World(held={HERE: (100, 100)})) == [None, NOON_US]
    assert looked(World(stored={HERE: 49}, held={HERE: (100, 101)})) == [None, None]


def test_what_is_stored_of_an_earlier_topic_of_that_name_says_nothing() -> None:
    assert looked(World(stored={HERE: 99}, held={HERE: (0, 10)}, epoch="earlier")) == [None, None]
    assert looked(World(stored={HERE: 99}, held={HERE: (0, 10)}, epoch="this")) == [None, NOON_US]


def test_while_kafka_is_silent_nothing_is_reached_and_nothing_waits() -> None:
    assert looked(World(is_silent=True), times=3) == [None] * 3
    assert looked(World(held=None), times=3) == [None] * 3


def test_without_a_move_nothing_is_asked() -> None:
    world = World()

    assert Arrivals(world, world).advance({}) is None
    assert world.asked == 0


def test_each_venue_has_a_moment_of_its_own() -> None:
    """The collector of one keeps its ticks on disk, because Kafka is out of its reach; the other's go on."""
    job = Arrivals(World(), World())

    seen = [
        job.advance({"kalshi": NOON_US, "polymarket": NOON_US}),
        job.advance({"kalshi": NOON_US + 600 * US_PER_S}),
        job.advance({}),
        job.advance({}),
    ]

    assert seen[1] == {"kalshi": NOON_US, "polymarket": NOON_US}
    assert seen[3] == {"kalshi": NOON_US + 600 * US_PER_S, "polymarket": NOON_US}

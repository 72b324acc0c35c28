"""Markets that ended long ago leave the topic, and nothing that is still asked for does."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import Producer

from kernel.clock import ManualClock, SystemClock
from kernel.errors import KafkaAwayError
from kernel.kafka.connection import client_config
from kernel.kafka.readers import read_to_end
from kernel.schema_registry import SchemaRegistry
from producers.before import SeenUntil, read_before
from producers.letting_go import EVERY_S, FIRST_AFTER_S, Settled, let_go_for_ever, settled_before
from producers.outbox import Outbox
from producers.shards import Shard
from producers.spill import Spill
from producers.tracked import Told, Tracked
from schemas.codec import Codec
from schemas.events import Market
from schemas.topics import DAY_MS, MARKETS
from schemas.units import US_PER_S
from tests.producers.conftest import Stack
from tests.producers.test_tracked import market, moment, shown
from tests.stack.processes import kafka_at

DAYS = 45
OLD, LIVES = Settled("V:old", "sports"), Settled("V:lives", "sports")


class Out:
    """Notes what is taken back, and when."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.kafka_away = False
        self.gone: list[tuple[str, float]] = []

    def let_go(self, market_id: str, category: str) -> None:
        self.gone.append((market_id, self.clock.monotonic_s()))


class Enough(Exception):
    """The test has seen what it wants to see."""


def days_of(tracked: Tracked, answers: list[list[Settled] | Exception]) -> tuple[Out, list[int]]:
    """What was taken back while the topic gave these answers, one a day; and before which instants it was asked."""
    clock = ManualClock()
    out, asked_ms = Out(clock), list[int]()

    def find(before_ms: int) -> list[Settled]:
        asked_ms.append(before_ms)
        if not answers:
            raise Enough
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with pytest.raises(Enough):
        asyncio.run(let_go_for_ever(find, DAYS, tracked, out, clock))
    return out, asked_ms


def crawled(tracked: Tracked, crawls: int) -> None:
    for _ in range(crawls):
        tracked.begin_crawl()


def test_a_market_goes_once_crawls_have_not_met_it_and_one_that_is_followed_stays() -> None:
    tracked = Tracked()
    tracked.restore(Told.of(market("old", status="settled")), safe_until_us=9 * US_PER_S)
    tracked.changed(market("lives"))
    assert tracked.remembers("V:old")
    crawled(tracked, 9)
    tracked.changed(market("met", status="settled"))

    out, _ = days_of(tracked, [[OLD, LIVES, Settled("V:met", "")]])

    assert [market_id for market_id, _ in out.gone] == ["V:old"]


def test_a_day_on_which_kafka_is_away_is_made_up_for_by_the_next() -> None:
    out, asked_ms = days_of(Tracked(), [KafkaAwayError("away"), [OLD]])

    first_ms = FIRST_AFTER_S * 1_000 - DAYS * DAY_MS
    assert asked_ms == [first_ms, first_ms + EVERY_S * 1_000, first_ms + 2 * EVERY_S * 1_000]
    assert out.gone == [("V:old", FIRST_AFTER_S + EVERY_S)]


def test_nothing_of_it_goes_to_the_spill() -> None:
    clock = ManualClock()
    out = Out(clock)
    out.kafka_away = True

    def find(_: int) -> list[Settled]:
        if clock.monotonic_s() > FIRST_AFTER_S:
            raise Enough
        return [OLD]

    with pytest.raises(Enough):
        asyncio.run(let_go_for_ever(find, DAYS, Tracked(), out, clock))

    assert out.gone == []


def test_a_market_that_comes_back_is_a_new_one_and_told_anew() -> None:
    tracked = Tracked()
    settled = market("old", status="settled")
    tracked.changed(settled)
    crawled(tracked, 9)
    days_of(tracked, [[OLD]])

    again = replace(settled, status="open", ts_event_us=99 * US_PER_S)

    assert tracked.changed(again)
    assert tracked.admit(shown("old"), moment(100)).left_out is None


@pytest.mark.stack
def test_only_what_was_told_as_settled_long_ago_by_this_shard_leaves_the_topic(stack: Stack, tmp_path: Path) -> None:
    kafka, store, shard = kafka_at(stack.bootstrap), SchemaRegistry(stack.registry_url), Shard("kalshi", "sports")
    codec = Codec(MARKETS, store, Market)
    now_ms = int(time.time() * 1_000)
    long_ago_ms, lately_ms = now_ms - (DAYS + 1) * DAY_MS, now_ms - (DAYS - 1) * DAY_MS
    producer = Producer(client_config(kafka, "test"))

    def tell(market: Market, at_ms: int, venue: bytes = b"kalshi") -> None:
        key, headers = market.market_id.encode(), [("venue", venue)]
        producer.produce(MARKETS.name, codec.encode(market), key, headers=headers, timestamp=at_ms)

    for name, first, then in (("old", "open", "settled"), ("waits", "open", "closed"), ("again", "settled", "open")):
        tell(market(name, status=first), long_ago_ms - DAY_MS)
        tell(market(name, status=then), long_ago_ms)
    tell(market("late", status="settled"), lately_ms)
    tell(market("politics", status="settled", category="politics"), long_ago_ms)
    tell(market("theirs", status="settled"), long_ago_ms, b"polymarket")
    assert producer.flush(60) == 0

    found = settled_before(shard, kafka, store, now_ms - DAYS * DAY_MS)
    assert found == [OLD]

    outbox = Outbox(shard, kafka, store, Spill(tmp_path / "spill", 1 << 30), SystemClock())
    outbox.let_go(*OLD)
    outbox.close(30)

    last = {message.key(): message for message in read_to_end(kafka, MARKETS.name)}[b"V:old"]
    assert last.value() is None
    assert last.headers() == [("venue", b"kalshi"), ("category", b"sports")]
    assert settled_before(shard, kafka, store, now_ms + DAY_MS) == [Settled("V:late", "sports")]
    before = read_before(shard, kafka, store, SeenUntil(tmp_path)).markets
    assert before.keys() == {"V:waits", "V:again", "V:late"}
    store.close()

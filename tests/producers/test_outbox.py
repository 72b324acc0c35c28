"""Publishing while Kafka comes and goes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kernel.clock import SystemClock
from kernel.dead_letters import MAX_BODY_BYTES
from kernel.errors import BadMessageError, UserError
from kernel.schema_registry import SchemaRegistry
from producers.base import Errand, Received
from producers.outbox import Outbox
from producers.shards import Shard
from producers.spill import Spill
from schemas import topics
from schemas.events import DeadLetter, FeedStatus, RawMessage
from tests.producers.conftest import Stack, prepared
from tests.stack.processes import KafkaProcess, ServiceProcess, kafka_at
from tests.stack.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.stack

NOBODY = "127.0.0.1:1"
IMPATIENT = {"delivery.timeout.ms": 3_000, "log_level": 0}


@pytest.fixture
def store(stack: Stack) -> Iterator[SchemaRegistry]:
    """The registry's client."""
    client = SchemaRegistry(stack.registry_url)
    yield client
    client.close()


def outbox(bootstrap: str, store: SchemaRegistry, folder: Path) -> Outbox:
    return Outbox(
        Shard("kalshi"), kafka_at(bootstrap), store, Spill(folder, 1 << 30), SystemClock(), overrides=IMPATIENT
    )


def status(number: int, shard: str) -> FeedStatus:
    return FeedStatus(
        event_id=f"{shard}-{number}",
        venue="kalshi",
        shard=shard,
        state="connected",
        ts_event_us=number,
        ts_received_us=number,
        detail=str(number),
        markets_tracked=0,
        markets_stale=0,
        ticks_published=0,
        bad_messages=0,
    )


def publish(box: Outbox, numbers: range, shard: str) -> None:
    for number in numbers:
        box.status(status(number, shard))


def turn_until(box: Outbox, condition: Any, what: str, timeout_s: float = PATIENCE_S) -> None:
    """Turns the outbox's loop until something holds."""

    async def turn() -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, what
            await box.pump()
            await asyncio.sleep(0.02)

    asyncio.run(turn())


def numbers_of(stack: Stack, shard: str) -> list[int]:
    """What arrived for a shard, in order, repeats left out."""
    found = [event for event, key, _ in stack.read(topics.FEED_STATUS) if key == f"kalshi/{shard}"]
    return list(dict.fromkeys(int(event.detail) for event in found if isinstance(event, FeedStatus)))


def test_an_outage_of_kafka_loses_nothing_and_keeps_the_order(
    tmp_path: Path, registry: ServiceProcess, store: SchemaRegistry
) -> None:
    node = KafkaProcess(tmp_path / "own node")
    try:
        own = prepared(node, registry)
        box = outbox(node.bootstrap, store, tmp_path / "spill")
        publish(box, range(100), "out")
        turn_until(box, lambda: not box.pending, "the first are delivered")

        node.kill()
        publish(box, range(100, 200), "out")
        turn_until(box, lambda: box.kafka_away, "the outage is noticed")
        publish(box, range(200, 300), "out")
        node.restart()
        turn_until(box, lambda: not box.kafka_away, "Kafka is back and the spill is replayed")
        publish(box, range(300, 400), "out")
        box.close(20)

        assert numbers_of(own, "out") == list(range(400))
        assert (tmp_path / "spill" / "undelivered.jsonl").stat().st_size == 0
    finally:
        node.stop()


def test_what_a_process_could_not_deliver_goes_before_anything_new_of_the_next(
    tmp_path: Path, stack: Stack, store: SchemaRegistry
) -> None:
    first = outbox(NOBODY, store, tmp_path)
    publish(first, range(50), "next")
    first.close(0.2)
    assert (tmp_path / "undelivered.jsonl").stat().st_size > 0

    second = outbox(stack.bootstrap, store, tmp_path)
    assert second.kafka_away
    publish(second, range(50, 60), "next")
    turn_until(second, lambda: not second.kafka_away, "the spill is replayed")
    publish(second, range(60, 70), "next")
    second.close(20)

    assert numbers_of(stack, "next") == list(range(70))


def test_headers_survive_the_spill(tmp_path: Path, store: SchemaRegistry) -> None:
    box = outbox(NOBODY, store, tmp_path)
    box.status(status(1, "headers"))
    box.close(0.2)

    with Spill(tmp_path, 1 << 30) as spill:
        [(message, _)] = list(spill.waiting())
    assert message.headers == (("venue", b"kalshi"),)
    assert (message.topic, message.key) == ("feed.status", b"kalshi/headers")


def test_the_same_refusal_is_counted_each_time_and_told_once(
    tmp_path: Path, stack: Stack, store: SchemaRegistry
) -> None:
    box = outbox(stack.bootstrap, store, tmp_path)
    body = b"x" * (MAX_BODY_BYTES + 5)
    for cursor in ("a", "b"):
        box.refused(BadMessageError("not_json", "a page of HTML", body), f"/refusals?cursor={cursor}")
    box.refused(BadMessageError("not_json", "another page", b"y"), "/refusals?cursor=c")
    box.close(20)

    letters = [e for e, key, _ in stack.read(topics.DEAD_LETTERS) if key.startswith("/refusals")]
    assert all(isinstance(letter, DeadLetter) and letter.stage == "producer" for letter in letters)
    assert sorted(len(e.body) for e in letters if isinstance(e, DeadLetter)) == [1, MAX_BODY_BYTES]
    assert box.dead_lettered == 2


def test_a_missing_topic_is_one_clear_line_at_the_start(
    tmp_path: Path, registry: ServiceProcess, store: SchemaRegistry
) -> None:
    node = KafkaProcess(tmp_path / "bare node")
    try:
        prepared(node, registry, topics=[topics.MARKETS])
        box = outbox(node.bootstrap, store, tmp_path / "spill")

        with pytest.raises(UserError, match=r"^Kafka has no topic raw\.kalshi; run `movers topics create`$"):
            box.warm_up()
        box.close(1)
    finally:
        node.stop()


def test_a_moment_is_settled_when_what_was_published_before_it_is_in_the_spill(
    store: SchemaRegistry, tmp_path: Path
) -> None:
    box = outbox(NOBODY, store, tmp_path / "spill")
    publish(box, range(3), "settled")

    assert box.settled(1_000).until_us is None
    assert box.settled(2_000).open_moments == 2

    def spilled() -> bool:
        asyncio.run(box.pump())
        return not box.pending

    wait_until(spilled, "Kafka was given up")
    assert box.settled(3_000) == (3_000, 0)
    box.close(0)


def test_the_pages_of_one_listing_have_keys_of_their_own_so_that_partitions_fill_evenly(
    tmp_path: Path, stack: Stack, store: SchemaRegistry
) -> None:
    box = outbox(stack.bootstrap, store, tmp_path)
    for number in range(50):
        box.received(
            Received(
                errand=Errand("sweep", 15), channel="/pages", connection_id="one", sequence=number, body=b"{}",
                ts_received_us=number, status=200,
            )
        )  # fmt: skip
    box.close(20)

    read = stack.read(topics.BY_NAME[topics.raw_topic("kalshi")])
    keys = [key for raw, key, _ in read if isinstance(raw, RawMessage) and raw.channel == "/pages"]
    assert len(keys) == len(set(keys)) == 50

"""The real sink process on real Kafka and the real engine: killed, cut off, fed twice; each event is stored once."""

from __future__ import annotations

import json
import random
import signal
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient
from structlog.testing import capture_logs

from kernel import stall
from kernel.errors import StoreAwayError
from kernel.kafka.readers import read_to_end, watermarks
from kernel.metrics import STALLED
from kernel.process import Process
from kernel.schema_registry import SchemaRegistry
from kernel.settings import Settings
from schemas.codec import Codec
from schemas.events import DeadLetter, Tick
from schemas.topics import ALERTS, BARS, DEAD_LETTERS, FEED_STATUS, MARKETS, MOVES, TICKS
from schemas.units import US_PER_S, event_id
from sinks.clickhouse import membership
from sinks.clickhouse.membership import GROUP, Membership
from sinks.clickhouse.sink import Sink
from sinks.clickhouse.store import Store
from tests.sinks.clickhouse.conftest import PARTITIONS, Stand, assert_stored_once
from tests.sinks.events import NOON_US, a_bar, a_market, a_move, a_status, a_tick, an_alert, some_ticks
from tests.stack.processes import kafka_at
from tests.stack.topics import topics_made_anew
from tests.stack.waiting import wait_until

pytestmark = pytest.mark.stack

DAY_US = 86_400_000_000


def test_every_topic_reaches_its_tables(stand: Stand) -> None:
    stand.publish(TICKS, a_tick())
    stand.publish(MARKETS, a_market())
    stand.publish(MOVES, a_move())
    stand.publish(BARS, a_bar())
    stand.publish(ALERTS, an_alert())
    stand.publish(FEED_STATUS, a_status())

    stand.start_sink()

    expected = {
        "snapshots": 1, "markets": 1, "market_tokens": 2, "movers_latest": 2, "ohlcv_1m": 1, "ohlcv_5m": 1,
        "alerts": 1, "feed_status": 1, "movers_cache": 2,
    }  # fmt: skip
    wait_until(lambda: {table: stand.count(table=table) for table in expected} == expected, "all tables filled")
    text = _get(stand, "/metrics")
    assert 'movers_rows_total{table="snapshots"} 1.0' in text
    assert 'movers_lag_seconds_count{stage="store",venue="polymarket"} 1.0' in text
    assert json.loads(_get(stand, "/health"))["ok"] is True


def _publish_a_backlog(stand: Stand) -> None:
    """An alert, many ticks, of which the last grades it, and a move that makes the grade due."""
    before = [a_tick("T1", NOON_US - i * US_PER_S) for i in range(40_000, 0, -1)]
    stand.publish(ALERTS, an_alert(price_then_ppm=450_000, price_ppm=600_000))
    stand.publish(TICKS, *before, a_tick("T1", NOON_US + 30 * US_PER_S, price_ppm=525_000))
    stand.publish(MOVES, a_move("T2", NOON_US + 180 * US_PER_S))


def test_a_sink_that_catches_up_grades_an_alert_by_ticks_that_it_reads_after_the_moves(stand: Stand) -> None:
    """Of a backlog the few moves are read before the many ticks; graded then, the market had no price for ever."""
    _publish_a_backlog(stand)

    stand.start_sink()

    wait_until(lambda: stand.count(table="alert_grades") == 1, "graded")
    assert stand.store.rows("SELECT horizon_s, kept FROM alert_grades") == [(60, pytest.approx(0.5))]


def test_a_clock_that_was_ahead_for_a_moment_lets_no_grade_go_before_its_ticks(stand: Stand) -> None:
    """Kafka, asked where the ticks stood at a time, finds the one that was stamped an hour ahead."""
    stand.publish_stamped(TICKS, a_tick("T1", NOON_US - 60_000 * US_PER_S), ahead_s=3_000)
    _publish_a_backlog(stand)

    stand.start_sink()

    wait_until(lambda: stand.count(table="alert_grades") == 1, "graded")
    assert stand.store.rows("SELECT horizon_s, kept FROM alert_grades") == [(60, pytest.approx(0.5))]


def test_an_alert_of_a_venue_whose_collector_is_behind_is_graded_once_its_ticks_have_come(stand: Stand) -> None:
    """Kafka is out of reach of one collector, which keeps its ticks on disk and publishes them later."""
    behind = an_alert(venue="kalshi", token_id="T1", price_then_ppm=450_000, price_ppm=600_000)
    other = an_alert(
        alert_id=event_id("other"), event_id=event_id("other", 1), venue="polymarket", market_id="M-T2", token_id="T2"
    )
    grades = "SELECT venue, kept FROM alert_grades FINAL ORDER BY venue"
    stand.publish(ALERTS, behind, other)
    stand.publish(MOVES, a_move("T2", NOON_US + 180 * US_PER_S, venue="polymarket"))
    stand.start_sink()
    wait_until(lambda: stand.store.rows(grades) != [], "the other venue's alert is graded")

    stand.publish(TICKS, a_tick("T1", NOON_US + 30 * US_PER_S, venue="kalshi", price_ppm=525_000))
    stand.publish(MOVES, a_move("T1", NOON_US + 180 * US_PER_S, venue="kalshi"))
    wait_until(lambda: len(stand.store.rows(grades)) == 2, "both are graded")

    assert stand.store.rows(grades) == [("kalshi", pytest.approx(0.5)), ("polymarket", None)]


def test_sigterm_ends_it_with_everything_stored_and_committed(stand: Stand) -> None:
    ticks = some_ticks(3_000)
    stand.publish(TICKS, *ticks)
    sink = stand.start_sink()
    wait_until(lambda: stand.count() > 0, "first rows")

    sink.send_signal(signal.SIGTERM)

    assert sink.wait(90) == 0
    stand.start_sink()
    assert_stored_once(stand, ticks)
    wait_until(lambda: _committed(stand, TICKS.name) == len(ticks), "offsets committed")


def test_killed_again_and_again_under_load_each_event_is_stored_once(stand: Stand) -> None:
    ticks = some_ticks(20_000)
    feeder = threading.Thread(target=_publish_in_parts, args=(stand, ticks))
    rng = random.Random(3)

    feeder.start()
    for goal in sorted(rng.sample(range(200, 15_000), 4)):
        sink = stand.start_sink()
        wait_until(lambda at_least=goal: stand.count() >= at_least, f"{goal} rows")  # type: ignore[misc]
        sink.kill()
        sink.wait()
    stand.start_sink()
    feeder.join()

    assert_stored_once(stand, ticks)


def test_killed_between_rows_and_fence_each_event_is_stored_once(stand: Stand) -> None:
    ticks = some_ticks(2_000, days=3)
    stand.publish(TICKS, *ticks)
    stand.line.hold_inserts_into = "ingest_offsets"
    sink = stand.start_sink()
    assert stand.line.held.wait(90)

    sink.kill()
    sink.wait()
    stored_before = stand.count()
    stand.line.forget_held()
    stand.publish(TICKS, *(more := some_ticks(100, first=2_000)))  # so the batches of the second run end elsewhere
    stand.start_sink()

    assert stored_before > 0
    assert_stored_once(stand, [*ticks, *more])


POINTS = {
    "before the record": ("ingest_pending", 1, "dropped"),
    "before the record, which comes late": ("ingest_pending", 1, "late"),
    "after the record": ("ingest_pending", 1, "answer"),
    "before the insert": ("snapshots", 0, "dropped"),
    "before the insert, which comes late": ("snapshots", 0, "late"),
    "after the insert": ("snapshots", 0, "answer"),
    "before the fence": ("ingest_offsets", 0, "dropped"),
    "before the fence, which comes late": ("ingest_offsets", 0, "late"),
    "after the fence, before the commit": ("ingest_offsets", 0, "answer"),
}


@pytest.mark.parametrize(("table", "let_pass", "held"), POINTS.values(), ids=POINTS)
def test_killed_at_a_named_point_each_event_is_stored_once(stand: Stand, table: str, let_pass: int, held: str) -> None:
    """What the dead sink had sent may be delivered after its successor has read on: delayed, not dropped."""
    ticks = some_ticks(2_000, days=3)
    stand.publish(TICKS, *ticks)
    stand.line.let_pass = let_pass
    if held == "answer":
        stand.line.hold_answers_of = table
    else:
        stand.line.hold_inserts_into = table
    sink = stand.start_sink()
    assert stand.line.held.wait(60)

    sink.kill()
    sink.wait()
    stand.publish(TICKS, *(more := some_ticks(500, first=2_000)))  # so that the batches of the second run end elsewhere
    stand.start_sink()
    assert_stored_once(stand, [*ticks, *more])
    if held == "late":
        stand.line.deliver_held()
        assert stand.count() == stand.count("uniqExact(token_id, ts)") == len(ticks) + len(more)


def test_the_inserts_of_a_dead_sink_are_stopped(stand: Stand) -> None:
    """One that runs in the store when its successor comes is ended, and waited for."""
    stand.store.owner = "the dead one"
    slow = (
        "INSERT INTO ohlcv_1m (token_id, ticks) SELECT toString(sleepEachRow(1)), 1 FROM numbers(60)"
        " SETTINGS max_block_size = 1, function_sleep_max_microseconds_per_block = 3000000,"
        " log_comment = 'movers-sink the dead one'"
    )
    failed: list[Exception] = []

    def insert() -> None:
        other = Store(stand.clickhouse)
        try:
            other.command(slow, {})
        except StoreAwayError as error:
            failed.append(error)
        other.close()

    thread = threading.Thread(target=insert)
    thread.start()
    running = "system.processes WHERE query LIKE 'INSERT INTO ohlcv%'"
    wait_until(lambda: stand.count(table=running) == 1, "the insert runs")

    stand.store.stop_inserts(["the dead one"])

    assert stand.count(table=running) == 0
    thread.join(90)
    assert "QUERY_WAS_CANCELLED" in str(failed[0])


def test_an_answer_that_got_lost_doubles_nothing(stand: Stand) -> None:
    ticks = some_ticks(2_000, days=3)
    stand.publish(TICKS, *ticks)
    stand.line.lose_answers_of = "snapshots"

    stand.start_sink()

    assert_stored_once(stand, ticks)
    assert stand.line.lost == 1


def test_the_same_tick_published_again_is_not_stored_again(stand: Stand) -> None:
    ticks = some_ticks(1_000)
    stand.publish(TICKS, *ticks)
    sink = stand.start_sink()
    assert_stored_once(stand, ticks)

    stand.publish(TICKS, *ticks[300:])
    stand.wait_until_taken(TICKS)
    sink.kill()
    sink.wait()
    stand.publish(TICKS, *ticks, *(more := some_ticks(10, first=1_000)))
    stand.start_sink()

    assert_stored_once(stand, [*ticks, *more])


def test_a_late_tick_is_stored_though_newer_ones_are(stand: Stand) -> None:
    stand.publish(TICKS, a_tick(ts_us=NOON_US + 10), a_tick(ts_us=NOON_US + 30))
    stand.start_sink()
    wait_until(lambda: stand.count() == 2, "first ticks")

    stand.publish(TICKS, a_tick(ts_us=NOON_US + 20), a_tick(ts_us=NOON_US + 10), a_tick(ts_us=NOON_US - DAY_US * 2))

    assert_stored_once(stand, [a_tick(ts_us=NOON_US + at) for at in (10, 20, 30, -DAY_US * 2)])


def test_a_store_that_goes_away_and_comes_back_has_lost_nothing(
    stand_with_own_warehouse: tuple[Stand, Callable[[bool], None]],
) -> None:
    stand, switch = stand_with_own_warehouse
    ticks = some_ticks(3_000)
    stand.publish(TICKS, *ticks[:1_000])
    sink = stand.start_sink()
    assert_stored_once(stand, ticks[:1_000])

    switch(False)
    stand.publish(TICKS, *ticks[1_000:])
    wait_until(lambda: '"ok": false' in _get(stand, "/health"), "health says that the store is away")
    switch(True)

    assert_stored_once(stand, ticks)
    wait_until(lambda: '"ok": true' in _get(stand, "/health"), "health is good again")
    assert sink.poll() is None


def test_stopped_while_the_store_is_away_it_ends_and_loses_nothing(
    stand_with_own_warehouse: tuple[Stand, Callable[[bool], None]],
) -> None:
    stand, switch = stand_with_own_warehouse
    ticks = some_ticks(500)
    switch(False)
    sink = stand.start_sink()
    stand.publish(TICKS, *ticks)
    wait_until(lambda: '"need_away"' in stand.log_text(), "waiting for the store")

    sink.send_signal(signal.SIGTERM)
    assert sink.wait(90) == 0
    switch(True)
    stand.start_sink()

    assert_stored_once(stand, ticks)


def test_bad_messages_are_dead_lettered_and_the_rest_is_stored(stand: Stand) -> None:
    registry = SchemaRegistry(stand.broker.registry_url)
    impossible = Codec(TICKS, registry, Tick).encode(a_tick("T9", trades=-1))
    stand.publish(TICKS, a_tick("T1"))
    stand.publish_bytes(TICKS, ("k1", b"no wire format"), ("k2", impossible), ("k3", b"\0\0\0\xff\xffabc"))
    stand.publish(TICKS, a_tick("T2"))

    stand.start_sink()

    assert_stored_once(stand, [a_tick("T1"), a_tick("T2")])
    codec = Codec(DEAD_LETTERS, registry, DeadLetter)
    letters = [
        codec.decode(message.value()) for message in read_to_end(kafka_at(stand.broker.bootstrap), DEAD_LETTERS.name)
    ]
    registry.close()
    assert sorted((letter.reason, letter.body) for letter in letters) == [
        ("impossible_value", impossible),
        ("undecodable", b"\0\0\0\xff\xffabc"),
        ("undecodable", b"no wire format"),
    ]
    assert {(letter.stage, letter.channel) for letter in letters} == {("store", TICKS.name)}
    assert 'movers_bad_input_total{reason="undecodable",stage="store"} 2.0' in _get(stand, "/metrics")


def test_mostly_bad_messages_stop_it_loudly(stand: Stand) -> None:
    stand.publish_bytes(TICKS, *[(str(i), b"rubbish") for i in range(1_100)])

    sink = stand.start_sink()

    assert sink.wait(90) == 1
    assert "could not be used" in stand.log_text()


def test_topics_made_anew_start_at_zero_and_are_not_swallowed(stand: Stand) -> None:
    first = some_ticks(1_000)
    stand.publish(TICKS, *first)
    sink = stand.start_sink()
    assert_stored_once(stand, first)
    sink.send_signal(signal.SIGTERM)
    assert sink.wait(90) == 0

    topics_made_anew(stand.broker.bootstrap, PARTITIONS)
    stand.publish(TICKS, *(second := some_ticks(500, first=1_000)))
    stand.start_sink()

    assert_stored_once(stand, [*first, *second])


def test_an_emptied_store_is_filled_again_from_kafka(stand: Stand) -> None:
    ticks = some_ticks(500)
    stand.publish(TICKS, *ticks)
    sink = stand.start_sink()
    assert_stored_once(stand, ticks)
    wait_until(lambda: _committed(stand, TICKS.name) == len(ticks), "offsets committed")
    sink.send_signal(signal.SIGTERM)
    assert sink.wait(90) == 0

    for table in ("snapshots", "ingest_offsets"):
        stand.store.command(f"TRUNCATE TABLE {table}", {})
    stand.start_sink()

    assert_stored_once(stand, ticks)


def test_a_second_sink_takes_over_from_a_killed_one(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = some_ticks(6_000)
    stand.publish(TICKS, *ticks[:2_000])
    first = stand.start_sink()
    wait_until(lambda: stand.count() > 0, "first rows")
    # On another machine the name would differ by itself.
    monkeypatch.setitem(membership._CONSUMER_CONFIG, "group.instance.id", "another-machine")
    with _sink_in_a_thread(stand):
        stand.publish(TICKS, *ticks[2_000:4_000])
        wait_until(lambda: stand.fenced(TICKS) > 2_000, "more rows")
        first.kill()
        stand.publish(TICKS, *ticks[4_000:])

        assert_stored_once(stand, ticks)


def test_a_reader_that_stopped_reading_is_replaced_and_told(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a client that lost a partition's leader for good: connected, a member of its group, and it fetches nothing."""
    monkeypatch.setattr(stall, "PATIENCE_S", 3.0)
    with _sink_in_a_thread(stand) as sink:
        stand.publish(TICKS, *some_ticks(100))
        assert_stored_once(stand, some_ticks(100))
        dead = sink._membership._consumer
        dead.pause(dead.assignment())
        stuck_before = STALLED.labels("store", TICKS.name)._value.get()

        stand.publish(TICKS, *some_ticks(100, first=100))

        assert_stored_once(stand, some_ticks(200))
        assert STALLED.labels("store", TICKS.name)._value.get() > stuck_before


def test_a_sink_that_its_group_never_answers_is_stuck_and_says_so(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a client whose thread sleeps since the clock was set back while it joined: connected, and no member."""
    monkeypatch.setattr(stall, "JOINS_WITHIN_S", 0.5)
    monkeypatch.setattr(Membership, "subscribe", lambda self: None)
    with capture_logs() as logs, _sink_in_a_thread(stand, silent_after_s=1.0) as sink:
        wait_until(lambda: sink._process.state == "stuck", "the supervisor is told that a restart helps")

    assert [line["event"] for line in logs].count("reader_outside_its_group") == 1


def test_without_tables_it_says_what_to_do(stand: Stand) -> None:
    stand.store.command("DROP TABLE alerts", {})

    sink = stand.start_sink()

    assert sink.wait(90) == 2
    assert "run `movers migrate` first" in stand.log_text()


@contextmanager
def _sink_in_a_thread(stand: Stand, silent_after_s: float = 60.0) -> Iterator[Sink]:
    process = Process("sink-clickhouse", silent_after_s=silent_after_s)
    sink = Sink(Settings({**stand.environment(), "METRICS_PORT": "0"}), process)
    thread = threading.Thread(target=sink.run, daemon=True)
    thread.start()
    try:
        yield sink
    finally:
        process.stop()
        thread.join(90)


def _publish_in_parts(stand: Stand, ticks: list[Tick]) -> None:
    for start in range(0, len(ticks), 500):
        stand.publish(TICKS, *ticks[start : start + 500])


def _committed(stand: Stand, topic: str) -> int:
    admin = AdminClient({"bootstrap.servers": stand.broker.bootstrap})
    places = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
    request = ConsumerGroupTopicPartitions(GROUP, places)
    answer = admin.list_consumer_group_offsets([request])[GROUP].result(60)
    assert set(watermarks(kafka_at(stand.broker.bootstrap), topic)) == set(range(PARTITIONS))
    return sum(max(0, place.offset) for place in answer.topic_partitions)


def _get(stand: Stand, path: str) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{stand.metrics_port}{path}", timeout=60) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return str(error.read().decode())

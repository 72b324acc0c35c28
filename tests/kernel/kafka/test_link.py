"""Whether a client reaches Kafka, by its own statistics."""

from __future__ import annotations

import json
import logging

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from kernel.kafka.link import LinkSilence, LinkWatch
from kernel.process import Process

UP = json.dumps({"brokers": {"a:1/bootstrap": {"state": "INIT"}, "a:1/1": {"state": "UP"}}})
DOWN = json.dumps({"brokers": {"a:1/bootstrap": {"state": "TRY_CONNECT"}, "a:1/1": {"state": "DOWN"}}})


def test_a_client_without_any_broker_for_three_reports_misses_kafka() -> None:
    process = Process("p")
    watch = LinkWatch(process, "client", "a:1")
    for report in (UP, DOWN, DOWN):
        watch.statistics(report)
    assert process.health()["away"] == {}

    watch.statistics(DOWN)

    assert process.health()["away"] == {"kafka": "no broker of a:1 answers"}
    watch.statistics(UP)
    watch.statistics(UP)
    assert process.health()["away"] == {}


def test_a_broker_that_takes_a_connection_and_drops_it_again_is_not_back() -> None:
    """As one does while it is starting: it would be told away a second time."""
    process = Process("p")
    watch = LinkWatch(process, "client", "a:1")

    with capture_logs() as lines:
        for report in (DOWN, DOWN, DOWN, UP, DOWN, DOWN, DOWN, UP, UP):
            watch.statistics(report)

    assert [line["event"] for line in lines] == ["need_away", "need_back"]


def test_a_client_that_missed_kafka_for_a_moment_says_nothing() -> None:
    process = Process("p")
    watch = LinkWatch(process, "client", "a:1")

    with capture_logs() as lines:
        for report in (UP, DOWN, DOWN, UP, DOWN, DOWN, UP):
            watch.statistics(report)

    assert lines == []


def test_the_statistics_tell_how_many_messages_wait() -> None:
    watch = LinkWatch(Process("a process"), "a client", "a:1")
    partitions = {"0": {"consumer_lag": 5}, "1": {"consumer_lag": 7}, "-1": {"consumer_lag": -1}}
    topics = {"ticks": {"topic": "ticks", "partitions": partitions}, "moves": {"topic": "moves", "partitions": {}}}

    watch.statistics(json.dumps({"brokers": {}, "topics": topics}))

    assert REGISTRY.get_sample_value("movers_backlog_messages", {"client": "a client", "topic": "ticks"}) == 12
    assert REGISTRY.get_sample_value("movers_backlog_messages", {"client": "a client", "topic": "moves"}) is None


@pytest.mark.parametrize(
    ("line", "is_shown"),
    [
        ("FAIL [client#producer-1] [thrd:a:1/1]: a:1/1: Connect to a:1 failed: Connection refused", False),
        (
            "METADATAUPDATE [client#producer-1] [thrd:main]: Partition ticks(id)[1]: new leader-1 not found in cache",
            False,
        ),
        ("PARTCNT [client#producer-1] [thrd:main]: Topic ticks partition count changed from 3 to 0", True),
    ],
)
def test_what_the_library_says_of_a_broker_that_restarts_is_no_line_of_ours(
    line: str, is_shown: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    record = logging.LogRecord("lib", logging.WARNING, "", 0, line, (), None)

    assert LinkSilence().filter(record) is is_shown

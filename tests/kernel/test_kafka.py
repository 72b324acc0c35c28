"""Clients of Kafka, where no Kafka is."""

from __future__ import annotations

import contextlib
from pathlib import Path

from kernel.kafka import Publisher
from kernel.reader_watch import ReaderWatch
from tests.stack.processes import kafka_at

NOBODY = kafka_at("127.0.0.1:1")


def threads_of_clients() -> set[str]:
    """Threads of the C library in this process."""
    found = set()
    for thread in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # one of another test's client, which has just ended
            if (thread / "comm").read_text().startswith("rdk:"):
                found.add(thread.name)
    return found


def test_a_publisher_that_was_closed_leaves_no_thread_behind() -> None:
    before = threads_of_clients()
    publisher = Publisher(NOBODY, "test", lambda *_: None)
    publisher.publish("ticks", b"k", b"v")
    assert threads_of_clients() - before

    publisher.close()

    assert not threads_of_clients() - before


def test_a_watch_that_was_closed_while_it_waits_for_an_answer_leaves_no_thread_behind() -> None:
    before = threads_of_clients()
    watch = ReaderWatch(NOBODY, "test")
    watch.finds_it_stuck({("ticks", 0): 3})
    assert threads_of_clients() - before

    watch.close()

    assert not threads_of_clients() - before

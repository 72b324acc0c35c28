"""The watch over a reader, where no Kafka is."""

from __future__ import annotations

from kernel.reader_watch import ReaderWatch
from tests.kernel.client_threads import threads_of_clients
from tests.stack.processes import kafka_at


def test_a_watch_that_was_closed_while_it_waits_for_an_answer_leaves_no_thread_behind() -> None:
    before = threads_of_clients()
    watch = ReaderWatch(kafka_at("127.0.0.1:1"), "test")
    watch.finds_it_stuck({("ticks", 0): 3})
    assert threads_of_clients() - before

    watch.close()

    assert not threads_of_clients() - before

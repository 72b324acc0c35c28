"""A publisher, where no Kafka is."""

from __future__ import annotations

from kernel.kafka.publisher import Publisher
from tests.kernel.client_threads import threads_of_clients
from tests.stack.processes import kafka_at


def test_a_publisher_that_was_closed_leaves_no_thread_behind() -> None:
    before = threads_of_clients()
    publisher = Publisher(kafka_at("127.0.0.1:1"), "test", lambda *_: None)
    publisher.publish("ticks", b"k", b"v")
    assert threads_of_clients() - before

    publisher.close()

    assert not threads_of_clients() - before

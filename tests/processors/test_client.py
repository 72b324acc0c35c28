from __future__ import annotations

from typing import Any

import confluent_kafka

from processors.client import Client

HEADERS = [("venue", b"kalshi")]


def test_the_client_takes_what_it_is_given_by_position_as_it_is_meant() -> None:
    client = confluent_kafka.Producer({"bootstrap.servers": "127.0.0.1:1", "log_level": 0})
    told: list[tuple[Any, ...]] = []

    def delivered(error: confluent_kafka.KafkaError, message: confluent_kafka.Message) -> None:
        told.append((error.code(), message.topic(), message.key(), message.value()))

    Client(client.produce, delivered, client.produce).publish(b"KALSHI:A", [("moves", b"m"), ("bars", b"b")], [], 7)
    client.purge()
    client.poll(1)

    purged = confluent_kafka.KafkaError._PURGE_QUEUE
    assert told == [(purged, "moves", b"KALSHI:A", b"m"), (purged, "bars", b"KALSHI:A", b"b")]


def test_a_full_client_is_gone_around_for_that_message_alone() -> None:
    given: list[tuple[Any, ...]] = []

    def produce(topic: str, *rest: object) -> None:
        if topic == "moves":
            raise BufferError
        given.append(("client", topic, *rest))

    def when_full(*message: object) -> None:
        given.append(("full", *message))

    def delivered() -> None:
        raise AssertionError

    ours = Client(produce, delivered, when_full)
    ours.publish(b"KALSHI:A", [("moves", b"m"), ("bars", b"b")], HEADERS, 7)

    assert given == [
        ("full", "moves", b"m", b"KALSHI:A", HEADERS, None, 7),
        ("client", "bars", b"b", b"KALSHI:A", -1, delivered, None, 7, HEADERS),
    ]

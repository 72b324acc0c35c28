"""Kafka's own client, which Quix's producer wraps: what is made goes to it directly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from processors.memory import Headers
from processors.step import Output

_ANY_PARTITION: Final = -1


class Client:
    """Publishes what messages made.

    Args:
        produce: of `confluent_kafka.Producer`.
        delivered: told of each message, with an error or None.
        when_full: publishes when the client has no room; Quix's `InternalProducer.produce`.
    """

    def __init__(
        self, produce: Callable[..., Any], delivered: Callable[..., None], when_full: Callable[..., None]
    ) -> None:
        self._produce = produce
        self._delivered = delivered
        self._when_full = when_full

    def publish(self, key: bytes, outputs: Sequence[Output], headers: Headers, published_ms: int) -> None:
        """Hands messages over, all under one key. By position: by name takes the client nearly twice as long."""
        for topic, value in outputs:
            try:
                self._produce(topic, value, key, _ANY_PARTITION, self._delivered, None, published_ms, headers)
            except BufferError:
                self._when_full(topic, value, key, headers, None, published_ms)


class Failures:
    """Hears of each message whether Kafka took it, and passes on those that it did not. Here, because this is compiled.

    Args:
        undelivered: takes the error and the message.
    """

    def __init__(self, undelivered: Callable[..., None]) -> None:
        self._undelivered = undelivered

    def report(self, error: object, message: object) -> None:
        """Of a message; the error is None when it was taken."""
        if error is not None:
            self._undelivered(error, message)
